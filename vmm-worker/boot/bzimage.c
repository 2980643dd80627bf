/* Linux's x86 boot protocol 2.12 or later by its 64-bit entry point: Documentation/arch/x86/boot.rst. */
#include "boot/boot.h"
#include "boot/e820.h"
#include "boot/layout.h"
#include "bulkhead/abi/platform.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#define HDR_OFFSET       0x1f1u
#define HDR_MAGIC        0x53726448u /* "HdrS" */
#define HDR_VERSION_MIN  0x20cu
#define ENTRY64_OFFSET   0x200u
#define LOADER_UNDEFINED 0xffu
#define SECTOR           512u

#define PTE_PRESENT_RW 0x3u
#define PTE_LARGE      0x80u

_Static_assert(offsetof(struct boot_params, hdr) == HDR_OFFSET, "boot.rst: the setup header");
_Static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x70, "zero-page.rst");
_Static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "zero-page.rst");
_Static_assert(sizeof(struct boot_params) == 4096, "zero-page.rst");
_Static_assert(BOOT_SETUP_DATA + sizeof(struct setup_data) +
		       (E820_MAX - E820_MAX_ENTRIES_ZEROPAGE) * sizeof(struct boot_e820_entry) <=
		   BOOT_AREA_END,
	       "the e820 extension must fit its room");

static int check_header(const struct setup_header *h, uint64_t size, uint64_t *ret_payload, struct err *e)
{
	uint64_t setup = ((h->setup_sects ? h->setup_sects : 4u) + 1u) * (uint64_t)SECTOR;

	if (h->header != HDR_MAGIC || h->version < HDR_VERSION_MIN)
		return err_set(e, -ENOEXEC, "kernel: a bzImage of boot protocol %u.%02u; 2.12 or later (Linux 3.8) is needed",
			       h->version >> 8, h->version & 0xffu);
	if (!(h->xloadflags & XLF_KERNEL_64) || !(h->loadflags & LOADED_HIGH))
		return err_set(e, -ENOEXEC, "kernel: a bzImage without a 64-bit entry point");
	if (setup >= size || size - setup <= ENTRY64_OFFSET)
		return err_set(e, -ENOEXEC, "kernel: the bzImage ends before its kernel begins");
	/* In paragraphs of 16 bytes; some builds round up. Behind it there may be more (a signature), but not less. */
	if (h->syssize * UINT64_C(16) >= size - setup + 16)
		return err_set(e, -ENOEXEC,
			       "kernel: the bzImage has been cut short: %llu bytes of its kernel, its header says %llu",
			       (unsigned long long)(size - setup), (unsigned long long)h->syssize * 16);
	*ret_payload = setup;
	return 0;
}

/* Where the kernel wants to be, or the next best place for one that can be moved. */
static int choose_place(const struct guestmem *gm, const struct setup_header *h, uint64_t file_len, uint64_t *ret_at,
			uint64_t *ret_end, struct err *e)
{
	uint64_t need = h->init_size > file_len ? h->init_size : file_len;
	uint64_t low_end = e820_low_end(gm->plan);
	uint64_t at = h->pref_address, end;

	if (at >= PLAT_LOW_END && add_u64(at, need, &end) && end <= low_end) {
		*ret_at = at;
		*ret_end = end;
		return 0;
	}
	if (h->relocatable_kernel && is_pow2(h->kernel_alignment) && align_up_u64(PLAT_LOW_END, h->kernel_alignment, &at) &&
	    add_u64(at, need, &end) && end <= low_end) {
		*ret_at = at;
		*ret_end = end;
		return 0;
	}
	return err_set(e, -ENOMEM,
		       "kernel: needs %llu MiB at %#llx, the guest's first RAM ends at %#llx; give the guest more memory",
		       (unsigned long long)(need / MiB + 1), (unsigned long long)h->pref_address, (unsigned long long)low_end);
}

static int put_page_tables(const struct guestmem *gm)
{
	uint64_t table[512] = {0};
	int r;

	table[0] = (BOOT_PAGE_TABLES + 0x1000) | PTE_PRESENT_RW;
	r = gm_write(gm, gpa(BOOT_PAGE_TABLES), table, sizeof(table));
	for (uint64_t i = 0; i < 4; i++)
		table[i] = (BOOT_PAGE_TABLES + 0x2000 + i * 0x1000) | PTE_PRESENT_RW;
	if (r == 0)
		r = gm_write(gm, gpa(BOOT_PAGE_TABLES + 0x1000), table, sizeof(table));
	for (uint64_t gib = 0; gib < 4 && r == 0; gib++) {
		for (uint64_t i = 0; i < 512; i++)
			table[i] = (gib * GiB + i * 2 * MiB) | PTE_LARGE | PTE_PRESENT_RW;
		r = gm_write(gm, gpa(BOOT_PAGE_TABLES + 0x2000 + gib * 0x1000), table, sizeof(table));
	}
	return r;
}

