#include "balloon.h"

#include "ops.h"

#include "model/resize_check.h"

#include <errno.h>

static void send_wanted(struct vm *vm)
{
	struct wk_msg m = {.op = WK_BALLOON, .u.balloon = vm->grant.balloon};

	if (vm_send_worker(vm, &m, NULL, 0) == 0)
		vm->balloon.asked = true;
}

static struct ctl_event event(const struct vm *vm)
{
	return (struct ctl_event){.kind = CTL_EVENT_BALLOON,
				  .vm_id = vm->id,
				  .name = vm->name,
				  .done = vm->balloon.actual,
				  .total = vm->grant.balloon.bytes};
}

bool balloon_heard(struct vm *vm, const struct wk_balloon_state *m)
{
	struct balloon *b = &vm->balloon;
	struct ctl_event ev;

	if (!vm->grant.balloon.there)
		return false;
	b->actual = m->actual;
	b->driver = m->driver;
	b->given = m->given;
	b->reported = m->reported;
	b->kept = m->kept;
	b->foreign = m->foreign;
	if (b->asked && m->wanted != vm->grant.balloon.bytes) {
		send_wanted(vm); /* it has answered an older one */
		return true;
	}
	b->asked = false;
	ev = event(vm);
	clients_tell(vm->b, vm, &ev);
	return true;
}

void balloon_worker_gone(struct vm *vm)
{
	vm->balloon = (struct balloon){0};
}

bool balloon_describe(const struct vm *vm, struct wk_balloon_state *ret)
{
	const struct balloon *b = &vm->balloon;

	if (!vm->grant.balloon.there)
		return false;
	*ret = (struct wk_balloon_state){.wanted = vm->grant.balloon.bytes,
					 .actual = b->actual,
					 .driver = b->driver,
					 .given = b->given,
					 .reported = b->reported,
					 .kept = b->kept,
					 .foreign = b->foreign};
	return true;
}

int balloon_resize(struct client *c, struct vm *vm, struct ctl_request *q, struct err *e)
{
	static struct diags ds; /* large, and only this request's */
	struct wk_balloon *wanted = &vm->grant.balloon;
	struct balloon_resize now = {
	    .life = op_resize_life(vm),
	    .there = wanted->there,
	    .guest_driver = vm->balloon.driver,
	    .no_wait = q->no_wait,
	    .current = wanted->bytes,
	    .size = q->size,
	};
	struct ctl_event ev;

	ds = (struct diags){0};
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		now.memory += vm->plan.zones[i].size + vm->grown[i].plugged;
	if (balloon_resize_check(&now, &ds) < 0) {
		client_send_reply(c, &(struct ctl_reply){.serial = q->serial,
							 .code = -EINVAL,
							 .text = "the balloon cannot be resized like this",
							 .diags = &ds});
		return 0;
	}
	if (q->size != wanted->bytes) {
		wanted->bytes = q->size;
		if (!vm->balloon.asked)
			send_wanted(vm);
	}
	op_done(c, q, vm);
	c->watch_vm = vm->id;
	ev = event(vm);
	client_send_event(c, &ev);
	return 0;
}
