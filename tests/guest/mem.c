/* The memory map we were given, the page tables, and the little memory we keep for ourselves. */
#include "probe.h"

#define GIB_SHIFT 30
#define PTE_TABLE 7u    /* present, writable, user */
#define PTE_LEAF  0x87u /* a 2 MiB page */

struct range mem_map[RANGES_MAX];
unsigned n_mem_map;
static struct range reserved[32];
static unsigned n_reserved;
static uint64_t pool_next, pool_end;

bool mem_read_map(const struct pvh_start_info *si)
{
	uint64_t at = si->memmap_paddr;
	bool sane = true;

	if (si->version < PVH_START_VERSION || !at || !si->memmap_entries ||
	    at + si->memmap_entries * sizeof(struct pvh_memmap_entry) > (1ull << 32))
		return false;
	for (unsigned i = 0; i < si->memmap_entries; i++, at += sizeof(struct pvh_memmap_entry)) {
		const struct pvh_memmap_entry *e = (const struct pvh_memmap_entry *)at;

		unsigned j = n_mem_map;

		if (n_mem_map == RANGES_MAX || e->size == 0 || e->addr + e->size < e->addr) {
			print("# map entry %u dropped: 0x%lx + 0x%lx type %u\n", i, e->addr, e->size, e->type);
			sane &= e->size == 0; /* says nothing, does no harm */
			continue;
		}
		for (; j && mem_map[j - 1].start > e->addr; j--) /* ACPI 15.3 promises no order */
			mem_map[j] = mem_map[j - 1];
		mem_map[j] = (struct range){e->addr, e->addr + e->size, e->type};
		n_mem_map++;
	}
	for (unsigned i = 1; i < n_mem_map; i++)
		sane &= mem_map[i - 1].end <= mem_map[i].start;
	return sane;
}

void mem_print_map(void)
{
	static const char *const types[] = {"0", "ram", "reserved", "acpi", "nvs", "unusable", "disabled", "pmem"};

	print("# memory map, %u entries\n", n_mem_map);
	for (unsigned i = 0; i < n_mem_map; i++) {
		const struct range *r = &mem_map[i];
		uint64_t bytes = r->end - r->start;

		print("# map 0x%016lx-0x%016lx %s %lu KiB\n", r->start, r->end - 1,
		      r->type < ARRAY_LEN(types) ? types[r->type] : "unknown", bytes >> 10);
	}
}

void mem_reserve(uint64_t start, uint64_t end, const char *why)
{
	if (start >= end || n_reserved == ARRAY_LEN(reserved))
		return;
	reserved[n_reserved++] = (struct range){start, end, 0};
	print("# kept 0x%016lx-0x%016lx %s\n", start, end - 1, why);
}

bool mem_is_ours(uint64_t start, uint64_t len)
{
	for (unsigned i = 0; i < n_reserved; i++)
		if (start < reserved[i].end && reserved[i].start < start + len)
			return true;
	return false;
}

bool area_next_free(uint64_t *start, uint64_t end, uint64_t *ret_end)
{
	uint64_t at = (*start + PAGE - 1) & ~(PAGE - 1);
	uint64_t stop = end & ~(PAGE - 1);

	for (bool moved = true; moved;) {
		moved = false;
		for (unsigned i = 0; i < n_reserved; i++)
			if (at >= reserved[i].start && at < reserved[i].end) {
				at = (reserved[i].end + PAGE - 1) & ~(PAGE - 1);
				moved = true;
			}
	}
	for (unsigned i = 0; i < n_reserved; i++)
		if (reserved[i].start >= at && reserved[i].start < stop)
			stop = reserved[i].start & ~(PAGE - 1);
	if (at >= stop)
		return false;
	*start = at;
	*ret_end = stop;
	return true;
}

