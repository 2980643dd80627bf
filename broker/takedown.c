/* Ending a VM, in order: worker, then memory, then the promise; only after that anybody hears that it is over. Every wait has a
 * deadline and ends in SIGKILL. */
#include "vm.h"

#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

static void tell_end(struct vm *vm)
{
	struct ctl_event ev = {.kind = CTL_EVENT_ENDED, .vm_id = vm->id, .name = vm->name};

	if (vm->end_told)
		return;
	vm_set_end(vm, vm->fail.code ? END_WORKER_DIED : END_STOPPED, "%.250s", vm->fail.code ? vm->fail.text : "it was stopped");
	ev.end = vm->end;
	vm->end_told = true;
	clients_tell(vm->b, vm, &ev);
}

static void let_go_of_zones(struct vm *vm)
{
	for (size_t i = 0; i < LIM_ZONES; i++)
		closer_give_back(&vm->b->closer, &vm->zones[i], vm->owner);
}

static void no_pages(struct vm *vm, size_t zone)
{
	vm->resident[zone].n = 0;
	vm->resident[zone].outdated = false;
}

static void release_memory(struct vm *vm)
{
	let_go_of_zones(vm);
	for (size_t i = 0; i < LIM_ZONES; i++)
		no_pages(vm, i);
	vm->zones_ready = false;
	ledger_returned(&vm->b->ledger, &vm->promise);
}

/* Those who waited for it to come up, or for something of a running VM. */
static void answer_disappointed(struct vm *vm)
{
	char text[ERR_TEXT_MAX];

	if (vm->fail.code) {
		clients_answer(vm->b, vm, OPS(CTL_CREATE) | OPS(CTL_BOOT), vm->fail.code, vm->fail.text);
	} else {
		snprintf(text, sizeof(text), "VM %s ended before it was up: %s", vm->name,
			 vm->has_end ? vm->end.detail : "it was stopped");
		clients_answer(vm->b, vm, OPS(CTL_CREATE) | OPS(CTL_BOOT), -ECANCELED, text);
	}
	snprintf(text, sizeof(text), "VM %s ended meanwhile: %s", vm->name, vm->has_end ? vm->end.detail : "it was stopped");
	clients_answer(vm->b, vm, OPS(CTL_PAUSE) | OPS(CTL_RESUME) | OPS(CTL_CONSOLE), -ECANCELED, text);
}

/* The reader sees everything that was written before it hears of the end: not when our copy is closed, but now. */
static void end_console(struct vm *vm)
{
	if (vm->console >= 0)
		shutdown(vm->console, SHUT_RDWR);
	closer_close(&vm->b->closer, &vm->console, vm->owner);
}

static void reach_stopped(struct vm *vm)
{
	vm->goal = GOAL_NONE;
	vm->act_until = vm->query_until = vm->explain_by = 0;
	vm->query_memsrv = vm->query_worker = false;
	if (!vm_needs_memsrv(vm))
		ledger_returned(&vm->b->ledger, &vm->promise); /* its memory went with the worker */
	else
		ledger_kept(&vm->b->ledger, &vm->promise);
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		if (vm_worker_has_pages(&vm->plan.zones[i]))
			no_pages(vm, i);
	end_console(vm);
	vm_set_state(vm, VM_STOPPED);
	answer_disappointed(vm);
	clients_answer(vm->b, vm, OPS(CTL_STOP) | OPS(CTL_INFO), 0, NULL);
	tell_end(vm);
}

static void reach_gone(struct vm *vm)
{
	end_console(vm);
	answer_disappointed(vm);
	clients_answer(vm->b, vm, OPS(CTL_STOP) | OPS(CTL_DELETE), 0, NULL);
	clients_answer(vm->b, vm, OPS(CTL_INFO), -ENOENT, "the VM was deleted meanwhile");
	tell_end(vm);
	clients_forget(vm->b, vm);
	vm_remove(vm);
}

void vm_step(struct vm *vm)
{
	bool memory_goes = vm->goal == GOAL_GONE || vm->drop_memory;

	if (vm->goal == GOAL_NONE || vm->dead)
		return;
	helper_end(&vm->worker);
	if (memory_goes) {
		/* Not as the last one who has it: pages of a large zone take seconds to free, which is for memsrv to do. */
		if (vm->memsrv.pid)
			let_go_of_zones(vm);
		helper_end(&vm->memsrv);
	}
	if (vm->worker.pid)
		return;
	/* The guest has nothing under way any more. */
	if (!devices_end(vm) || (memory_goes && vm->memsrv.pid))
		return;
	if (memory_goes)
		release_memory(vm);
	if (vm->goal == GOAL_GONE)
		reach_gone(vm);
	else
		reach_stopped(vm);
}

void vm_take_down(struct vm *vm, enum vm_goal goal)
{
	/* Nothing stays of what never came up, nor of what belongs to a connection. */
	if (goal == GOAL_STOPPED && (vm->attached || !vm->born))
		goal = GOAL_GONE;
	/* Memory that is not there yet is not kept half made; what is there stays for another try. */
	vm->drop_memory = vm->drop_memory || !vm->zones_ready;
	if (goal > vm->goal)
		vm->goal = goal;
	if (vm->goal == GOAL_GONE)
		vm_set_state(vm, VM_ENDING);
	vm_step(vm);
}

void vm_fail(struct vm *vm, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	vm->explain_by = 0;
	if (!vm->fail.code && !vm->has_end) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		err_set(&vm->fail, code, "%s", text);
	}
	vm_take_down(vm, GOAL_STOPPED);
}

void vm_client_gone(struct vm *vm)
{
	vm->orphan = false;
	vm_set_end(vm, END_CLIENT_GONE, "the client that it was attached to has gone");
	vm_take_down(vm, GOAL_GONE);
}
