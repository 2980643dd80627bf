/* The memory map that firmware would hand to the guest, made from the plan. PURE. */
#pragma once
#include "bulkhead/abi/pvh.h"
#include "model/mem_plan.h"

#define E820_MAX (PLAN_PIECES_MAX + LIM_SEGMENTS + 8)

/* One RAM entry per piece of the plan (a guest sees its zones' borders; Linux joins neighbours by itself), cut around the legacy
 * area below 1 MiB; what firmware, ECAM, KVM itself and EPC sections occupy is reserved. Ascending, not overlapping. Returns the
 * number of entries; 0 if cap is too small. */
size_t e820_build(const struct mem_plan *plan, struct pvh_memmap_entry *ret, size_t cap);

/* The end of the RAM that lies without a gap above 1 MiB, at most PLAT_RAM_LOW_END: where an initramfs may be put. */
uint64_t e820_low_end(const struct mem_plan *plan);
