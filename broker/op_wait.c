#include "ops.h"

int op_wait(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	struct ctl_event ev = {.kind = CTL_EVENT_ENDED, .vm_id = vm->id, .name = vm->name, .end = vm->end};

	op_done(c, q, vm);
	if (vm->end_told)
		client_send_event(c, &ev); /* it has ended already, and perhaps is being deleted */
	else
		c->watch_vm = vm->id;
	return 0;
}
