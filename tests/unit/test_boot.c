/* The guest's memory map and the kernel loaders, on memory of this process. */
#include "boot/boot.h"
#include "boot/e820.h"
#include "boot/layout.h"
#include "bulkhead/abi/platform.h"
#include "plan_fixture.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct mem_plan plan;
static struct guestmem gm;

/* One zone per size, each with its own mapping. */
static void machine(const uint64_t *sizes, size_t n)
{
	static const char *const names[] = {"z0", "z1", "z2", "z3"};
	static struct vm_spec spec;
	int none[LIM_ZONES];

	memset(&spec, 0, sizeof(spec));
	for (size_t i = 0; i < LIM_ZONES; i++)
		none[i] = -1;
	for (size_t i = 0; i < n; i++)
		fix_zone(&spec, names[i], sizes[i]);
	fix_plan(&spec, &plan);
	memset(&gm, 0, sizeof(gm));
	assert_int_equal(guestmem_map(&gm, &plan, none, NULL), 0);
}

static void one(uint64_t size)
{
	machine(&size, 1);
}

static void check_entry(const struct pvh_memmap_entry *e, uint64_t from, uint64_t to, uint32_t type)
{
	assert_true(e->addr == from);
	assert_true(e->addr + e->size == to);
	assert_int_equal(e->type, type);
}

static void map_of_two_zones_over_the_hole(void **state)
{
	struct pvh_memmap_entry e[E820_MAX];
	const uint64_t sizes[] = {GiB, 4 * GiB};
	size_t n;

	machine(sizes, 2);
	n = e820_build(&plan, e, E820_MAX);
	assert_int_equal(n, 8);
	check_entry(&e[0], 0, PLAT_EBDA_START, PVH_MEM_RAM);
	check_entry(&e[1], PLAT_EBDA_START, 0xa0000, PVH_MEM_RESERVED);
	check_entry(&e[2], PLAT_ACPI_START, PLAT_LOW_END, PVH_MEM_RESERVED);
	check_entry(&e[3], PLAT_LOW_END, GiB, PVH_MEM_RAM);
	check_entry(&e[4], GiB, 3 * GiB, PVH_MEM_RAM);
	check_entry(&e[5], PLAT_ECAM_START, PLAT_ECAM_START + PLAT_ECAM_PER_SEGMENT, PVH_MEM_RESERVED);
	check_entry(&e[6], PLAT_KVM_IDENTITY_MAP, PLAT_KVM_TSS + 3 * GUEST_PAGE, PVH_MEM_RESERVED);
	check_entry(&e[7], 4 * GiB, 6 * GiB, PVH_MEM_RAM);
	assert_true(e820_low_end(&plan) == 3 * GiB);
	assert_int_equal(e820_build(&plan, e, n - 1), 0);
	assert_int_equal(e820_build(&plan, e, n), n);
}

/* The sections are one region above all RAM, and reserved: no kernel takes them for its own. */
static void map_of_epc(void **state)
{
	static struct vm_spec s;
	struct pvh_memmap_entry e[E820_MAX];
	size_t n;

	s = (struct vm_spec){.memory = {.given = true, .has_size = true, .o.size = 5 * GiB},
			     .n_epc = 2,
			     .epc = {{"a", true, 64 * MiB, TRI_UNSET}, {"b", true, 12 * KiB, TRI_ON}}};
	fix_plan(&s, &plan);
	n = e820_build(&plan, e, E820_MAX);
	assert_true(n > 2);
	check_entry(&e[n - 2], 4 * GiB, 6 * GiB, PVH_MEM_RAM);
	check_entry(&e[n - 1], 6 * GiB, 6 * GiB + 64 * MiB + 12 * KiB, PVH_MEM_RESERVED);
}

