/* The parts of a plan that are told by guest node and by vCPU, for people. */
#include "print.h"
#include "print_plan.h"

#include "model/node_perf.h"

#include <inttypes.h>
#include <string.h>

void print_affinity(const struct affinity_spec *a, size_t n, const char *heading)
{
	struct table t = {.n_columns = 3};

	if (n == 0)
		return;
	puts(heading);
	TABLE_ROW(&t, "VCPUS", "HOST CPUS", "");
	for (size_t i = 0, k; i < n; i = k) {
		struct nodeset vcpus = {0};

		for (k = i; k < n && a[k].by_default == a[i].by_default &&
			    memcmp(&a[k].host_cpus, &a[i].host_cpus, sizeof(a[i].host_cpus)) == 0;
		     k++)
			nodeset_add(&vcpus, a[k].vcpu);
		TABLE_ROW(&t, people_set(&vcpus).s, people_set(&a[i].host_cpus).s,
			  a[i].by_default ? "beside their memory" : "as asked for");
	}
	table_print(&t, stdout);
}

static const char *cost(char buf[32], const struct node_perf *perf, enum perf_kind k, size_t from, size_t to)
{
	if (!perf->cost[k][from][to])
		return "-";
	snprintf(buf, 32, "%" PRIu32 " %s", perf->cost[k][from][to], perf_is_latency(k) ? "ns" : "MB/s");
	return buf;
}

void print_performance(const struct mem_plan *p, const struct vm_spec *spec)
{
	struct table t = {.n_columns = 6, .right = 0x3f};
	static struct node_perf perf;
	bool any = false;

	if (!node_perf_build(spec, p, &perf))
		return;
	for (size_t i = 0; i < p->n_nodes; i++) {
		for (size_t k = 0; k < p->n_nodes; k++) {
			char from[16], to[16], c[PERF_KINDS][32];

			if (!node_perf_any(&perf, i, k))
				continue;
			if (!any)
				TABLE_ROW(&t, "FROM", "TO", "READ LATENCY", "WRITE LATENCY", "READ BANDWIDTH", "WRITE BANDWIDTH");
			any = true;
			snprintf(from, sizeof(from), "%" PRIu32, p->nodes[i].guest_numa_id);
			snprintf(to, sizeof(to), "%" PRIu32, p->nodes[k].guest_numa_id);
			TABLE_ROW(&t, from, to, cost(c[0], &perf, PERF_READ_LATENCY, i, k),
				  cost(c[1], &perf, PERF_WRITE_LATENCY, i, k), cost(c[2], &perf, PERF_READ_BANDWIDTH, i, k),
				  cost(c[3], &perf, PERF_WRITE_BANDWIDTH, i, k));
		}
	}
	puts("\nWhat the guest is told about its memory");
	if (any)
		table_print(&t, stdout);
	for (size_t i = 0; i < p->n_nodes; i++)
		if (perf.cache[i].size)
			printf("  node %" PRIu32 " has a memory-side cache of %s in lines of %u bytes\n",
			       p->nodes[i].guest_numa_id, people_size(perf.cache[i].size).s, perf.cache[i].line);
}
