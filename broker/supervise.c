/* How helpers end, and what happens when they are late. */
#include "client.h"
#include "log.h"
#include "vm.h"

#include <errno.h>

/* Messages. More than a channel holds; but its end of it may have gone to a process that goes on writing, for ever. */
#define LAST_WORDS 1024u

static void memsrv_gone(struct vm *vm, const char *how, bool expected)
{
	vm->query_memsrv = false;
	vm->drop_memory = true;
	if (!expected) {
		log_line("VM %s: memsrv %s", vm->name, how);
		if (vm->zones_ready)
			vm_set_end(vm, END_MEMSRV_DIED, "the VM's memsrv %s", how);
		else
			vm_fail(vm, -EIO, "memsrv %s while it made the VM's memory", how);
	}
	if (vm->goal == GOAL_NONE && vm->state == VM_STOPPED) {
		vm->goal = GOAL_STOPPED; /* it stays stopped, but without memory */
		vm->end_told = true;
	}
	if (vm->goal != GOAL_NONE)
		return vm_step(vm);
	vm_set_end(vm, END_MEMSRV_DIED, "the VM's memsrv %s", how);
	vm_take_down(vm, GOAL_STOPPED);
}

static void worker_gone(struct vm *vm, const char *how, bool expected)
{
	struct err e = {0};

	vm->query_worker = false;
	grow_worker_gone(vm);
	balloon_worker_gone(vm);
	if (vm->reset && vm->goal == GOAL_NONE) {
		clients_answer(vm->b, vm, OPS(CTL_PAUSE), -ECANCELED,
			       "the guest has reset itself meanwhile, and runs again: try again");
		if (vm_bring_up(vm, true, &e) < 0) {
			log_line("VM %s: not started again after a reset: %s", vm->name, e.text);
			vm_set_end(vm, END_RESET, "it could not be started again after a reset: %.200s", e.text);
			vm_take_down(vm, GOAL_STOPPED);
		}
		return;
	}
	if (!expected) {
		log_line("VM %s: worker %s", vm->name, how);
		if (vm->born) {
			vm_set_end(vm, END_WORKER_DIED, "the VM's worker %s", how);
			vm->drop_memory = true;
			vm_take_down(vm, GOAL_STOPPED);
		} else {
			vm_fail(vm, -EIO, "the worker %s while it built the machine", how);
		}
		return;
	}
	if (vm->goal != GOAL_NONE)
		return vm_step(vm);
	if (vm->explain_by)
		return;
	vm_set_end(vm, END_WORKER_DIED, "the VM's worker %s", how);
	vm_take_down(vm, GOAL_STOPPED);
}

static void helper_gone(struct helper *h, const struct spawn_exit *x)
{
	struct vm *vm = h->vm;
	bool worker = h->kind == CHILD_WORKER, expected;
	char how[160];

	/* Its last words may still lie in the channel; they say more than its exit status. */
	for (unsigned n = 0; n < LAST_WORDS && h->src.fn && helper_read(h); n++)
		;
	helper_hang_up(h);
	if (vm->dead)
		return;
	expected = h->asked || h->killed;
	h->pid = 0;
	h->until = 0;
	spawn_exit_text(x, how, sizeof(how));
	if (worker)
		worker_gone(vm, how, expected);
	else
		memsrv_gone(vm, how, expected);
	if (vm->query_until)
		vm_query_done(vm);
}

void supervise_exits(struct source *s, uint32_t events)
{
	struct broker *b = container_of(s, struct broker, exits);
	struct spawn_exit x;
	int r;

	while ((r = spawner_next_exit(&b->spawner, &x)) == 1) {
		struct vm *vm = x.slot < LIM_VMS ? b->vms[x.slot] : NULL;
		struct helper *h = !vm ? NULL : x.kind == CHILD_WORKER ? &vm->worker : &vm->memsrv;

		if (h && h->pid == x.pid)
			helper_gone(h, &x);
	}
	if (r < 0) {
		loop_drop(&b->loop, s);
		b->failed = true;
		b->stop_by = 1; /* its children are gone with it: there is nothing left to wait for */
		broker_stop(b, "the spawner is gone and with it every VM");
	}
}

/* --- deadlines --- */

static void helper_late(struct helper *h)
{
	struct vm *vm = h->vm;

	if (h->asked || h->killed)
		return helper_kill(h);
	if (!h->src.fn)
		return helper_out_of_turn(h, "closed its channel but did not end");
	h->asked = true;
	helper_kill(h);
	vm_fail(vm, -ETIMEDOUT, "%s made no progress for %u s", h->kind == CHILD_WORKER ? "the worker" : "memsrv",
		(h->kind == CHILD_WORKER ? VM_WORKER_SETUP_MS : VM_MEMSRV_SILENCE_MS) / 1000);
}

/* What is done then may set other deadlines, perhaps of what has been looked at already: so everything is looked at once more. */
static bool due(uint64_t until, uint64_t now, uint64_t *next)
{
	if (!until)
		return false;
	if (until <= now) {
		*next = now;
		return true;
	}
	if (until < *next)
		*next = until;
	return false;
}

void vms_tick(struct broker *b, uint64_t now, uint64_t *next)
{
	for (size_t i = 0; i < LIM_VMS; i++) {
		struct vm *vm = b->vms[i];

		if (vm && !vm->dead && vm->orphan)
			vm_client_gone(vm);
		if (vm && !vm->dead && vm->worker.pid && due(vm->worker.until, now, next))
			helper_late(&vm->worker);
		if (vm && !vm->dead && vm->memsrv.pid && due(vm->memsrv.until, now, next))
			helper_late(&vm->memsrv);
		if (!vm || vm->dead)
			continue;
		helper_tick(&vm->worker, now, next);
		helper_tick(&vm->memsrv, now, next);
		devices_tick(vm, now, next);
		grow_tick(vm, now, next);
		if (due(vm->act_until, now, next)) {
			vm->act_until = 0;
			clients_answer(b, vm, OPS(CTL_BOOT) | OPS(CTL_PAUSE) | OPS(CTL_RESUME), -ETIMEDOUT,
				       "the VM's worker does not answer: stop the VM, or try again");
		}
		if (due(vm->query_until, now, next)) {
			vm->query_memsrv = vm->query_worker = false;
			vm_query_done(vm);
		}
	}
}