/* However small the zones are: every byte of every piece is RAM in the map or in the legacy area, and nothing overlaps. */
static void map_covers_the_plan(void **state)
{
	const uint64_t sizes[][4] = {
	    {4 * KiB, 4 * KiB, 2 * MiB, 64 * MiB},
	    {636 * KiB, 8 * KiB, 380 * KiB, 4 * MiB},
	    {640 * KiB, 256 * KiB, 256 * KiB, 8 * GiB},
	    {3 * GiB, 4 * KiB, 4 * KiB, 4 * KiB},
	};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct pvh_memmap_entry e[E820_MAX];
		uint64_t ram = 0, expected = 0, last = 0;
		size_t n;

		machine(sizes[i], 4);
		n = e820_build(&plan, e, E820_MAX);
		assert_int_not_equal(n, 0);
		for (size_t k = 0; k < n; k++) {
			assert_true(e[k].addr >= last);
			last = e[k].addr + e[k].size;
			if (e[k].type == PVH_MEM_RAM)
				ram += e[k].size;
		}
		for (size_t k = 0; k < plan.n_pieces; k++) {
			uint64_t from = plan.pieces[k].at.start.v, to = from + plan.pieces[k].at.len.v;

			for (uint64_t at = from; at < to && at < PLAT_LOW_END; at += KiB)
				expected += at < PLAT_EBDA_START ? KiB : 0;
			if (to > PLAT_LOW_END)
				expected += to - (from > PLAT_LOW_END ? from : PLAT_LOW_END);
		}
		assert_true(ram == expected);
	}
}

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

struct fake_bzimage {
	struct boot_params head; /* the setup sectors as they begin; 4096 bytes are 7 sectors and the boot sector */
	uint8_t kernel[64 * KiB];
};

static void make_bzimage(struct fake_bzimage *b)
{
	memset(b, 0, sizeof(*b));
	b->head.hdr = (struct setup_header){
	    .setup_sects = 7,
	    .jump = 0x6eeb, /* the header ends at 0x202 + 0x6e */
	    .header = 0x53726448,
	    .version = 0x20f,
	    .loadflags = LOADED_HIGH,
	    .xloadflags = XLF_KERNEL_64,
	    .relocatable_kernel = 1,
	    .kernel_alignment = 2 * MiB,
	    .pref_address = 16 * MiB,
	    .init_size = 8 * MiB,
	    .initrd_addr_max = 0x7fffffff,
	    .cmdline_size = 255,
	};
	memset(b->kernel, 0x5a, sizeof(b->kernel));
}

static int load(const void *data, size_t len, int initramfs, const char *cmdline, struct boot_entry *entry)
{
	struct err e;
	int fd = file_of(data, len), r;

	r = boot_load(&gm, &(struct boot_image){fd, initramfs, cmdline, gpa(0xe0000)}, entry, &e);
	close(fd);
	return r;
}

static void bzimage(void **state)
{
	static struct fake_bzimage b;
	struct boot_params bp;
	struct boot_entry entry;
	static uint8_t got[64 * KiB];
	uint64_t pt;
	int initramfs = file_of("initramfs", 9);

	make_bzimage(&b);
	one(128 * MiB);
	assert_int_equal(load(&b, sizeof(b), initramfs, "a b", &entry), 0);
	assert_int_equal(entry.mode, BOOT_LINUX64);
	assert_int_equal(entry.ip.v, 16 * MiB + 0x200);
	assert_int_equal(gm_read(&gm, gpa(16 * MiB), got, sizeof(got)), 0);
	assert_memory_equal(got, b.kernel, sizeof(got));
	assert_int_equal(gm_read(&gm, entry.info, &bp, sizeof(bp)), 0);
	assert_int_equal(bp.hdr.type_of_loader, 0xff);
	assert_int_equal(bp.hdr.ramdisk_size, 9);
	assert_int_equal(bp.hdr.ramdisk_image, 128 * MiB - 4096);
	assert_int_equal(bp.acpi_rsdp_addr, 0xe0000);
	assert_int_equal(gm_read(&gm, gpa(bp.hdr.ramdisk_image), got, 9), 0);
	assert_memory_equal(got, "initramfs", 9);
	assert_int_equal(gm_read(&gm, gpa(bp.hdr.cmd_line_ptr), got, 4), 0);
	assert_string_equal((char *)got, "a b");
	assert_int_equal(bp.e820_entries, 6);
	assert_int_equal(bp.e820_table[0].size, PLAT_EBDA_START);
	assert_int_equal(gm_read(&gm, gpa(0xffff0), got, 6), 0);
	assert_memory_equal(got, "\xba\xf9\x0c\xb0\x06\xee", 6); /* the reset register of the FADT, by real-mode code */
	/* 4 GiB identity: the last large page of the last table. */
	assert_int_equal(gm_read(&gm, gpa(entry.cr3.v + 0x5000 + 511 * 8), &pt, 8), 0);
	assert_true(pt == (4 * GiB - 2 * MiB + 0x83));
	close(initramfs);
}

