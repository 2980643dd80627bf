/* Between the files of the plan only; other rooms include mem_plan.h. */
#pragma once
#include "model/mem_plan.h"

#define PLAN_RAM_LOW_END    (3 * GiB)
#define PLAN_RAM_HIGH_START (4 * GiB)
#define PLAN_PCI64_ALIGN    (4 * GiB)
#define PLAN_EPC_ALIGN      (2 * MiB)
#define PLAN_PHYS_BITS_MIN  36u /* the least that any x86-64 processor has */
#define PLAN_PHYS_BITS_MAX  52u /* the most that the page tables can express */
#define PLAN_ZONE_ID_PLAIN  "__ram"

/* Nothing is placed at or above this address. With 40 bits or more the last 16 GiB stay free: AMD processors keep the topmost 12
 * GiB for HyperTransport, and KVM refuses memory there. */
uint64_t plan_address_limit(unsigned phys_bits);

/* Windows may be added in any order; plan_build sorts them at the end. */
void plan_add_window(struct mem_plan *p, enum plan_window_kind kind, size_t index, uint64_t start, uint64_t len);

/* Nodes, distances and what belongs to which node; zones[].guest_node, epc[].node and segment_node. plan_numa.c */
void plan_numa(const struct vm_spec *spec, struct mem_plan *p);

/* Everything above the boot RAM that ends at ram_end: hotplug windows, EPC, 64-bit PCI. Returns false with a diagnostic when it
 * does not fit the address bits. plan_hotplug.c */
bool plan_above_ram(const struct vm_spec *spec, uint64_t ram_end, struct mem_plan *p, struct diags *ds);

/* The second half of plan_check: windows, each by itself and against each other and the pieces. plan_check_windows.c */
int plan_check_windows(const struct mem_plan *p, uint64_t limit, struct err *e);

/* What a zone's hotplug window is aligned to and rounded up to. */
static inline uint64_t plan_hotplug_align(uint64_t page_size)
{
	return page_size > HOTPLUG_ALIGN ? page_size : HOTPLUG_ALIGN;
}