uint64_t mem_take(uint64_t len, const char *why)
{
	for (unsigned i = 0; i < n_mem_map; i++) {
		uint64_t at = mem_map[i].start > UINT64_C(0x100000) ? mem_map[i].start : UINT64_C(0x100000), stop;

		for (; mem_map[i].type == PVH_MEM_RAM && area_next_free(&at, mem_map[i].end, &stop); at = stop)
			if (stop - at >= len && at + len <= UINT64_C(4) << GIB_SHIFT && n_reserved < ARRAY_LEN(reserved)) {
				mem_reserve(at, at + len, why);
				return at;
			}
	}
	return 0;
}

uint64_t mem_low_page(void)
{
	for (unsigned i = 0; i < n_mem_map; i++) {
		const struct range *r = &mem_map[i];

		for (uint64_t at = r->start; r->type == PVH_MEM_RAM && at + PAGE <= r->end && at < 0xa0000; at += PAGE)
			if (at >= 0x8000 && !mem_is_ours(at, PAGE))
				return at;
	}
	return 0;
}

/* Enough pages for the tables of all RAM, a page per CPU, and some for addresses that commands name; right behind the image, or
 * behind a module that lies there. */
bool mem_pool_init(void)
{
	uint64_t pages = 64 + n_acpi_cpus + CPUS_MAX / 4, start = (uint64_t)image_end;
	uint64_t gib = UINT64_C(1) << GIB_SHIFT;

	for (unsigned i = 0; i < n_mem_map; i++)
		if (mem_map[i].type == PVH_MEM_RAM && mem_map[i].end > 4 * gib)
			pages += (mem_map[i].end - mem_map[i].start) / gib + 2;
	for (unsigned i = 0; i < n_reserved; i++)
		if (start < reserved[i].end && reserved[i].start < start + pages * PAGE && reserved[i].end > start) {
			start = (reserved[i].end + PAGE - 1) & ~(PAGE - 1);
			i = (unsigned)-1; /* look again at all of them */
		}
	for (unsigned i = 0; i < n_mem_map; i++)
		if (mem_map[i].type == PVH_MEM_RAM && start >= mem_map[i].start && start + pages * PAGE <= mem_map[i].end &&
		    start + pages * PAGE <= 4 * gib) {
			pool_next = start;
			pool_end = start + pages * PAGE;
			mem_reserve(pool_next, pool_end, "page tables");
			return true;
		}
	return false;
}

void *mem_page(void)
{
	void *p = (void *)pool_next;

	if (pool_next == pool_end)
		return NULL;
	pool_next += PAGE;
	return memset(p, 0, PAGE);
}

uint64_t mem_limit(void)
{
	static uint64_t limit;

	if (!limit) {
		unsigned bits = 36;

		if (cpuid(0x80000000, 0).eax >= 0x80000008)
			bits = cpuid(0x80000008, 0).eax & 0xff;
		limit = UINT64_C(1) << (bits < 46 ? bits : 46); /* the lower half of the address space has 47 */
	}
	return limit;
}

/* Tables are filled before they are linked, so a KVM that shadows them sees each entry once. */
static bool map_gib(uint64_t index)
{
	uint64_t *top = &pml4[index >> 9], *entry, *table;

	if (!*top) {
		table = mem_page();
		if (!table)
			return false;
		*top = (uint64_t)table | PTE_TABLE;
	}
	entry = (uint64_t *)(*top & ~(PAGE - 1)) + (index & 511);
	if (*entry)
		return true;
	table = mem_page();
	if (!table)
		return false;
	for (uint64_t i = 0; i < 512; i++)
		table[i] = index << GIB_SHIFT | i << 21 | PTE_LEAF;
	*(volatile uint64_t *)entry = (uint64_t)table | PTE_TABLE;
	ring0(OP_FLUSH, 0, 0, 0);
	return true;
}

bool mem_identity(uint64_t addr, uint64_t len)
{
	uint64_t last;

	if (len == 0)
		return true;
	if (__builtin_add_overflow(addr, len - 1, &last))
		return false;
	if (last < UINT64_C(4) << GIB_SHIFT)
		return true;
	if (last >= mem_limit())
		return false;
	for (uint64_t g = addr >> GIB_SHIFT; g <= last >> GIB_SHIFT; g++)
		if (!map_gib(g))
			return false;
	return true;
}