static void bzimage_elsewhere(void **state)
{
	static struct fake_bzimage b;
	struct boot_entry entry;

	make_bzimage(&b);
	one(20 * MiB); /* too small for 16 MiB and 8 more: at the first aligned place */
	assert_int_equal(load(&b, sizeof(b), -1, "", &entry), 0);
	assert_int_equal(entry.ip.v, 2 * MiB + 0x200);
	b.head.hdr.relocatable_kernel = 0;
	assert_true(load(&b, sizeof(b), -1, "", &entry) < 0);
	b.head.hdr.relocatable_kernel = 1;
	b.head.hdr.kernel_alignment = 3;
	assert_true(load(&b, sizeof(b), -1, "", &entry) < 0);
	b.head.hdr.kernel_alignment = 0x80000000;
	assert_true(load(&b, sizeof(b), -1, "", &entry) < 0);
}

/* Every field that a hostile file can set to something else. */
static void bzimage_refused(void **state)
{
	static struct fake_bzimage b;
	struct boot_entry entry;
	char longer[300];

	one(128 * MiB);
	make_bzimage(&b);
	b.head.hdr.version = 0x20b;
	assert_true(load(&b, sizeof(b), -1, "", &entry) < 0);
	make_bzimage(&b);
	b.head.hdr.xloadflags = 0;
	assert_true(load(&b, sizeof(b), -1, "", &entry) < 0);
	make_bzimage(&b);
	b.head.hdr.setup_sects = 255;
	assert_true(load(&b, sizeof(b), -1, "", &entry) < 0);
	make_bzimage(&b);
	b.head.hdr.pref_address = UINT64_MAX - 4096;
	b.head.hdr.init_size = UINT32_MAX;
	assert_true(load(&b, sizeof(b), -1, "", &entry) < 0);
	make_bzimage(&b);
	b.head.hdr.pref_address = 0; /* on the boot information */
	assert_int_equal(load(&b, sizeof(b), -1, "", &entry), 0);
	assert_int_equal(entry.ip.v, 2 * MiB + 0x200);
	make_bzimage(&b);
	b.head.hdr.syssize = sizeof(b.kernel) / 16 + 1; /* cut short */
	assert_true(load(&b, sizeof(b), -1, "", &entry) < 0);
	b.head.hdr.syssize = sizeof(b.kernel) / 16; /* whole, and with a signature behind it */
	assert_int_equal(load(&b, sizeof(b), -1, "", &entry), 0);
	b.head.hdr.syssize = sizeof(b.kernel) / 32;
	assert_int_equal(load(&b, sizeof(b), -1, "", &entry), 0);
	make_bzimage(&b);
	b.head.hdr.jump = 0xffeb; /* a header longer than any */
	assert_int_equal(load(&b, sizeof(b), -1, "", &entry), 0);
	make_bzimage(&b);
	memset(longer, 'x', sizeof(longer));
	longer[256] = 0;
	assert_true(load(&b, sizeof(b), -1, longer, &entry) < 0);
	longer[255] = 0;
	assert_int_equal(load(&b, sizeof(b), -1, longer, &entry), 0);
	for (size_t len = 0; len < 4096 + 0x201; len += 61)
		assert_true(load(&b, len, -1, "", &entry) < 0);
}

static void initramfs_stays_below_the_kernels_limit(void **state)
{
	static struct fake_bzimage b;
	struct boot_params bp;
	struct boot_entry entry;
	int initramfs = file_of("initramfs", 9);

	make_bzimage(&b);
	b.head.hdr.initrd_addr_max = 64 * MiB - 1;
	one(128 * MiB);
	assert_int_equal(load(&b, sizeof(b), initramfs, "", &entry), 0);
	assert_int_equal(gm_read(&gm, entry.info, &bp, sizeof(bp)), 0);
	assert_int_equal(bp.hdr.ramdisk_image, 64 * MiB - 4096);
	b.head.hdr.initrd_addr_max = 24 * MiB - 1; /* where the kernel ends */
	assert_true(load(&b, sizeof(b), initramfs, "", &entry) < 0);
	b.head.hdr.initrd_addr_max = 0;
	assert_true(load(&b, sizeof(b), initramfs, "", &entry) < 0);
	close(initramfs);
}

struct fake_elf {
	Elf64_Ehdr h;
	Elf64_Phdr ph[3];
	struct {
		uint32_t namesz, descsz, type;
		char name[4];
		uint64_t entry;
	} note;
	uint8_t code[300];
};

