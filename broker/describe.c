/* What info and list tell of a VM. Arrays are good until the next call: the broker has one
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

/* EPC sections, where vCPUs run, and what the guest is told of its memory's costs. */
static void describe_guest(const struct vm *vm, struct ctl_vm_info *ret)
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

static void describe_zone(const struct vm *vm, size_t i, struct ctl_zone_info *ret)
{
	const struct plan_zone *z = &vm->plan.zones[i];

	*ret = (struct ctl_zone_info){.id = z->id,
				      .backing = z->backing,
				      .size = z->size,
				      .page_size = z->page_size,
				      .hotplug_size = z->hotplug_size,
				      .requested_size = vm->grown[i].wanted,
				      .plugged_size = vm->grown[i].plugged,
				      .refused = vm->grown[i].refused[0] ? vm->grown[i].refused : NULL,
				      .denied = vm->grown[i].denied,
				      .strayed = vm->grown[i].strayed,
				      .dimms = (uint32_t)vm->n_dimms,
				      .host_policy = z->host_policy,
				      .outdated = vm->resident[i].outdated,
				      .n_nodes = vm->resident[i].n,
				      .nodes = vm->resident[i].nodes};
	if (z->guest_node < vm->plan.n_nodes)
		ret->guest_numa_id = vm->plan.nodes[z->guest_node].guest_numa_id;
}

void vm_describe(const struct vm *vm, struct ctl_zone_info *zones, struct ctl_vm_info *ret)
{
	*ret = (struct ctl_vm_info){.id = vm->id,
				    .name = vm->name,
				    .owner_uid = vm->owner,
				    .state = vm->state,
				    .vcpus = vm->grant.vcpus_boot,
				    .worker_pid = vm->worker.pid,
				    .memsrv_pid = vm->memsrv.pid,
				    .age_ms = now_ms() - vm->since_ms,
				    .resets = vm->resets,
				    .has_end = vm->has_end};
	if (vm->has_end)
		ret->end = vm->end;
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		ret->memory += vm->plan.zones[i].size;
	if (!zones)
		return;
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		describe_zone(vm, i, &zones[i]);
	ret->zones = zones;
	ret->n_zones = vm->plan.n_zones;
	{
		static struct ctl_device_info devices[LIM_DEVICES]; /* until the next call, as the broker has one thread */

		ret->n_devices = devices_describe(vm, devices);
		ret->devices = devices;
	}
	describe_guest(vm, ret);
	ret->has_balloon = balloon_describe(vm, &ret->balloon);
	ret->isolation = spawner_isolation_text(&vm->b->spawner);
}
