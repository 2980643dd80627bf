/* What helpers say and how they end. A helper that says anything out of turn is killed: it is not ours any more. */
#include "client.h"
#include "log.h"
#include "vm.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPS(op) (1u << (op))

static void out_of_turn(struct helper *h, const char *what)
{
	const char *who = h->kind == CHILD_WORKER ? "worker" : "memsrv";

	log_line("VM %s: %s %s: killed", h->vm->name, who, what);
	vm_set_end(h->vm, h->kind == CHILD_WORKER ? END_WORKER_DIED : END_MEMSRV_DIED, "the VM's %s %s and was killed", who,
		   what);
	h->vm->drop_memory = true;
	helper_kill(h);
}

static void nonsense(struct helper *h, const struct err *e)
{
	char what[200];

	snprintf(what, sizeof(what), "sent nonsense (%.180s)", e->code ? e->text : "too much at once");
	out_of_turn(h, what);
}

/* Its exit notice will tell why; if none comes it is killed. */
static void expect_exit(struct helper *h)
{
	uint64_t soon = now_ms() + VM_STOP_MS;

	if (!h->until || h->until > soon)
		h->until = soon;
}

static int helper_sent(struct helper *h, int r)
{
	if (r == 0 || !h->pid)
		return r;
	if (r == -EPIPE || r == -ECONNRESET)
		expect_exit(h);
	else
		out_of_turn(h, "did not read its messages"); /* it has had a handful at most */
	return r;
}

int vm_send_memsrv(struct vm *vm, const struct ms_msg *m, const int *fds, size_t n)
{
	struct broker *b = vm->b;
	size_t len = 0;
	int r = ms_encode(m, b->out, sizeof(b->out), &len, NULL);

	if (r == 0)
		r = vm->memsrv.src.fn ? chan_send(vm->memsrv.src.fd, b->out, len, fds, n) : -EPIPE;
	return helper_sent(&vm->memsrv, r);
}

int vm_send_worker(struct vm *vm, const struct wk_msg *m, const int *fds, size_t n)
{
	struct broker *b = vm->b;
	size_t len = 0;
	int r = wk_encode(m, b->out, sizeof(b->out), &len, NULL);

	if (r == 0)
		r = vm->worker.src.fn ? chan_send(vm->worker.src.fd, b->out, len, fds, n) : -EPIPE;
	return helper_sent(&vm->worker, r);
}

#define STRAY_NODES 8u /* absent, unknown, and what the host may have got since it was looked at */

static void keep_reports(struct helper *h, const struct zone_report *r, size_t n)
{
	bool worker = h->kind == CHILD_WORKER;
	struct vm *vm = h->vm;

	for (size_t i = 0; i < n; i++)
		if (r[i].n > vm->b->facts.n_nodes + STRAY_NODES)
			return out_of_turn(h, "reported pages on more nodes than the host has");
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
	}
}

static void pass_progress(struct helper *h, uint16_t zone, uint64_t done, uint64_t total, uint64_t patience_ms)
{
	struct vm *vm = h->vm;
	struct ctl_event ev = {.kind = CTL_EVENT_PROGRESS, .vm_id = vm->id, .name = vm->name, .done = done, .total = total};
	uint64_t now = now_ms();

	if (zone >= vm->plan.n_zones)
		return out_of_turn(h, "reported a zone that does not exist");
	if (!h->asked)
		h->until = now + patience_ms;
	if (done < total && now < vm->progress_at + 50)
		return;
	vm->progress_at = now;
	ev.zone = vm->plan.zones[zone].id;
	clients_tell(vm->b, vm, &ev);
}

static void query_done(struct vm *vm)
{
	if (vm->query_memsrv || vm->query_worker)
		return;
	vm->query_until = 0;
	clients_answer(vm->b, vm, OPS(CTL_INFO), 0, NULL);
}

void vm_query(struct vm *vm)
{
	if (vm->query_until)
		return; /* the answers under way are new enough */
	vm->query_until = now_ms() + VM_QUERY_MS;
	vm->query_memsrv = vm->memsrv.pid && !vm->memsrv.asked && vm->zones_ready &&
			   vm_send_memsrv(vm, &(struct ms_msg){.op = MS_QUERY}, NULL, 0) == 0;
	vm->query_worker = vm->worker.pid && !vm->worker.asked && vm->ready &&
			   vm_send_worker(vm, &(struct wk_msg){.op = WK_QUERY}, NULL, 0) == 0;
	/* Each answers in its time, perhaps when nobody waits for it any more. */
	vm->memsrv.owed += vm->query_memsrv;
	vm->worker.owed += vm->query_worker;
	query_done(vm);
}

/* The channel is at its end and read empty: nothing more will come but the exit notice. */
static void hung_up(struct helper *h)
{
	helper_hang_up(h);
	expect_exit(h);
}

/* --- memsrv --- */

