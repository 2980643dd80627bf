/* What a guest is told or given beside memory and devices, for info. Arrays are good until the next call: the broker has one
 * thread. */
#include "vm.h"

static void describe_epc(const struct mem_plan *p, struct ctl_vm_info *ret)
{
	static struct ctl_epc_info epc[LIM_EPC];

	for (size_t i = 0; i < p->n_epc; i++)
		epc[i] = (struct ctl_epc_info){.id = p->epc[i].id,
					       .start = p->epc[i].at.start.v,
					       .size = p->epc[i].at.len.v,
					       .has_node = p->n_nodes,
					       .guest_numa_id = p->n_nodes ? p->nodes[p->epc[i].node].guest_numa_id : 0};
	ret->epc = epc;
	ret->n_epc = p->n_epc;
}

void vm_describe_guest(const struct vm *vm, struct ctl_vm_info *ret)
{
	static struct pinned pins[LIM_CPUS];
	static struct node_cost costs[CTL_COSTS_MAX];
	static struct node_cache caches[LIM_NODES];

	describe_epc(&vm->plan, ret);
	ret->pins = pins;
	ret->n_pins = pinned_groups(vm->grant.affinity, vm->grant.n_affinity, pins);
	if (!vm->perf)
		return;
	ret->costs = costs;
	ret->all_costs = node_costs(vm->perf, &vm->plan, costs, ARRAY_LEN(costs));
	ret->n_costs = ret->all_costs < ARRAY_LEN(costs) ? ret->all_costs : ARRAY_LEN(costs);
	ret->caches = caches;
	ret->n_caches = node_caches(vm->perf, &vm->plan, caches);
}
