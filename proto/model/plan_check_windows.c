#include "model/plan_impl.h"
#include "bulkhead/abi/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Which windows were there: each that must be is there exactly once. */
struct seen {
	bool pci32[LIM_SEGMENTS], ecam[LIM_SEGMENTS], pci64[LIM_SEGMENTS], hotplug[LIM_ZONES], epc[LIM_EPC], platform;
};

static bool once(bool *seen)
{
	if (*seen)
		return false;
	*seen = true;
	return true;
}

static bool same(gspan_t a, gspan_t b)
{
	return a.start.v == b.start.v && a.len.v == b.len.v;
}

static bool inside(gspan_t s, uint64_t start, uint64_t end)
{
	return gspan_contains(gspan(start, end - start), s.start, s.len);
}

/* at is not empty and does not wrap. */
static bool window_sane(const struct mem_plan *p, const struct plan_window *w, uint64_t limit, struct seen *seen)
{
	bool by_segment = w->index < p->n_segments, by_zone = w->index < p->n_zones && p->zones[w->index].hotplug_size > 0;

	switch (w->kind) {
	case WINDOW_HOLE:
		return w->index == 0 && is_aligned(w->at.start.v | w->at.len.v, GUEST_PAGE);
	case WINDOW_PCI32:
		return by_segment && once(&seen->pci32[w->index]) && is_aligned(w->at.start.v | w->at.len.v, MiB) &&
		       inside(w->at, PLAT_PCI32_START, PLAT_PCI32_END);
	case WINDOW_ECAM:
		return by_segment && once(&seen->ecam[w->index]) &&
		       same(w->at, gspan(PLAT_ECAM_START + (uint64_t)w->index * PLAT_ECAM_PER_SEGMENT, PLAT_ECAM_PER_SEGMENT));
	case WINDOW_PLATFORM:
		return w->index == 0 && once(&seen->platform) &&
		       same(w->at, gspan(PLAT_FIXED_START, PLAT_FIXED_END - PLAT_FIXED_START));
	case WINDOW_HOTPLUG_ACPI: /* DIMMs cannot be there at boot; --memory only */
		return by_zone && once(&seen->hotplug[w->index]) && same(w->at, p->zones[w->index].hotplug) && p->n_zones == 1 &&
		       p->zones[0].hotplugged_size == 0 && p->zones[0].block_size == plan_hotplug_align(p->zones[0].page_size);
	case WINDOW_HOTPLUG_ZONE:
		return by_zone && once(&seen->hotplug[w->index]) && same(w->at, p->zones[w->index].hotplug) &&
		       p->zones[w->index].block_size ==
			   (p->zones[w->index].page_size > VIRTIO_MEM_BLOCK ? p->zones[w->index].page_size : VIRTIO_MEM_BLOCK);
	case WINDOW_EPC:
		return w->index < p->n_epc && once(&seen->epc[w->index]) && same(w->at, p->epc[w->index].at);
	case WINDOW_PCI64:
		return by_segment && once(&seen->pci64[w->index]) && is_aligned(w->at.start.v | w->at.len.v, PLAN_PCI64_ALIGN) &&
		       inside(w->at, PLAN_RAM_HIGH_START, limit);
	}
	return false;
}

/* A hole is a gap that alignment left: RAM continues behind it, and none of it lies where no RAM may be. */
static bool hole_in_ram(const struct mem_plan *p, gspan_t hole)
{
	uint64_t end = hole.start.v + hole.len.v,
		 ram_end = p->pieces[p->n_pieces - 1].at.start.v + p->pieces[p->n_pieces - 1].at.len.v;

	return end < ram_end && (end <= PLAN_RAM_LOW_END || hole.start.v >= PLAN_RAM_HIGH_START);
}

static int nothing_missing(const struct mem_plan *p, const struct seen *seen, struct err *e)
{
	if (!seen->platform)
		return err_set(e, -EINVAL, "the platform's window is missing");
	for (uint32_t s = 0; s < p->n_segments; s++)
		if (!seen->pci32[s] || !seen->ecam[s] || !seen->pci64[s])
			return err_set(e, -EINVAL, "PCI segment %u lacks a window", s);
	for (size_t i = 0; i < p->n_zones; i++)
		if (seen->hotplug[i] != (p->zones[i].hotplug_size > 0))
			return err_set(e, -EINVAL, "zone %s lacks its hotplug window", p->zones[i].id);
	for (size_t i = 0; i < p->n_epc; i++)
		if (!seen->epc[i])
			return err_set(e, -EINVAL, "EPC section %s lacks its window", p->epc[i].id);
	return 0;
}

/* Pieces are known to be sound when this runs. */
int plan_check_windows(const struct mem_plan *p, uint64_t limit, struct err *e)
{
	struct seen seen = {0};
	uint64_t last_end = 0;
	size_t piece = 0;

	for (size_t i = 0; i < p->n_windows; i++) {
		const struct plan_window *w = &p->windows[i];
		uint64_t end;

		if (w->at.len.v == 0 || !gspan_end(w->at, &end) || end > limit)
			return err_set(e, -EINVAL, "window %zu is empty or beyond the address bits", i);
		if (w->at.start.v < last_end)
			return err_set(e, -EINVAL, "window %zu is out of order", i);
		if (!window_sane(p, w, limit, &seen) || (w->kind == WINDOW_HOLE && !hole_in_ram(p, w->at)))
			return err_set(e, -EINVAL, "window %zu at %#" PRIx64 " is none that can be", i, w->at.start.v);
		/* Both lists ascend: the first piece that ends behind the window's start is the only one that can overlap it. */
		while (piece < p->n_pieces && p->pieces[piece].at.start.v + p->pieces[piece].at.len.v <= w->at.start.v)
			piece++;
		if (piece < p->n_pieces && gspan_overlaps(p->pieces[piece].at, w->at))
			return err_set(e, -EINVAL, "window %zu overlaps RAM of zone %s", i, p->zones[p->pieces[piece].zone].id);
		last_end = end;
	}
	return nothing_missing(p, &seen, e);
}
