#include "model/mem_plan.h"

#include <assert.h>

/* Without a NUMA description all vCPUs and all zones are of one node. */
static uint32_t node_of(const struct mem_plan *p, uint32_t vcpu)
{
	for (uint32_t i = 0; i < p->n_nodes; i++)
		if (nodeset_has(&p->nodes[i].cpus, vcpu))
			return i;
	return 0;
}

static struct nodeset near_memory(const struct mem_plan *p, uint32_t node)
{
	struct nodeset cpus = {0};

	for (size_t i = 0; i < p->n_zones; i++)
		if (p->zones[i].guest_node == node)
			for (size_t w = 0; w < ARRAY_LEN(cpus.w); w++)
				cpus.w[w] |= p->zones[i].host_cpus.w[w];
	return cpus;
}

static const struct affinity_spec *asked_for(const struct cpus_spec *s, uint32_t vcpu)
{
	for (size_t i = 0; i < s->n_affinity; i++)
		if (s->affinity[i].vcpu == vcpu)
			return &s->affinity[i];
	return NULL;
}

size_t plan_affinity(const struct vm_spec *spec, const struct mem_plan *plan, struct affinity_spec *ret)
{
	uint32_t max = cpus_spec_max(&spec->cpus);
	size_t n = 0;

	assert(max <= LIM_CPUS);
	for (uint32_t v = 0; v < max; v++) {
		const struct affinity_spec *asked = asked_for(&spec->cpus, v);
		struct affinity_spec a = {.vcpu = v, .by_default = !asked};

		a.host_cpus = asked ? asked->host_cpus : near_memory(plan, node_of(plan, v));
		if (!nodeset_empty(&a.host_cpus))
			ret[n++] = a;
	}
	return n;
}