/* The first 128 entries go into the zero page, the rest into a setup_data node of type SETUP_E820_EXT. */
static int put_memory_map(const struct guestmem *gm, struct boot_params *bp, struct err *e)
{
	struct pvh_memmap_entry map[E820_MAX];
	struct boot_e820_entry rest[E820_MAX];
	size_t n = e820_build(gm->plan, map, ARRAY_LEN(map)), n_rest = 0;
	struct setup_data node = {.type = SETUP_E820_EXT};
	int r;

	if (n == 0)
		return err_set(e, -E2BIG, "memory: too many pieces for the guest's memory map");
	for (size_t i = 0; i < n; i++) {
		struct boot_e820_entry *to = i < E820_MAX_ENTRIES_ZEROPAGE ? &bp->e820_table[i] : &rest[n_rest++];

		*to = (struct boot_e820_entry){map[i].addr, map[i].size, map[i].type};
	}
	bp->e820_entries = (__u8)(n - n_rest);
	if (n_rest == 0)
		return 0;
	node.len = (__u32)(n_rest * sizeof(rest[0]));
	bp->hdr.setup_data = BOOT_SETUP_DATA;
	r = gm_write(gm, gpa(BOOT_SETUP_DATA), &node, sizeof(node));
	if (r == 0)
		r = gm_write(gm, gpa(BOOT_SETUP_DATA + sizeof(node)), rest, node.len);
	return r < 0 ? err_sys(e, r, "boot information") : 0;
}

int bzimage_load(const struct guestmem *gm, const struct boot_image *img, const uint8_t *head, size_t head_len, uint64_t size,
		 struct boot_entry *ret, struct err *e)
{
	struct boot_params bp = {0};
	uint64_t payload = 0, at = 0, end = 0, initrd, initrd_size, initrd_limit;
	size_t hdr_len;
	int r;

	/* boot.rst: the header's length is the byte at 0x201, which is the offset of the jump at 0x200, counted from 0x202 */
	hdr_len = 0x202u - HDR_OFFSET + head[0x201];
	if (hdr_len > sizeof(bp.hdr))
		hdr_len = sizeof(bp.hdr);
	if (HDR_OFFSET + hdr_len > head_len)
		return err_set(e, -ENOEXEC, "kernel: the bzImage ends inside its header");
	memcpy(&bp.hdr, head + HDR_OFFSET, hdr_len);
	r = check_header(&bp.hdr, size, &payload, e);
	if (r == 0)
		r = choose_place(gm, &bp.hdr, size - payload, &at, &end, e);
	if (r < 0)
		return r;
	r = gm_load(gm, gpa(at), img->kernel_fd, payload, size - payload);
	if (r < 0)
		return err_sys(e, r, "kernel: cannot be read into the guest's memory");

	initrd_limit = (uint64_t)bp.hdr.initrd_addr_max + 1;
	r = boot_place_initramfs(gm, img, end, initrd_limit, &initrd, &initrd_size, e);
	if (r == 0)
		r = boot_put_cmdline(gm, img->cmdline, bp.hdr.cmdline_size, e);
	if (r == 0)
		r = put_memory_map(gm, &bp, e);
	if (r < 0)
		return r;
	bp.hdr.type_of_loader = LOADER_UNDEFINED;
	bp.hdr.code32_start = (__u32)at;
	bp.hdr.ramdisk_image = (__u32)initrd;
	bp.hdr.ramdisk_size = (__u32)initrd_size;
	bp.hdr.cmd_line_ptr = BOOT_CMDLINE;
	bp.acpi_rsdp_addr = img->rsdp.v;
	r = gm_write(gm, gpa(BOOT_ZERO_PAGE), &bp, sizeof(bp));
	if (r == 0)
		r = put_page_tables(gm);
	if (r < 0)
		return err_sys(e, r, "boot information");
	*ret = (struct boot_entry){BOOT_LINUX64, gpa(at + ENTRY64_OFFSET), gpa(BOOT_ZERO_PAGE), gpa(BOOT_PAGE_TABLES)};
	return 0;
}
