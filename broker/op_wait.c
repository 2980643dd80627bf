#include "ops.h"

int op_wait(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	struct ctl_event ev = {.kind = CTL_EVENT_ENDED, .vm_id = vm->id, .name = vm->name, .end = vm->end};

	op_done(c, q, vm);
	if (vm->state == VM_STOPPED && vm->has_end)
		client_send_event(c, &ev); /* it has ended already */
	else
		c->watch_vm = vm->id;
	return 0;
}
