#include "model/guest_facts.h"

static bool same_place(const struct pinned *p, const struct affinity_spec *a)
{
	return p->by_default == a->by_default && memcmp(&p->host_cpus, &a->host_cpus, sizeof(p->host_cpus)) == 0;
}

size_t pinned_groups(const struct affinity_spec *a, size_t n, struct pinned *ret)
{
	size_t groups = 0;

	for (size_t i = 0; i < n; i++) {
		size_t g = 0;

		while (g < groups && !same_place(&ret[g], &a[i]))
			g++;
		if (g == groups)
			ret[groups++] = (struct pinned){.host_cpus = a[i].host_cpus, .by_default = a[i].by_default};
		nodeset_add(&ret[g].vcpus, a[i].vcpu);
	}
	return groups;
}

size_t node_costs(const struct node_perf *perf, const struct mem_plan *plan, struct node_cost *ret, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_nodes; i++) {
		for (size_t t = 0; t < plan->n_nodes; t++) {
			if (!node_perf_any(perf, i, t))
				continue;
			if (n < cap) {
				ret[n] =
				    (struct node_cost){.from = plan->nodes[i].guest_numa_id, .to = plan->nodes[t].guest_numa_id};
				for (unsigned k = 0; k < PERF_KINDS; k++)
					ret[n].cost[k] = perf->cost[k][i][t];
			}
			n++;
		}
	}
	return n;
}

size_t node_caches(const struct node_perf *perf, const struct mem_plan *plan, struct node_cache *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_nodes; i++)
		if (perf->cache[i].size)
			ret[n++] = (struct node_cache){plan->nodes[i].guest_numa_id, perf->cache[i].size, perf->cache[i].line};
	return n;
}