static void take_zones(struct vm *vm, const struct ms_zones *z, struct chan_msg *m)
{
	for (size_t i = 0; i < z->n_tags; i++) {
		uint16_t zone = z->tags[i].index;

		if (z->tags[i].role != FD_ROLE_ZONE || zone >= vm->plan.n_zones || vm->plan.zones[zone].backing == BACKING_ANON ||
		    vm->zones[zone] >= 0)
			return out_of_turn(&vm->memsrv, "sent a zone that nobody asked for");
		vm->zones[zone] = fd_take(&m->fds[i]);
	}
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		if (vm->plan.zones[i].backing != BACKING_ANON && vm->zones[i] < 0)
			return out_of_turn(&vm->memsrv, "left out a zone");
	keep_reports(&vm->memsrv, z->reports, z->n_reports);
	vm->zones_ready = true;
	vm->memsrv.until = 0;
	vm_grant(vm);
}

static void memsrv_says(struct vm *vm, const struct ms_msg *ms, struct chan_msg *m)
{
	switch (ms->op) {
	case MS_ZONES:
		if (!vm->zones_ready)
			return take_zones(vm, &ms->u.zones, m);
		if (ms->u.zones.n_tags)
			return out_of_turn(&vm->memsrv, "sent its zones twice");
		if (!vm->memsrv.owed)
			return out_of_turn(&vm->memsrv, "counted pages without being asked");
		vm->memsrv.owed--;
		keep_reports(&vm->memsrv, ms->u.zones.reports, ms->u.zones.n_reports);
		vm->query_memsrv = false;
		if (vm->query_until)
			query_done(vm);
		return;
	case MS_PROGRESS:
		if (vm->zones_ready)
			return out_of_turn(&vm->memsrv, "reported progress after the end");
		return pass_progress(&vm->memsrv, ms->u.progress.zone, ms->u.progress.done, ms->u.progress.total,
				     VM_MEMSRV_SILENCE_MS);
	case MS_FAILED:
		vm->memsrv.asked = true; /* it exits now */
		vm->memsrv.until = now_ms() + VM_STOP_MS;
		if (vm->zones_ready) {
			vm_set_end(vm, END_MEMSRV_DIED, "memsrv gave up: %.200s", ms->u.failed.text);
			vm->drop_memory = true;
			return vm_take_down(vm, GOAL_STOPPED);
		}
		return vm_fail(vm, ms->u.failed.code, "%s", ms->u.failed.text);
	case MS_PLAN:
	case MS_QUERY:
	case MS_PLUGGER:
	case MS_ALLOW:
		break;
	}
	out_of_turn(&vm->memsrv, "sent a message that is for it");
}

/* One message. false: there is none now, or never again. */
static bool read_memsrv(struct helper *h)
{
	struct vm *vm = h->vm;
	struct broker *b = vm->b;
	struct arena a = broker_arena(b);
	static struct ms_msg ms; /* large */
	struct err e = {0};
	int r = chan_recv(h->src.fd, &b->in);

	if (r <= 0 && r != -EMSGSIZE) {
		if (r != -EAGAIN)
			loop_want(&b->loop, &h->src, 0);
		closer_close_msg(&b->closer, &b->in, vm->owner);
		return false;
	}
	if (r < 0 || ms_decode(&b->in, &a, &ms, &e) < 0)
		nonsense(h, &e);
	else if (!h->killed)
		memsrv_says(vm, &ms, &b->in);
	closer_close_msg(&b->closer, &b->in, vm->owner);
	return h->src.fn != NULL;
}

void memsrv_ready(struct source *s, uint32_t events)
{
	struct helper *h = container_of(s, struct helper, src);

	read_memsrv(h);
	if ((events & EPOLLHUP) && !(events & EPOLLIN))
		hung_up(h);
}

/* --- worker --- */

static void worker_up(struct vm *vm, const struct wk_reports *r)
{
	if (!vm->granted || vm->ready)
		return out_of_turn(&vm->worker, "was ready out of turn");
	vm->ready = vm->born = true;
	if (!vm->worker.asked)
		vm->worker.until = 0;
	keep_reports(&vm->worker, r->reports, r->n);
	ledger_kept(&vm->b->ledger, &vm->promise);
	if (vm->goal != GOAL_NONE)
		return;
	vm_set_state(vm, vm->start ? VM_RUNNING : VM_CREATED);
	clients_answer(vm->b, vm, OPS(CTL_CREATE) | OPS(CTL_BOOT), 0, NULL);
}

