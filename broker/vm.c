#include "vm.h"

#include "client.h"
#include "log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vm *vm_new(struct broker *b, uid_t owner, gid_t owner_gid, const char *name)
{
	uint32_t slot = 0;
	struct vm *vm;

	while (slot < LIM_VMS && b->vms[slot])
		slot++;
	vm = slot < LIM_VMS ? calloc(1, sizeof(*vm)) : NULL;
	if (!vm)
		return NULL;
	vm->b = b;
	vm->slot = slot;
	vm->id = ++b->last_id;
	vm->owner = owner;
	vm->owner_gid = owner_gid;
	vm->state = VM_NEW;
	vm->since_ms = now_ms();
	vm->kernel = vm->initramfs = vm->console = vm->serial_file = vm->console_file = -1;
	for (size_t i = 0; i < LIM_ZONES; i++)
		vm->zone_files[i] = vm->zones[i] = -1;
	vm->memsrv = (struct helper){.vm = vm, .kind = CHILD_MEMSRV};
	vm->worker = (struct helper){.vm = vm, .kind = CHILD_WORKER};
	if (name)
		snprintf(vm->name, sizeof(vm->name), "%s", name);
	else
		snprintf(vm->name, sizeof(vm->name), "vm%u", vm->id);
	b->vms[slot] = vm;
	b->n_vms++;
	return vm;
}

void vm_remove(struct vm *vm)
{
	assert(!vm->memsrv.pid && !vm->worker.pid);
	ledger_returned(&vm->b->ledger, &vm->promise);
	closer_close(&vm->b->closer, &vm->kernel, vm->owner);
	closer_close(&vm->b->closer, &vm->initramfs, vm->owner);
	closer_close(&vm->b->closer, &vm->console, vm->owner);
	closer_close(&vm->b->closer, &vm->serial_file, vm->owner);
	closer_close(&vm->b->closer, &vm->console_file, vm->owner);
	for (size_t i = 0; i < LIM_ZONES; i++) {
		closer_close(&vm->b->closer, &vm->zone_files[i], vm->owner);
		closer_give_back(&vm->b->closer, &vm->zones[i], vm->owner);
		free(vm->resident[i].nodes);
		vm->resident[i].nodes = NULL;
		vm->resident[i].n = 0;
	}
	free(vm->affinity);
	free(vm->perf);
	vm->affinity = NULL;
	vm->perf = NULL;
	vm->dead = true;
	devices_free(vm);
	vm->b->buried = true;
}

void vms_bury(struct broker *b)
{
	for (size_t i = 0; i < LIM_VMS; i++)
		if (b->vms[i] && b->vms[i]->dead) {
			free(b->vms[i]);
			b->vms[i] = NULL;
			b->n_vms--;
		}
}

void vm_set_state(struct vm *vm, enum vm_state s)
{
	struct ctl_event ev = {.kind = CTL_EVENT_STATE, .vm_id = vm->id, .name = vm->name, .state = s};

	if (vm->state == s)
		return;
	assert(vm_state_edge(vm->state, s));
	vm->state = s;
	clients_tell(vm->b, vm, &ev);
}

void vm_set_end(struct vm *vm, enum end_cause cause, const char *fmt, ...)
{
	va_list ap;

	if (vm->has_end)
		return;
	vm->has_end = true;
	vm->end = (struct end_report){.cause = cause};
	va_start(ap, fmt);
	vsnprintf(vm->end.detail, sizeof(vm->end.detail), fmt, ap);
	va_end(ap);
}

bool vm_needs_memsrv(const struct vm *vm)
{
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		if (vm->plan.zones[i].backing != BACKING_ANON)
			return true;
	return false;
}

bool vm_worker_has_pages(const struct plan_zone *z)
{
	return z->backing == BACKING_ANON || z->backing == BACKING_FILE_PRIVATE;
}
