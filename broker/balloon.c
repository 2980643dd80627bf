#include "balloon.h"

#include "client.h"
#include "vm.h"

static void send_wanted(struct vm *vm)
{
	struct wk_msg m = {.op = WK_BALLOON, .u.balloon = vm->grant.balloon};

	if (vm_send_worker(vm, &m, NULL, 0) == 0) {
		vm->balloon.asked = true;
		vm->balloon.told = m.u.balloon.bytes;
	}
}

struct ctl_event balloon_event(const struct vm *vm)
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
	/* One never says what the one before it has said. */
	if (b->asked && m->wanted != b->told)
		return true; /* it has not read the last one yet */
	if (b->asked && b->told != vm->grant.balloon.bytes) {
		send_wanted(vm); /* somebody was faster than the answer */
		return true;
	}
	b->asked = false;
	ev = balloon_event(vm);
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

void balloon_want(struct vm *vm, uint64_t bytes)
{
	if (bytes == vm->grant.balloon.bytes)
		return;
	vm->grant.balloon.bytes = bytes;
	if (!vm->balloon.asked)
		send_wanted(vm);
}
