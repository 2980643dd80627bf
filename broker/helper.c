/* What memsrv and worker have in common: a channel each, and an end. One that says anything out of turn is killed: it
 * is not ours any more. */
#include "client.h"
#include "log.h"
#include "vm.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <stdio.h>

void helper_hang_up(struct helper *h)
{
	struct broker *b = h->vm->b;
	int fd = loop_remove(&b->loop, &h->src);

	closer_close(&b->closer, &fd, h->vm->owner);
}

void helper_kill(struct helper *h)
{
	struct err e = {0};

	if (!h->pid)
		return;
	h->killed = true;
	h->until = now_ms() + VM_STOP_MS;
	if (spawner_kill(&h->vm->b->spawner, h->kind, h->vm->slot, &e) < 0)
		log_line("VM %s: %s", h->vm->name, e.text);
}

void helper_end(struct helper *h)
{
	struct vm *vm = h->vm;

	if (!h->pid || h->asked)
		return;
	h->asked = true;
	h->until = now_ms() + VM_STOP_MS;
	if (h->kind == CHILD_WORKER && vm->ready)
		vm_send_worker(vm, &(struct wk_msg){.op = WK_STOP}, NULL, 0);
	else
		helper_hang_up(h); /* the end of its channel is the end of it */
}

void helper_exits(struct helper *h)
{
	if (h->asked)
		return;
	h->asked = true;
	h->until = now_ms() + VM_STOP_MS;
}

void helper_out_of_turn(struct helper *h, const char *what)
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

	snprintf(what, sizeof(what), "sent nonsense (%.180s)",
		 e->code ? e->text : "too much at once, or more than the broker has descriptors for");
	helper_out_of_turn(h, what);
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
		helper_out_of_turn(h, "did not read its messages"); /* it has had a handful at most */
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

static int to_worker(struct vm *vm, const struct wk_msg *m, const int *fds, size_t n)
{
	struct broker *b = vm->b;
	size_t len = 0;
	int r = wk_encode(m, b->out, sizeof(b->out), &len, NULL);

	if (r < 0)
		return r;
	return vm->worker.src.fn ? chan_send(vm->worker.src.fd, b->out, len, fds, n) : -EPIPE;
}

int vm_send_worker(struct vm *vm, const struct wk_msg *m, const int *fds, size_t n)
{
	return helper_sent(&vm->worker, to_worker(vm, m, fds, n));
}

int vm_offer_worker(struct vm *vm, const struct wk_msg *m, const int *fds, size_t n)
{
	int r = to_worker(vm, m, fds, n);

	return r == -EAGAIN ? r : helper_sent(&vm->worker, r);
}

bool helper_read(struct helper *h)
{
	struct vm *vm = h->vm;
	struct broker *b = vm->b;
	struct arena a = broker_arena(b);
	struct err e = {0};
	int r = chan_recv(h->src.fd, &b->in);

	if (r <= 0 && r != -EMSGSIZE) {
		if (r != -EAGAIN)
			loop_want(&b->loop, &h->src, 0);
		closer_close_msg(&b->closer, &b->in, vm->owner);
		return false;
	}
	if (r > 0)
		r = h->kind == CHILD_WORKER ? hear_worker(vm, &b->in, &a, &e) : hear_memsrv(vm, &b->in, &a, &e);
	if (r < 0)
		nonsense(h, &e);
	closer_close_msg(&b->closer, &b->in, vm->owner);
	return h->src.fn != NULL;
}

static void listen_to(struct helper *h)
{
	h->deaf_until = 0;
	h->heard = 0;
	h->heard_since = now_ms();
	loop_want(&h->vm->b->loop, &h->src, EPOLLIN);
}

static void count(struct helper *h)
{
	uint64_t now = now_ms();

	if (now >= h->heard_since + 1000) {
		h->heard = 0;
		h->heard_since = now;
	}
	if (++h->heard < HELPER_MESSAGES)
		return;
	h->deaf_until = h->heard_since + 1000;
	loop_want(&h->vm->b->loop, &h->src, 0);
}

void helper_tick(struct helper *h, uint64_t now, uint64_t *next)
{
	if (h->deaf_until && h->deaf_until <= now)
		listen_to(h);
	else if (h->deaf_until && h->deaf_until < *next)
		*next = h->deaf_until;
}

void helper_ready(struct source *s, uint32_t events)
{
	struct helper *h = container_of(s, struct helper, src);

	/* Its end comes whether it is listened to or not, and its last words are heard. */
	if (h->deaf_until)
		return listen_to(h);
	if (helper_read(h))
		count(h);
	if (!(events & EPOLLHUP) || (events & EPOLLIN))
		return;
	/* The channel is at its end and read empty: nothing more will come but the exit notice. */
	helper_hang_up(h);
	expect_exit(h);
}

void helper_progress(struct helper *h, uint16_t zone, uint64_t done, uint64_t total, uint64_t patience_ms)
{
	struct vm *vm = h->vm;
	struct ctl_event ev = {.kind = CTL_EVENT_PROGRESS, .vm_id = vm->id, .name = vm->name, .done = done, .total = total};
	uint64_t now = now_ms();

	if (zone >= vm->plan.n_zones)
		return helper_out_of_turn(h, "reported a zone that does not exist");
	if (!h->asked)
		h->until = now + patience_ms;
	if (done < total && now < vm->progress_at + 50)
		return;
	vm->progress_at = now;
	ev.zone = vm->plan.zones[zone].id;
	clients_tell(vm->b, vm, &ev);
}
