/* ELF64 with a PVH note: Xen's public/elfnote.h (XEN_ELFNOTE_PHYS32_ENTRY) and docs/misc/pvh. */
#include "boot/boot.h"
#include "boot/e820.h"
#include "boot/layout.h"
#include "bulkhead/abi/platform.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define PHDRS_MAX 64u
#define NOTES_MAX 4096u /* bytes read of one PT_NOTE; Linux's are about 500 */

_Static_assert(BOOT_MEMMAP + E820_MAX * sizeof(struct pvh_memmap_entry) <= BOOT_ZERO_PAGE,
	       "the PVH memory map must fit its room");

static int check_header(const Elf64_Ehdr *h, size_t head_len, uint64_t size, struct err *e)
{
	uint64_t end;

	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64)
		return err_set(e, -ENOEXEC, "kernel: an ELF file, but not for x86-64");
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > PHDRS_MAX)
		return err_set(e, -ENOEXEC, "kernel: %u program headers of %u bytes; 1 to %u of %zu are understood", h->e_phnum,
			       h->e_phentsize, PHDRS_MAX, sizeof(Elf64_Phdr));
	if (!add_u64(h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr), &end) || end > size)
		return err_set(e, -ENOEXEC, "kernel: its program headers lie behind the end of the file");
	return 0;
}

/* Looks for the entry point in one note segment. 1 found, 0 not here, negative: unreadable. */
static int find_entry(int fd, const Elf64_Phdr *ph, uint32_t *ret_entry)
{
	_Alignas(Elf64_Nhdr) uint8_t notes[NOTES_MAX];
	size_t len = ph->p_filesz < sizeof(notes) ? (size_t)ph->p_filesz : sizeof(notes);
	size_t at = 0;
	int r = boot_read_at(fd, ph->p_offset, notes, len);

	if (r < 0)
		return r;
	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		uint64_t name, desc, next;

		memcpy(&n, notes + at, sizeof(n));
		/* 32-bit fields: none of these sums can overflow 64 bits */
		name = at + sizeof(n);
		desc = name + (((uint64_t)n.n_namesz + 3) & ~UINT64_C(3));
		next = desc + (((uint64_t)n.n_descsz + 3) & ~UINT64_C(3));
		if (desc + n.n_descsz > len)
			return 0;
		if (n.n_type == PVH_NOTE_TYPE && n.n_namesz == sizeof(PVH_NOTE_NAME) &&
		    memcmp(notes + name, PVH_NOTE_NAME, sizeof(PVH_NOTE_NAME)) == 0 && (n.n_descsz == 4 || n.n_descsz == 8)) {
			uint64_t entry = 0;

			memcpy(&entry, notes + desc, n.n_descsz);
			if (entry > UINT32_MAX)
				return -ENOEXEC;
			*ret_entry = (uint32_t)entry;
			return 1;
		}
		if (next > len)
			return 0;
		at = (size_t)next;
	}
	return 0;
}

static int load_segment(const struct guestmem *gm, int fd, const Elf64_Phdr *ph, uint64_t size, uint64_t *end, struct err *e)
{
	uint64_t file_end, mem_end;
	int r;

	if (ph->p_filesz > ph->p_memsz || !add_u64(ph->p_offset, ph->p_filesz, &file_end) || file_end > size ||
	    !add_u64(ph->p_paddr, ph->p_memsz, &mem_end))
		return err_set(e, -ENOEXEC, "kernel: a segment's size contradicts the file's");
	if (gspan_overlaps(gspan(ph->p_paddr, ph->p_memsz), gspan(BOOT_AREA_START, BOOT_AREA_END - BOOT_AREA_START)))
		return err_set(e, -ENOEXEC, "kernel: a segment at %#llx lies on the boot information, which is at %#x to %#x",
			       (unsigned long long)ph->p_paddr, BOOT_AREA_START, BOOT_AREA_END);
	if (!gm_is_ram(gm, gpa(ph->p_paddr), ph->p_memsz))
		return err_set(e, -ENOMEM, "kernel: its segment at %#llx, %llu KiB long, does not fit into the guest's memory",
			       (unsigned long long)ph->p_paddr, (unsigned long long)(ph->p_memsz / KiB));
	r = gm_load(gm, gpa(ph->p_paddr), fd, ph->p_offset, ph->p_filesz);
	if (r == 0)
		r = gm_clear_fresh(gm, gpa(ph->p_paddr + ph->p_filesz), ph->p_memsz - ph->p_filesz);
	if (r < 0)
		return err_sys(e, r, "kernel: cannot be read into the guest's memory");
	if (mem_end > *end)
		*end = mem_end;
	return 0;
}

