/* What a guest is told, or given, beside its plan, as lists for people and programs: `plan` shows them, `info` sends them. PURE.
 */
#pragma once
#include "model/node_perf.h"

/* vCPUs that may run on the same host CPUs only. */
struct pinned {
	struct nodeset vcpus, host_cpus;
	bool by_default; /* beside their memory, not asked for */
};

/* Groups what plan_affinity made. ret has room for n; returns how many groups. */
size_t pinned_groups(const struct affinity_spec *a, size_t n, struct pinned *ret);

struct node_cost {
	uint32_t from, to; /* guest_numa_id */
	uint32_t cost[PERF_KINDS];
};

struct node_cache {
	uint32_t guest_numa_id;
	uint64_t size;
	uint32_t line;
};

#define NODE_COSTS_MAX (LIM_NODES * LIM_NODES)

/* What is described, ascending by index in the plan. ret has room for cap; returns how many there are, which may be more. */
size_t node_costs(const struct node_perf *perf, const struct mem_plan *plan, struct node_cost *ret, size_t cap);

/* ret has room for LIM_NODES. */
size_t node_caches(const struct node_perf *perf, const struct mem_plan *plan, struct node_cache *ret);
