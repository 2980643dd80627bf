/* What the worker says. */
#include "client.h"
#include "vm.h"

#include <errno.h>

static void worker_up(struct vm *vm, const struct wk_reports *r)
{
	if (!vm->granted || vm->ready)
		return helper_out_of_turn(&vm->worker, "was ready out of turn");
	vm->ready = vm->born = true;
	if (!vm->worker.asked)
		vm->worker.until = 0;
	helper_counted(&vm->worker, r->reports, r->n);
	ledger_kept(&vm->b->ledger, &vm->promise);
	if (vm->goal != GOAL_NONE)
		return;
	vm_set_state(vm, vm->start ? VM_RUNNING : VM_CREATED);
	/* Or to go on: its guest may have reset itself just then. */
	clients_answer(vm->b, vm, OPS(CTL_CREATE) | OPS(CTL_BOOT) | OPS(CTL_RESUME), 0, NULL);
}

static void worker_changed(struct vm *vm, bool running)
{
	enum vm_state to = running ? VM_RUNNING : VM_PAUSED;

	if (!vm->ready)
		return helper_out_of_turn(&vm->worker, "ran before it was ready");
	if (vm->goal != GOAL_NONE)
		return;
	if (!vm->acting || vm->act_running != running) {
		if (vm->state != to)
			helper_out_of_turn(&vm->worker, "changed its state by itself");
		return; /* it confirms what READY has said */
	}
	vm->acting = false;
	vm->act_until = 0;
	vm_set_state(vm, to);
	clients_answer(vm->b, vm, running ? OPS(CTL_BOOT) | OPS(CTL_RESUME) : OPS(CTL_PAUSE), 0, NULL);
}

int vm_act(struct vm *vm, enum wk_op op, struct err *e)
{
	if (vm->acting)
		return err_set(e, -EBUSY, "VM %s has been asked to %s and has not done it yet", vm->name,
			       vm->act_running ? "run" : "pause");
	vm->acting = true;
	vm->act_running = op != WK_PAUSE;
	vm->act_until = now_ms() + VM_ACT_MS;
	vm_send_worker(vm, &(struct wk_msg){.op = op}, NULL, 0); /* a failure ends the VM, and that answers those who wait */
	return 0;
}

static void worker_ended(struct vm *vm, const struct end_report *r)
{
	uint64_t now = now_ms();

	/* Only a guest that has run resets itself; and what nobody has booted is not booted by that. */
	if (r->cause == END_RESET && vm->goal == GOAL_NONE && vm->state != VM_RUNNING && vm->state != VM_PAUSED)
		return helper_out_of_turn(&vm->worker, "reset a guest that does not run");
	helper_exits(&vm->worker);
	if (r->cause == END_RESET && vm->goal == GOAL_NONE && !vm->has_end) {
		if (now > vm->resets_since + VM_RESETS_MS) {
			vm->resets_since = now;
			vm->recent_resets = 0;
		}
		vm->resets++;
		vm->reset = ++vm->recent_resets <= VM_RESETS_MAX;
		if (vm->reset)
			return;
		vm_set_end(vm, END_RESET, "the guest reset itself %u times within %u s: not started again", VM_RESETS_MAX,
			   VM_RESETS_MS / 1000);
	}
	if (!vm->has_end) {
		vm->has_end = true;
		vm->end = *r;
	}
	vm_take_down(vm, GOAL_STOPPED);
}

static void worker_says(struct vm *vm, const struct wk_msg *wk)
{
	switch (wk->op) {
	case WK_READY:
		return worker_up(vm, &wk->u.reports);
	case WK_PROGRESS:
		if (!vm->granted || vm->ready)
			return helper_out_of_turn(&vm->worker, "reported progress out of turn");
		return helper_progress(&vm->worker, wk->u.progress.zone, wk->u.progress.done, wk->u.progress.total,
				       VM_WORKER_SETUP_MS);
	case WK_STATE:
		return worker_changed(vm, wk->u.state.running);
	case WK_STATS:
		if (!vm->worker.owed)
			return helper_out_of_turn(&vm->worker, "counted pages without being asked");
		vm->worker.owed--;
		helper_counted(&vm->worker, wk->u.reports.reports, wk->u.reports.n);
		vm->query_worker = vm->query_worker && vm->worker.owed > 0;
		if (vm->query_until)
			vm_query_done(vm);
		return;
	case WK_DEVICE_STATE:
		if (!vm->ready || !devices_say(vm, &wk->u.device_state))
			return helper_out_of_turn(&vm->worker, "spoke of a device that is not there");
		return;
	case WK_FAILED:
		helper_exits(&vm->worker);
		if (vm->ready)
			return helper_out_of_turn(&vm->worker, "failed to start after it had started");
		if (devices_explain(vm, wk->u.failed.code, wk->u.failed.text)) /* it has only seen that a back-end went away */
			return;
		return vm_fail(vm, wk->u.failed.code, "%s", wk->u.failed.text);
	case WK_ENDED:
		if (!vm->granted)
			return helper_out_of_turn(&vm->worker, "ended before it began");
		return worker_ended(vm, &wk->u.ended);
	case WK_MEMORY:
		if (!vm->granted || !grow_heard(vm, &wk->u.memory))
			helper_out_of_turn(&vm->worker, "told of memory that it does not have");
		return;
	case WK_BALLOON_STATE:
		if (!vm->granted || !balloon_heard(vm, &wk->u.balloon_state))
			helper_out_of_turn(&vm->worker, "told of a balloon that it does not have");
		return;
	case WK_GRANT:
	case WK_DEVICE:
	case WK_START:
	case WK_PAUSE:
	case WK_RESUME:
	case WK_STOP:
	case WK_CONSOLE:
	case WK_QUERY:
	case WK_POWER_BUTTON:
	case WK_RESIZE:
	case WK_BALLOON:
		break;
	}
	helper_out_of_turn(&vm->worker, "sent a message that is for it");
}

int hear_worker(struct vm *vm, struct chan_msg *m, struct arena *a, struct err *e)
{
	static struct wk_msg wk; /* large */
	int r = wk_decode(m, a, &wk, e);

	if (r < 0)
		return r;
	if (!vm->worker.killed)
		worker_says(vm, &wk);
	return 0;
}