static void make_elf(struct fake_elf *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->h.e_ident, ELFMAG, SELFMAG);
	f->h.e_ident[EI_CLASS] = ELFCLASS64;
	f->h.e_ident[EI_DATA] = ELFDATA2LSB;
	f->h.e_machine = EM_X86_64;
	f->h.e_phoff = offsetof(struct fake_elf, ph);
	f->h.e_phentsize = sizeof(Elf64_Phdr);
	f->h.e_phnum = 3;
	f->ph[0] = (Elf64_Phdr){
	    .p_type = PT_LOAD, .p_offset = offsetof(struct fake_elf, code), .p_paddr = MiB, .p_filesz = 300, .p_memsz = 9000};
	f->ph[1] = (Elf64_Phdr){.p_type = PT_LOAD, .p_paddr = 3 * MiB, .p_memsz = 4096};
	f->ph[2] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = offsetof(struct fake_elf, note), .p_filesz = sizeof(f->note)};
	f->note.namesz = 4;
	f->note.descsz = 8;
	f->note.type = PVH_NOTE_TYPE;
	memcpy(f->note.name, PVH_NOTE_NAME, 4);
	f->note.entry = MiB + 16;
	memset(f->code, 0x90, sizeof(f->code));
}

static void pvh(void **state)
{
	struct pvh_start_info si;
	struct boot_entry entry;
	struct fake_elf f;
	uint8_t got[301];

	make_elf(&f);
	one(16 * MiB);
	assert_int_equal(load(&f, sizeof(f), -1, "x", &entry), 0);
	assert_int_equal(entry.mode, BOOT_PVH32);
	assert_int_equal(entry.ip.v, MiB + 16);
	assert_int_equal(gm_read(&gm, gpa(MiB), got, sizeof(got)), 0);
	assert_memory_equal(got, f.code, 300);
	assert_int_equal(got[300], 0);
	assert_int_equal(gm_read(&gm, entry.info, &si, sizeof(si)), 0);
	assert_int_equal(si.magic, PVH_START_MAGIC);
	assert_int_equal(si.rsdp_paddr, 0xe0000);
	assert_int_equal(si.memmap_entries, 6);
	f.ph[0].p_paddr = BOOT_AREA_START - 100; /* over the boot information */
	assert_true(load(&f, sizeof(f), -1, "x", &entry) < 0);
	f.ph[0].p_paddr = 16 * MiB - 8999; /* one byte too far */
	assert_true(load(&f, sizeof(f), -1, "x", &entry) < 0);
	f.ph[0].p_paddr = UINT64_MAX - 8;
	assert_true(load(&f, sizeof(f), -1, "x", &entry) < 0);
	make_elf(&f);
	f.note.entry = 16 * MiB;
	assert_true(load(&f, sizeof(f), -1, "x", &entry) < 0);
	make_elf(&f);
	f.note.namesz = UINT32_MAX;
	assert_true(load(&f, sizeof(f), -1, "x", &entry) < 0);
}

static void spoil(uint8_t *data, size_t len)
{
	static const uint64_t nasty[] = {
	    0, 1, 0x7f, 0xff, 0xffff, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 4095, 4 * GiB};

	for (long n = 1 + random() % 3; n > 0; n--) {
		size_t at = (size_t)random() % len, width = (size_t)1 << random() % 4;
		uint64_t v = random() % 2 ? nasty[(size_t)random() % ARRAY_LEN(nasty)] : (uint64_t)random();

		memcpy(data + at, &v, at + width > len ? len - at : width);
	}
}

/* Files with a few wrong numbers are loaded or refused; neither touches memory that is not the guest's: there is none mapped
 * around it. */
static void spoiled_files(void **state)
{
	static struct fake_bzimage b;
	struct boot_entry entry;
	struct fake_elf f;

	one(16 * MiB);
	srandom(7);
	for (unsigned i = 0; i < 20000; i++) {
		make_elf(&f);
		spoil((uint8_t *)&f, offsetof(struct fake_elf, code));
		if (load(&f, sizeof(f), -1, "", &entry) == 0)
			assert_true(gm_is_ram(&gm, entry.ip, 1));
	}
	for (unsigned i = 0; i < 5000; i++) {
		make_bzimage(&b);
		b.head.hdr.init_size = 2 * MiB;
		spoil((uint8_t *)&b + 0x1f1, 0x80);
		if (load(&b, 8192, -1, "", &entry) == 0)
			assert_true(gm_is_ram(&gm, entry.ip, 1));
	}
}

