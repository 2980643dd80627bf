#include "boot/e820.h"

#include "bulkhead/abi/platform.h"

struct map {
	struct pvh_memmap_entry *e;
	size_t n, cap;
	bool full;
};

static void add(struct map *m, uint64_t start, uint64_t end, uint32_t type)
{
	struct pvh_memmap_entry *last = m->n ? &m->e[m->n - 1] : NULL;

	if (start >= end)
		return;
	/* Reserved neighbours (one ECAM block per segment) say nothing more as many entries than as one. */
	if (last && type == PVH_MEM_RESERVED && last->type == type && last->addr + last->size == start) {
		last->size += end - start;
		return;
	}
	if (m->n == m->cap) {
		m->full = true;
		return;
	}
	m->e[m->n++] = (struct pvh_memmap_entry){start, end - start, type, 0};
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void add_legacy(struct map *m)
{
	add(m, PLAT_EBDA_START, 0xa0000, PVH_MEM_RESERVED);
	/* 0xa0000 to 0xdffff (video memory and option ROMs of a PC) stays out of the map. */
	add(m, PLAT_ACPI_START, PLAT_LOW_END, PVH_MEM_RESERVED);
}

static void add_below_4g(struct map *m, const struct mem_plan *plan)
{
	for (size_t i = 0; i < plan->n_windows; i++) {
		gspan_t s = plan->windows[i].at;

		if (plan->windows[i].kind == WINDOW_ECAM)
			add(m, s.start.v, s.start.v + s.len.v, PVH_MEM_RESERVED);
	}
	add(m, PLAT_KVM_IDENTITY_MAP, PLAT_KVM_TSS + 3 * GUEST_PAGE, PVH_MEM_RESERVED);
}

size_t e820_build(const struct mem_plan *plan, struct pvh_memmap_entry *ret, size_t cap)
{
	struct map m = {ret, 0, cap, false};
	bool legacy = false, low_done = false;

	for (size_t i = 0; i < plan->n_pieces; i++) {
		gspan_t s = plan->pieces[i].at;
		uint64_t end = s.start.v + s.len.v;

		if (s.start.v >= PLAT_RAM_LOW_END && !low_done) {
			add_below_4g(&m, plan);
			low_done = true;
		}
		add(&m, s.start.v, min_u64(end, PLAT_EBDA_START), PVH_MEM_RAM);
		if (end > PLAT_EBDA_START && !legacy) {
			add_legacy(&m);
			legacy = true;
		}
		add(&m, max_u64(s.start.v, PLAT_LOW_END), end, PVH_MEM_RAM);
	}
	if (!low_done)
		add_below_4g(&m, plan);
	for (size_t i = 0; i < plan->n_epc; i++) /* above all RAM; neighbours become one entry */
		add(&m, plan->epc[i].at.start.v, plan->epc[i].at.start.v + plan->epc[i].at.len.v, PVH_MEM_RESERVED);
	return m.full ? 0 : m.n;
}

uint64_t e820_low_end(const struct mem_plan *plan)
{
	uint64_t end = 0;

	for (size_t i = 0; i < plan->n_pieces; i++) {
		gspan_t s = plan->pieces[i].at;

		if (s.start.v != end || end >= PLAT_RAM_LOW_END)
			break;
		end = s.start.v + s.len.v;
	}
	return min_u64(end, PLAT_RAM_LOW_END);
}
