#include "ops.h"

int op_stop(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	if (vm->state == VM_STOPPED && vm->goal == GOAL_NONE) {
		op_done(c, q, vm);
		return 0;
	}
	op_wait_for(c, q, vm);
	vm_set_end(vm, END_STOPPED, "it was stopped on request of uid %u", c->peer.uid);
	vm_take_down(vm, GOAL_STOPPED);
	return 0;
}
