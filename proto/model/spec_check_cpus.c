/* semantics: --cpus boot=,max=,topology=,affinity= */
#include "model/spec_check_int.h"

static void check_topology(struct check *c, uint32_t max)
{
	const struct cpus_spec *p = &c->s->cpus;
	uint64_t product = (uint64_t)p->threads_per_core * p->cores_per_die * p->dies_per_package * p->packages;
	struct txt t;

	if (!p->has_topology || product == max)
		return;
	txt_set(&t, "topology=%u:%u:%u:%u", p->threads_per_core, p->cores_per_die, p->dies_per_package, p->packages);
	if (product == 0)
		FAIL(c, "--cpus", t.s, "threads per core:cores per die:dies per package:packages, each 1 or more",
		     "a part of the topology is 0");
	else
		FAIL(c, "--cpus", t.s, "make the product of the four numbers equal to max (or boot, when there is no max)",
		     "the topology has %llu vCPUs, the VM has %u", (unsigned long long)product, max);
}

static bool host_has_cpu(const struct host_facts *host, uint32_t cpu)
{
	for (size_t i = 0; i < host->n_nodes && i < ARRAY_LEN(host->nodes); i++)
		if (nodeset_has(&host->nodes[i].cpus, cpu))
			return true;
	return false;
}

static void check_affinity(struct check *c, uint32_t max)
{
	const struct cpus_spec *p = &c->s->cpus;
	struct nodeset seen = {0};
	struct txt t;

	if (p->n_affinity && !p->affinity) {
		FAIL(c, "--cpus", "affinity=", "name vCPUs and host CPUs", "the list is missing");
		return;
	}
	for (size_t i = 0; i < p->n_affinity; i++) {
		const struct affinity_spec *a = &p->affinity[i];

		txt_set(&t, "affinity=[%u@[", a->vcpu);
		txt_add_set(&t, a->host_cpus.w, LIM_HOST_CPUS);
		txt_add(&t, "]]");
		if (a->vcpu >= max || a->vcpu >= LIM_CPUS) {
			FAIL(c, "--cpus", t.s, "name a vCPU below max, or raise boot or max",
			     "there is no vCPU %u: the VM has %u", a->vcpu, max);
			continue;
		}
		if (nodeset_has(&seen, a->vcpu))
			FAIL(c, "--cpus", t.s, "put all host CPUs into one list", "vCPU %u is named twice", a->vcpu);
		nodeset_add(&seen, a->vcpu);
		if (nodeset_empty(&a->host_cpus))
			FAIL(c, "--cpus", t.s, "name at least one host CPU", "vCPU %u may run nowhere", a->vcpu);
		for (int cpu = nodeset_next(&a->host_cpus, 0); c->host && cpu >= 0; cpu = nodeset_next(&a->host_cpus, cpu + 1)) {
			if (host_has_cpu(c->host, (uint32_t)cpu))
				continue;
			FAIL(c, "--cpus", t.s, "name CPUs that the host has", "this host has no CPU %d", cpu);
			break;
		}
	}
}

void check_cpus(struct check *c)
{
	const struct cpus_spec *p = &c->s->cpus;
	uint32_t boot = cpus_spec_boot(p), max = cpus_spec_max(p);
	struct txt t;

	if (boot > LIM_CPUS || max > LIM_CPUS)
		FAIL(c, "--cpus", txt_set(&t, "boot=%u,max=%u", boot, max), "ask for fewer", "a VM can have at most %u vCPUs",
		     LIM_CPUS);
	if (boot > max)
		FAIL(c, "--cpus", txt_set(&t, "boot=%u,max=%u", boot, max), "raise max or lower boot",
		     "more vCPUs at boot than there may ever be");
	else if (boot < max)
		NOTE(c, "--cpus", txt_set(&t, "boot=%u,max=%u", boot, max), "set boot to max to use them all",
		     "%u vCPUs are described but stay off: adding vCPUs to a running guest is not in this version", max - boot);
	if (c->host && c->host->online_cpus && boot > c->host->online_cpus)
		NOTE(c, "--cpus", txt_set(&t, "boot=%u", boot), "", "more vCPUs than the %u CPUs of this host: they take turns",
		     c->host->online_cpus);
	check_topology(c, max);
	check_affinity(c, max);
}