/* Zones are neighbours in the guest and not in this process: accesses are cut at the border. */
static void accesses(void **state)
{
	const uint64_t sizes[] = {64 * KiB, 2 * MiB};
	uint8_t a[8192], b[8192];
	uint64_t len = 8192;

	machine(sizes, 2);
	memset(a, 0xc3, sizeof(a));
	assert_int_equal(gm_write(&gm, gpa(64 * KiB - 100), a, sizeof(a)), 0);
	assert_int_equal(gm_read(&gm, gpa(64 * KiB - 100), b, sizeof(b)), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_null(gm_ptr(&gm, gpa(64 * KiB - 100), sizeof(a)));
	assert_non_null(gm_ptr(&gm, gpa(64 * KiB - 100), 100));
	assert_null(gm_ptr(&gm, gpa(0), 0));
	assert_non_null(gm_chunk(&gm, gpa(64 * KiB - 100), &len));
	assert_int_equal(len, 100);
	assert_false(gm_is_ram(&gm, gpa(2 * MiB + 64 * KiB - 1), 2));
	assert_true(gm_is_ram(&gm, gpa(2 * MiB + 64 * KiB - 1), 1));
	assert_false(gm_is_ram(&gm, gpa(UINT64_MAX), 2));
	assert_true(gm_write(&gm, gpa(2 * MiB + 64 * KiB - 1), a, 2) < 0);
	assert_true(guestmem_owns(&gm, gm_ptr(&gm, gpa(100), 1)));
	assert_false(guestmem_owns(&gm, a));
	assert_false(guestmem_owns(&gm, gm.zone_at[0] + 64 * KiB));
	assert_false(guestmem_owns(&gm, gm.zone_at[0] - 1));
}

/* EPC memory is the guest's alone: mapped, known as guest memory to who reports a fault, and out of reach for device models. */
static void epc_is_no_ram(void **state)
{
	static struct vm_spec s;
	int none[LIM_ZONES], fds[LIM_EPC];
	uint64_t len = 1;

	memset(none, 0xff, sizeof(none));
	s = (struct vm_spec){.memory = {.given = true, .has_size = true, .o.size = 64 * MiB},
			     .n_epc = 2,
			     .epc = {{"a", true, 4 * MiB, TRI_ON}, {"b", true, 8 * KiB, TRI_UNSET}}};
	fix_plan(&s, &plan);
	memset(&gm, 0, sizeof(gm));
	assert_int_equal(guestmem_map(&gm, &plan, none, NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		fds[i] = memfd_create("epc", MFD_CLOEXEC);
		assert_int_equal(ftruncate(fds[i], (off_t)plan.epc[i].at.len.v), 0);
	}
	assert_int_equal(epc_map(&gm, fds, NULL), 0);
	assert_int_equal(gm.n_epc, 2);
	for (size_t i = 0; i < 2; i++) {
		struct stat st;
		uint8_t byte = 0;

		assert_true(gm.epc[i].at.start.v == plan.epc[i].at.start.v);
		assert_string_equal(epc_id_at(&gm, gm.epc[i].host + plan.epc[i].at.len.v - 1), plan.epc[i].id);
		assert_null(epc_id_at(&gm, gm.epc[i].host + plan.epc[i].at.len.v));
		assert_null(epc_id_at(&gm, gm.epc[i].host - 1));
		assert_true(guestmem_owns(&gm, gm.epc[i].host));
		assert_null(gm_chunk(&gm, plan.epc[i].at.start, &len));
		assert_false(gm_is_ram(&gm, plan.epc[i].at.start, 1));
		gm.epc[i].host[4096] = 0x5a; /* the object itself, no copy of it */
		assert_int_equal(pread(fds[i], &byte, 1, 4096), 1);
		assert_int_equal(byte, 0x5a);
		assert_int_equal(fstat(fds[i], &st), 0);
		/* prefault: all of it is there; otherwise only what was touched, with what the file system adds to it */
		assert_true((uint64_t)st.st_blocks * 512 == (i == 0 ? plan.epc[i].at.len.v : 4 * KiB));
		close(fds[i]);
	}
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(epc_map(&gm, fds, NULL), -ENODEV);
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(map_of_two_zones_over_the_hole),
	    cmocka_unit_test(map_of_epc),
	    cmocka_unit_test(map_covers_the_plan),
	    cmocka_unit_test(bzimage),
	    cmocka_unit_test(bzimage_elsewhere),
	    cmocka_unit_test(bzimage_refused),
	    cmocka_unit_test(initramfs_stays_below_the_kernels_limit),
	    cmocka_unit_test(pvh),
	    cmocka_unit_test(spoiled_files),
	    cmocka_unit_test(accesses),
	    cmocka_unit_test(epc_is_no_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
