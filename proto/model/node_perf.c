#include "model/node_perf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static size_t node_index(const struct mem_plan *p, uint32_t guest_numa_id)
{
	size_t i = 0;

	while (i < p->n_nodes && p->nodes[i].guest_numa_id != guest_numa_id)
		i++;
	return i;
}

bool node_perf_build(const struct vm_spec *spec, const struct mem_plan *plan, struct node_perf *ret)
{
	bool any = false;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < spec->n_nodes; i++) {
		const struct numa_spec *ns = &spec->nodes[i];
		size_t from = node_index(plan, ns->guest_numa_id);

		for (unsigned k = 0; k < PERF_KINDS; k++) {
			for (size_t j = 0; j < ns->perf[k].n; j++) {
				size_t to = node_index(plan, ns->perf[k].to[j]);

				if (from == plan->n_nodes || to == plan->n_nodes)
					continue;
				ret->cost[k][from][to] = ns->perf[k].value[j];
				any = true;
			}
		}
		if (from < plan->n_nodes && ns->has_cache_size) {
			ret->cache[from].size = ns->cache_size;
			ret->cache[from].line = (uint16_t)(ns->has_cache_line ? ns->cache_line : CACHE_LINE_DEFAULT);
			any = true;
		}
	}
	return any;
}

static int check_cost(const struct node_perf *perf, const struct mem_plan *p, unsigned k, size_t from, size_t to, struct err *e)
{
	uint32_t v = perf->cost[k][from][to], max = perf_is_latency(k) ? LIM_LATENCY_NS : LIM_BANDWIDTH_MBS;

	if (v == 0)
		return 0;
	if (from >= p->n_nodes || to >= p->n_nodes)
		return err_set(e, -EINVAL, "%s from node %zu to node %zu, which are not both there", perf_word(k), from, to);
	if (v > max)
		return err_set(e, -EINVAL, "%s of %" PRIu32 " from node %zu to node %zu", perf_word(k), v, from, to);
	if (nodeset_empty(&p->nodes[from].cpus))
		return err_set(e, -EINVAL, "%s from node %zu, which has no vCPU", perf_word(k), from);
	return 0;
}

static int check_cache(const struct node_perf *perf, const struct mem_plan *p, size_t node, struct err *e)
{
	uint64_t size = perf->cache[node].size;
	uint16_t line = perf->cache[node].line;

	if (size == 0 && line == 0)
		return 0;
	if (node >= p->n_nodes || size == 0 || !is_pow2(line) || line > LIM_CACHE_LINE || size % line)
		return err_set(e, -EINVAL, "cache of node %zu: %" PRIu64 " bytes in lines of %u", node, size, line);
	return 0;
}

int node_perf_check(const struct node_perf *perf, const struct mem_plan *plan, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < LIM_NODES; i++)
		r = check_cache(perf, plan, i, e);
	for (unsigned k = 0; k < PERF_KINDS; k++)
		for (size_t i = 0; i < LIM_NODES; i++)
			for (size_t j = 0; r == 0 && j < LIM_NODES; j++)
				r = check_cost(perf, plan, k, i, j, e);
	return r < 0 ? err_wrap(e, "memory performance") : 0;
}

const char *perf_word(enum perf_kind k)
{
	switch (k) {
	case PERF_READ_LATENCY:
		return "read_latency";
	case PERF_WRITE_LATENCY:
		return "write_latency";
	case PERF_READ_BANDWIDTH:
		return "read_bandwidth";
	case PERF_WRITE_BANDWIDTH:
		return "write_bandwidth";
	}
	return "";
}
