#include "model/plan_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t plan_address_limit(unsigned phys_bits)
{
	uint64_t top = UINT64_C(1) << phys_bits;

	return phys_bits >= 40 ? top - 16 * GiB : top;
}

/* Takes len bytes at the next address that align divides; false if that leaves 64 bits. */
static bool place(uint64_t *cursor, uint64_t align, uint64_t len, gspan_t *ret_at)
{
	uint64_t start, end;

	if (!align_up_u64(*cursor, align, &start) || !add_u64(start, len, &end))
		return false;
	*ret_at = gspan(start, len);
	*cursor = end;
	return true;
}

static bool place_hotplug(const struct vm_spec *spec, struct mem_plan *p, uint64_t *cursor)
{
	enum plan_window_kind kind = spec->memory.hotplug_method == HOTPLUG_ACPI ? WINDOW_HOTPLUG_ACPI : WINDOW_HOTPLUG_ZONE;

	for (size_t i = 0; i < p->n_zones; i++) {
		struct plan_zone *z = &p->zones[i];
		uint64_t align = plan_hotplug_align(z->page_size), len;

		if (z->hotplug_size == 0)
			continue;
		if (!align_up_u64(z->hotplug_size, align, &len) || !place(cursor, align, len, &z->hotplug))
			return false;
		plan_add_window(p, kind, i, z->hotplug.start.v, z->hotplug.len.v);
	}
	return true;
}

static bool place_epc(struct mem_plan *p, uint64_t *cursor)
{
	for (size_t i = 0; i < p->n_epc; i++) {
		/* One region: only its start is aligned, sections follow each other without gaps. */
		if (!place(cursor, i == 0 ? PLAN_EPC_ALIGN : GUEST_PAGE, p->epc[i].at.len.v, &p->epc[i].at))
			return false;
		plan_add_window(p, WINDOW_EPC, i, p->epc[i].at.start.v, p->epc[i].at.len.v);
	}
	return true;
}

static void does_not_fit(const struct vm_spec *spec, const struct mem_plan *p, bool too_big_for_any, uint64_t need_end,
			 struct diags *ds)
{
	const char *option = spec->n_zones > 0 ? "--memory-zone" : "--memory";
	unsigned bits = PLAN_PHYS_BITS_MIN;
	char text[64];

	while (!too_big_for_any && bits <= PLAN_PHYS_BITS_MAX && plan_address_limit(bits) < need_end)
		bits++;
	if (too_big_for_any || bits > PLAN_PHYS_BITS_MAX) {
		diag_add(ds, DIAG_ERROR, option, "", "ask for less memory, or for a smaller hotplug_size",
			 "the memory, its hotplug windows and the PCI windows need more than the %u address bits that any x86-64 "
			 "machine has",
			 PLAN_PHYS_BITS_MAX);
		return;
	}
	snprintf(text, sizeof(text), "addresses up to %#" PRIx64, need_end);
	diag_add(
	    ds, DIAG_ERROR, option, text, "ask for less memory or a smaller hotplug_size, or use a host with more address bits",
	    "the memory, its hotplug windows and the PCI windows need %u bits of guest-physical address, this host offers %u",
	    bits, p->phys_bits);
}

bool plan_above_ram(const struct vm_spec *spec, uint64_t ram_end, struct mem_plan *p, struct diags *ds)
{
	uint64_t cursor = ram_end < PLAN_RAM_HIGH_START ? PLAN_RAM_HIGH_START : ram_end;
	uint64_t limit = plan_address_limit(p->phys_bits), pci_start, need_end, share;

	/* Each segment gets at least 4 GiB for 64-bit BARs; an equal part of everything that is left if there is more. */
	if (!place_hotplug(spec, p, &cursor) || !place_epc(p, &cursor) || !align_up_u64(cursor, PLAN_PCI64_ALIGN, &pci_start) ||
	    !add_u64(pci_start, p->n_segments * PLAN_PCI64_ALIGN, &need_end)) {
		does_not_fit(spec, p, true, 0, ds);
		return false;
	}
	if (need_end > limit) {
		does_not_fit(spec, p, false, need_end, ds);
		return false;
	}
	share = (limit - pci_start) / p->n_segments & ~(PLAN_PCI64_ALIGN - 1);
	for (uint32_t s = 0; s < p->n_segments; s++)
		plan_add_window(p, WINDOW_PCI64, s, pci_start + s * share, share);
	return true;
}