static void worker_changed(struct vm *vm, bool running)
{
	enum vm_state to = running ? VM_RUNNING : VM_PAUSED;

	if (!vm->ready)
		return out_of_turn(&vm->worker, "ran before it was ready");
	if (vm->goal != GOAL_NONE)
		return;
	if (!vm->acting || vm->act_running != running) {
		if (vm->state != to)
			out_of_turn(&vm->worker, "changed its state by itself");
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

	if (!vm->worker.asked) {
		vm->worker.asked = true; /* it exits now */
		vm->worker.until = now + VM_STOP_MS;
	}
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
			return out_of_turn(&vm->worker, "reported progress out of turn");
		return pass_progress(&vm->worker, wk->u.progress.zone, wk->u.progress.done, wk->u.progress.total,
				     VM_WORKER_SETUP_MS);
	case WK_STATE:
		return worker_changed(vm, wk->u.state.running);
	case WK_STATS:
		if (!vm->worker.owed)
			return out_of_turn(&vm->worker, "counted pages without being asked");
		vm->worker.owed--;
		keep_reports(&vm->worker, wk->u.reports.reports, wk->u.reports.n);
		vm->query_worker = false;
		if (vm->query_until)
			query_done(vm);
		return;
	case WK_DEVICE_STATE:
		if (!vm->ready || !devices_say(vm, &wk->u.device_state))
			return out_of_turn(&vm->worker, "spoke of a device that is not there");
		return;
	case WK_FAILED:
		vm->worker.asked = true; /* it exits now */
		vm->worker.until = now_ms() + VM_STOP_MS;
		if (vm->ready)
			return out_of_turn(&vm->worker, "failed to start after it had started");
		return vm_fail(vm, wk->u.failed.code, "%s", wk->u.failed.text);
	case WK_ENDED:
		if (!vm->granted)
			return out_of_turn(&vm->worker, "ended before it began");
		return worker_ended(vm, &wk->u.ended);
	case WK_MEMORY:
		if (!vm->granted || !grow_heard(vm, &wk->u.memory))
			out_of_turn(&vm->worker, "told of memory that it does not have");
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
		break;
	}
	out_of_turn(&vm->worker, "sent a message that is for it");
}

static bool read_worker(struct helper *h)
{
	struct vm *vm = h->vm;
	struct broker *b = vm->b;
	struct arena a = broker_arena(b);
	static struct wk_msg wk; /* large */
	struct err e = {0};
	int r = chan_recv(h->src.fd, &b->in);

	if (r <= 0 && r != -EMSGSIZE) {
		if (r != -EAGAIN)
			loop_want(&b->loop, &h->src, 0);
		closer_close_msg(&b->closer, &b->in, vm->owner);
		return false;
	}
	if (r < 0 || wk_decode(&b->in, &a, &wk, &e) < 0)
		nonsense(h, &e);
	else if (!h->killed)
		worker_says(vm, &wk);
	closer_close_msg(&b->closer, &b->in, vm->owner);
	return h->src.fn != NULL;
}

void worker_ready(struct source *s, uint32_t events)
{
	struct helper *h = container_of(s, struct helper, src);

	read_worker(h);
	if ((events & EPOLLHUP) && !(events & EPOLLIN))
		hung_up(h);
}

/* --- ends --- */

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
	if (vm->goal == GOAL_NONE)
		vm_take_down(vm, GOAL_STOPPED);
	else
		vm_step(vm);
}

static void worker_gone(struct vm *vm, const char *how, bool expected)
{
	struct err e = {0};

	vm->query_worker = false;
	grow_worker_gone(vm);
	if (vm->reset && vm->goal == GOAL_NONE) {
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
	vm_set_end(vm, END_WORKER_DIED, "the VM's worker %s", how);
	vm_take_down(vm, GOAL_STOPPED);
}

static void helper_gone(struct helper *h, const struct spawn_exit *x)
{
	struct vm *vm = h->vm;
	bool worker = h->kind == CHILD_WORKER, expected;
	char how[160];

	/* Its last words may still lie in the channel; they say more than its exit status. */
	while (h->src.fn && (worker ? read_worker(h) : read_memsrv(h)))
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
		query_done(vm);
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
		return out_of_turn(h, "closed its channel but did not end");
	h->asked = true;
	helper_kill(h);
	vm_fail(vm, -ETIMEDOUT, "%s made no progress for %u s", h->kind == CHILD_WORKER ? "the worker" : "memsrv",
		(h->kind == CHILD_WORKER ? VM_WORKER_SETUP_MS : VM_MEMSRV_SILENCE_MS) / 1000);
}

static bool due(uint64_t until, uint64_t now, uint64_t *next)
{
	if (!until)
		return false;
	if (until <= now)
		return true;
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
		devices_tick(vm, now, next);
		grow_tick(vm, now, next);
		if (due(vm->act_until, now, next)) {
			vm->act_until = 0;
			clients_answer(b, vm, OPS(CTL_BOOT) | OPS(CTL_PAUSE) | OPS(CTL_RESUME), -ETIMEDOUT,
				       "the VM's worker does not answer: stop the VM, or try again");
		}
		if (due(vm->query_until, now, next)) {
			vm->query_memsrv = vm->query_worker = false;
			query_done(vm);
		}
	}
}
