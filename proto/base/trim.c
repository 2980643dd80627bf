#include "base/trim.h"

#include <elf.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE 4096u

/* The linker's name for the beginning of a program in memory. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

/* Our programs are static: their own segments are all there is. */
void trim_program(void)
{
	uintptr_t base = (uintptr_t)&__ehdr_start;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + __ehdr_start.e_phoff);

	for (unsigned i = 0; i < __ehdr_start.e_phnum; i++) {
		uintptr_t from = (base + ph[i].p_vaddr) & ~(uintptr_t)(PAGE - 1);
		uintptr_t to = (base + ph[i].p_vaddr + ph[i].p_memsz + PAGE - 1) & ~(uintptr_t)(PAGE - 1);

		if (ph[i].p_type == PT_LOAD && !(ph[i].p_flags & PF_W))
			madvise((void *)from, to - from, MADV_DONTNEED);
	}
}
