#include "model/plan_impl.h"

#include <string.h>

#define DISTANCE_SELF    10u /* ACPI 5.2.17 */
#define DISTANCE_DEFAULT 20u

static size_t node_index(const struct mem_plan *p, uint32_t guest_numa_id)
{
	for (size_t i = 0; i < p->n_nodes; i++)
		if (p->nodes[i].guest_numa_id == guest_numa_id)
			return i;
	return p->n_nodes;
}

/* Distances as given, per direction; 0 where nobody said anything. */
static void distances_given(const struct vm_spec *spec, struct mem_plan *p)
{
	for (size_t i = 0; i < spec->n_nodes; i++) {
		const struct numa_spec *ns = &spec->nodes[i];
		size_t from = node_index(p, ns->guest_numa_id);

		for (size_t k = 0; k < ns->n_distances; k++) {
			size_t to = node_index(p, ns->distances[k].to);

			if (to < p->n_nodes && to != from)
				p->distance[from][to] = ns->distances[k].value;
		}
	}
}

static void distances_fill(struct mem_plan *p)
{
	for (size_t i = 0; i < p->n_nodes; i++) {
		p->distance[i][i] = DISTANCE_SELF;
		for (size_t k = i + 1; k < p->n_nodes; k++) {
			uint8_t there = p->distance[i][k], back = p->distance[k][i];

			if (!there)
				p->distance[i][k] = back ? back : DISTANCE_DEFAULT;
			if (!back)
				p->distance[k][i] = there ? there : DISTANCE_DEFAULT;
		}
	}
}

static void add_nodes(const struct vm_spec *spec, struct mem_plan *p)
{
	for (size_t i = 0; i < spec->n_nodes; i++) {
		size_t at = p->n_nodes;

		for (; at > 0 && p->nodes[at - 1].guest_numa_id > spec->nodes[i].guest_numa_id; at--)
			p->nodes[at] = p->nodes[at - 1];
		p->nodes[at] = (struct plan_node){.guest_numa_id = spec->nodes[i].guest_numa_id};
		p->n_nodes++;
	}
}

static void take_members(const struct numa_spec *ns, size_t node, struct nodeset *seen_cpus, struct mem_plan *p)
{
	for (size_t k = 0; k < ns->n_cpus; k++) {
		nodeset_add(&p->nodes[node].cpus, ns->cpus[k]);
		nodeset_add(seen_cpus, ns->cpus[k]);
	}
	for (size_t k = 0; k < ns->n_zones; k++)
		for (size_t z = 0; z < p->n_zones; z++)
			if (strcmp(p->zones[z].id, ns->zones[k]) == 0)
				p->zones[z].guest_node = (uint32_t)node;
	for (size_t k = 0; k < ns->n_epc; k++)
		for (size_t s = 0; s < p->n_epc; s++)
			if (strcmp(p->epc[s].id, ns->epc[k]) == 0)
				p->epc[s].node = (uint8_t)node;
	for (size_t k = 0; k < ns->n_segments; k++)
		if (ns->segments[k] < p->n_segments)
			p->segment_node[ns->segments[k]] = (uint8_t)node;
}

void plan_numa(const struct vm_spec *spec, struct mem_plan *p)
{
	uint32_t max = cpus_spec_max(&spec->cpus);
	struct nodeset seen_cpus = {0};

	/* What nobody lists belongs to the lowest-numbered node: index 0, which is what everything starts with. */
	add_nodes(spec, p);
	if (p->n_nodes == 0)
		return;
	for (size_t i = 0; i < spec->n_nodes; i++)
		take_members(&spec->nodes[i], node_index(p, spec->nodes[i].guest_numa_id), &seen_cpus, p);
	for (uint32_t c = 0; c < max; c++)
		if (!nodeset_has(&seen_cpus, c))
			nodeset_add(&p->nodes[0].cpus, c);
	distances_given(spec, p);
	distances_fill(p);
}
