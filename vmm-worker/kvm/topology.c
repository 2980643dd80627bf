#include "kvm/topology.h"

static unsigned bits_for(uint32_t n)
{
	return n <= 1 ? 0 : 32u - (unsigned)__builtin_clz(n - 1);
}

static uint32_t at_least_1(uint32_t v)
{
	return v ? v : 1;
}

struct topology topology_of(uint16_t threads_per_core, uint16_t cores_per_die, uint16_t dies_per_package, uint16_t packages,
			    uint32_t vcpus_max)
{
	if (!threads_per_core && !cores_per_die && !dies_per_package && !packages)
		return (struct topology){1, at_least_1(vcpus_max), 1, 1};
	return (struct topology){at_least_1(threads_per_core), at_least_1(cores_per_die), at_least_1(dies_per_package),
				 at_least_1(packages)};
}

static size_t node_of(const struct mem_plan *plan, uint32_t vcpu)
{
	for (size_t i = 0; i < plan->n_nodes; i++)
		if (nodeset_has(&plan->nodes[i].cpus, vcpu))
			return i;
	return 0;
}

static bool crosses_nodes(const struct mem_plan *plan, uint32_t cores, uint32_t vcpus_max)
{
	for (uint32_t i = 1; i < vcpus_max; i++)
		if (i % cores && node_of(plan, i) != node_of(plan, i - 1))
			return true;
	return false;
}

struct topology topology_of_nodes(const struct mem_plan *plan, uint32_t vcpus_max)
{
	uint32_t cores = at_least_1(vcpus_max);

	/* By powers of two the ids stay without gaps, hence below 255 (kernels without interrupt remapping use no others). */
	while (crosses_nodes(plan, cores, vcpus_max))
		cores = is_pow2(cores) ? cores / 2 : 1u << (31 - __builtin_clz(cores));
	return (struct topology){1, cores, 1, at_least_1((vcpus_max + cores - 1) / cores)};
}

unsigned topology_core_shift(const struct topology *t)
{
	return bits_for(t->threads);
}

unsigned topology_die_shift(const struct topology *t)
{
	return topology_core_shift(t) + bits_for(t->cores);
}

unsigned topology_package_shift(const struct topology *t)
{
	return topology_die_shift(t) + bits_for(t->dies);
}

uint32_t topology_apic_id(const struct topology *t, uint32_t vcpu)
{
	uint32_t thread = vcpu % t->threads;
	uint32_t core = vcpu / t->threads % t->cores;
	uint32_t die = vcpu / (t->threads * t->cores) % t->dies;
	uint32_t package = vcpu / (t->threads * t->cores * t->dies);

	return package << topology_package_shift(t) | die << topology_die_shift(t) | core << topology_core_shift(t) | thread;
}