static int write_info(const struct guestmem *gm, const struct boot_image *img, uint64_t initrd, uint64_t initrd_size,
		      struct err *e)
{
	struct pvh_memmap_entry map[E820_MAX];
	struct pvh_start_info si = {
	    .magic = PVH_START_MAGIC,
	    .version = PVH_START_VERSION,
	    .cmdline_paddr = BOOT_CMDLINE,
	    .rsdp_paddr = img->rsdp.v,
	    .memmap_paddr = BOOT_MEMMAP,
	};
	struct pvh_module mod = {.paddr = initrd, .size = initrd_size};
	size_t n = e820_build(gm->plan, map, ARRAY_LEN(map));
	int r;

	if (n == 0)
		return err_set(e, -E2BIG, "memory: too many pieces for the guest's memory map");
	si.memmap_entries = (uint32_t)n;
	if (initrd_size) {
		si.nr_modules = 1;
		si.modlist_paddr = BOOT_MODLIST;
	}
	r = gm_write(gm, gpa(BOOT_START_INFO), &si, sizeof(si));
	if (r == 0)
		r = gm_write(gm, gpa(BOOT_MODLIST), &mod, sizeof(mod));
	if (r == 0)
		r = gm_write(gm, gpa(BOOT_MEMMAP), map, n * sizeof(map[0]));
	return r < 0 ? err_sys(e, r, "boot information") : 0;
}

int pvh_load(const struct guestmem *gm, const struct boot_image *img, const uint8_t *head, size_t head_len, uint64_t size,
	     struct boot_entry *ret, struct err *e)
{
	Elf64_Phdr ph[PHDRS_MAX];
	Elf64_Ehdr h;
	uint64_t initrd, initrd_size, end = PLAT_LOW_END;
	uint32_t entry = 0;
	bool found = false;
	int r;

	memcpy(&h, head, sizeof(h));
	r = check_header(&h, head_len, size, e);
	if (r < 0)
		return r;
	r = boot_read_at(img->kernel_fd, h.e_phoff, ph, h.e_phnum * sizeof(ph[0]));
	if (r < 0)
		return err_sys(e, r, "kernel: program headers");
	for (size_t i = 0; i < h.e_phnum && !found; i++) {
		if (ph[i].p_type != PT_NOTE)
			continue;
		r = find_entry(img->kernel_fd, &ph[i], &entry);
		if (r < 0)
			return err_sys(e, r, "kernel: its notes cannot be read");
		found = r == 1;
	}
	if (!found)
		return err_set(
		    e, -ENOEXEC,
		    "kernel: an ELF file without a PVH entry point; a Linux kernel needs CONFIG_PVH=y, or give its bzImage");
	for (size_t i = 0; i < h.e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD || ph[i].p_memsz == 0)
			continue;
		r = load_segment(gm, img->kernel_fd, &ph[i], size, &end, e);
		if (r < 0)
			return r;
	}
	if (!gm_is_ram(gm, gpa(entry), 1))
		return err_set(e, -ENOEXEC, "kernel: its entry point %#x is outside the guest's memory", entry);
	r = boot_place_initramfs(gm, img, end, PLAT_RAM_LOW_END, &initrd, &initrd_size, e);
	if (r == 0)
		r = boot_put_cmdline(gm, img->cmdline, LIM_CMDLINE, e);
	if (r == 0)
		r = write_info(gm, img, initrd, initrd_size, e);
	if (r < 0)
		return r;
	*ret = (struct boot_entry){BOOT_PVH32, gpa(entry), gpa(BOOT_START_INFO), gpa(0)};
	return 0;
}
