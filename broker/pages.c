/* Where a VM's pages are: each of its helpers counts those that it made. */
#include "client.h"
#include "vm.h"

#include <stdlib.h>
#include <string.h>

#define STRAY_NODES 8u /* absent, unknown, and what the host may have got since it was looked at */

void helper_counted(struct helper *h, const struct zone_report *r, size_t n)
{
	bool worker = h->kind == CHILD_WORKER;
	struct vm *vm = h->vm;

	for (size_t i = 0; i < n; i++)
		if (r[i].n > vm->b->facts.n_nodes + STRAY_NODES)
			return helper_out_of_turn(h, "reported pages on more nodes than the host has");
	for (size_t i = 0; i < n; i++) {
		struct node_pages *copy;

		/* Each counts what it made; the other's view of it is only a mapping. */
		if (r[i].zone >= vm->plan.n_zones || vm_worker_has_pages(&vm->plan.zones[r[i].zone]) != worker)
			continue;
		copy = calloc(r[i].n ? r[i].n : 1, sizeof(*copy));
		if (!copy)
			continue;
		if (r[i].n)
			memcpy(copy, r[i].nodes, r[i].n * sizeof(*copy));
		free(vm->resident[r[i].zone].nodes);
		vm->resident[r[i].zone].nodes = copy;
		vm->resident[r[i].zone].n = r[i].n;
		vm->resident[r[i].zone].outdated = h->owed > 0;
	}
}

void vm_query_done(struct vm *vm)
{
	if (vm->query_memsrv || vm->query_worker)
		return;
	vm->query_until = 0;
	if (clients_answer_count(vm->b, vm))
		vm_query(vm);
}

void vm_query(struct vm *vm)
{
	if (vm->query_until)
		return; /* it is followed by another one, if somebody waits for that */
	vm->query_no++;
	vm->query_until = now_ms() + VM_QUERY_MS;
	vm->query_memsrv = vm->memsrv.pid && !vm->memsrv.asked && vm->zones_ready &&
			   vm_send_memsrv(vm, &(struct ms_msg){.op = MS_QUERY}, NULL, 0) == 0;
	vm->query_worker = vm->worker.pid && !vm->worker.asked && vm->ready &&
			   vm_send_worker(vm, &(struct wk_msg){.op = WK_QUERY}, NULL, 0) == 0;
	/* Each answers in its time, perhaps when nobody waits for it any more. */
	vm->memsrv.owed += vm->query_memsrv;
	vm->worker.owed += vm->query_worker;
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		if (vm_worker_has_pages(&vm->plan.zones[i]) ? vm->query_worker : vm->query_memsrv)
			vm->resident[i].outdated = true;
	vm_query_done(vm);
}
