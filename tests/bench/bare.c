/* The yardstick of bench_start, not part of the product: the least program that boots the probe guest under KVM. One process, one
 * vCPU, one anonymous memory slot, split irqchip, no sandbox; the serial port goes to stdout and the sleep port ends it.
 *
 *     bare PROBE_ELF [CMDLINE [MIB]] */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bulkhead/abi/platform.h"
#include "bulkhead/abi/pvh.h"
#include "bulkhead/base.h"

#define INFO_ADDR    0x1000u
#define MAP_ADDR     0x1100u
#define CMDLINE_ADDR 0x2000u
#define CPUID_MAX    256

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bare: %s: %s\n", what, errno ? strerror(errno) : "malformed");
	exit(1);
}

static int need(int r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

/* Puts the loadable segments into mem and returns the PVH entry point. The file is ours: checked for what a mistake would break,
 * no more. */
static uint32_t load_elf(const char *path, uint8_t *mem, uint64_t mem_size)
{
	int fd = need(open(path, O_RDONLY | O_CLOEXEC), path);
	uint32_t entry = 0;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[8];

	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_phnum > ARRAY_LEN(ph) ||
	    pread(fd, ph, eh.e_phnum * sizeof(ph[0]), (off_t)eh.e_phoff) != (ssize_t)(eh.e_phnum * sizeof(ph[0])))
		die(path);
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		uint32_t note[6];

		if (ph[i].p_type == PT_LOAD) {
			if (ph[i].p_memsz > mem_size || ph[i].p_paddr > mem_size - ph[i].p_memsz ||
			    pread(fd, mem + ph[i].p_paddr, ph[i].p_filesz, (off_t)ph[i].p_offset) != (ssize_t)ph[i].p_filesz)
				die(path);
		} else if (ph[i].p_type == PT_NOTE && pread(fd, note, sizeof(note), (off_t)ph[i].p_offset) == sizeof(note) &&
			   note[2] == PVH_NOTE_TYPE) {
			entry = note[4];
		}
	}
	close(fd);
	if (!entry)
		die("no PVH entry point");
	return entry;
}

static void write_start_info(uint8_t *mem, uint64_t mem_size, const char *cmdline)
{
	struct pvh_memmap_entry map[] = {
	    {0, PLAT_EBDA_START, PVH_MEM_RAM, 0},
	    {PLAT_LOW_END, mem_size - PLAT_LOW_END, PVH_MEM_RAM, 0},
	};
	struct pvh_start_info si = {
	    .magic = PVH_START_MAGIC,
	    .version = PVH_START_VERSION,
	    .cmdline_paddr = CMDLINE_ADDR,
	    .memmap_paddr = MAP_ADDR,
	    .memmap_entries = ARRAY_LEN(map),
	};

	memcpy(mem + INFO_ADDR, &si, sizeof(si));
	memcpy(mem + MAP_ADDR, map, sizeof(map));
	memcpy(mem + CMDLINE_ADDR, cmdline, strlen(cmdline) + 1);
}

static void setup_vcpu(int kvm, int vcpu, uint32_t entry)
{
	static uint64_t room[1 + 5 * CPUID_MAX]; /* struct kvm_cpuid2 with its entries, 40 bytes each */
	struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)room;
	struct kvm_segment code = {
	    .base = 0, .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1};
	struct kvm_segment data = {
	    .base = 0, .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
	struct kvm_regs regs = {.rip = entry, .rbx = INFO_ADDR, .rflags = 2};
	struct kvm_sregs sregs;

	cpuid->nent = CPUID_MAX;
	need(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	need(ioctl(vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	need(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 = 0x11;
	sregs.cr4 = 0;
	sregs.efer = 0;
	need(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	need(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* true: the guest has switched itself off. */
static bool port_io(const struct kvm_run *run)
{
	uint8_t *p = (uint8_t *)(uintptr_t)run + run->io.data_offset;
	size_t n = (size_t)run->io.size * run->io.count;

	if (run->io.direction == KVM_EXIT_IO_IN) {
		memset(p, run->io.port == PLAT_PORT_COM1 + 5 ? 0x60 : 0xff, n); /* line status: ready to send */
	} else if (run->io.port == PLAT_PORT_COM1) {
		if (write(1, p, n) < 0)
			die("stdout");
	} else if (run->io.port == PLAT_PORT_SLEEP_CONTROL) {
		return *p == (PLAT_SLP_TYP_S5 << 2 | 0x20);
	}
	return false;
}

int main(int argc, char **argv)
{
	uint64_t mem_size = (argc > 3 ? strtoull(argv[3], NULL, 10) : 128) * MiB;
	const char *cmdline = argc > 2 ? argv[2] : "once";
	int kvm, vm, vcpu, run_size;
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {PLAT_IOAPIC_PINS}};
	struct kvm_userspace_memory_region slot = {.memory_size = mem_size};
	struct kvm_run *run;
	uint8_t *mem;

	if (argc < 2) {
		fprintf(stderr, "usage: bare PROBE_ELF [CMDLINE [MIB]]\n");
		return 2;
	}
	kvm = need(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	need(ioctl(vm, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");
	mem = mmap(NULL, mem_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	slot.userspace_addr = (uintptr_t)mem;
	need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	run_size = need(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	vcpu = need(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		die("mmap of kvm_run");
	write_start_info(mem, mem_size, cmdline);
	setup_vcpu(kvm, vcpu, load_elf(argv[1], mem, mem_size));
	for (;;) {
		need(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
		if (run->exit_reason == KVM_EXIT_IO) {
			if (port_io(run))
				return 0;
		} else if (run->exit_reason == KVM_EXIT_MMIO) {
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		} else if (run->exit_reason != KVM_EXIT_IOAPIC_EOI) {
			struct kvm_regs regs = {0};

			ioctl(vcpu, KVM_GET_REGS, &regs);
			fprintf(stderr, "bare: exit %u at 0x%llx\n", run->exit_reason, regs.rip);
			return 4;
		}
	}
}
