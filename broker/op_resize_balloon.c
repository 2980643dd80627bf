/* resize --balloon */
#include "ops.h"

#include <errno.h>

int op_resize_balloon(struct client *c, struct vm *vm, struct ctl_request *q, struct err *e)
{
	static struct diags ds; /* large, and only this request's */
	const struct wk_balloon *wanted = &vm->grant.balloon;
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
	balloon_want(vm, q->size);
	op_done(c, q, vm);
	c->watch_vm = vm->id;
	ev = balloon_event(vm);
	client_send_event(c, &ev);
	return 0;
}
