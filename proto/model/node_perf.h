/* What it costs to reach one guest node's memory from another, and memory-side caches: what the guest reads in HMAT
 * (ACPI 5.2.29). Beside the plan and not in it, because only the worker needs it and few machines describe it. PURE. */
#pragma once
#include "bulkhead/err.h"
#include "model/mem_plan.h"

#define LIM_LATENCY_NS     65534u    /* the table has 16 bits for each value, two of which mean something else */
#define LIM_BANDWIDTH_MBS  10000000u /* beyond 65534 the table rounds, with one unit for all values */
#define LIM_CACHE_LINE     32768u
#define CACHE_LINE_DEFAULT 64u

struct node_perf {
	uint32_t cost[PERF_KINDS][LIM_NODES][LIM_NODES]; /* [kind][from][to] by index of mem_plan.nodes; 0: not described */
	struct {
		uint64_t size; /* bytes; 0: none */
		uint16_t line; /* bytes */
	} cache[LIM_NODES];
};

/* What a checked spec says about its nodes; plan is the spec's. false: nothing at all, and *ret is all zero. */
bool node_perf_build(const struct vm_spec *spec, const struct mem_plan *plan, struct node_perf *ret);

/* What a receiver must verify before it believes it: bounds, and nothing about nodes that are not there or cannot have it. */
int node_perf_check(const struct node_perf *perf, const struct mem_plan *plan, struct err *e);

/* true if anything is described between these two, by index. */
static inline bool node_perf_any(const struct node_perf *perf, size_t from, size_t to)
{
	for (unsigned k = 0; k < PERF_KINDS; k++)
		if (perf->cost[k][from][to])
			return true;
	return false;
}
