#include "ops.h"

int op_delete(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	op_wait_for(c, q, vm);
	vm_set_end(vm, END_STOPPED, "it was deleted on request of uid %u", c->peer.uid);
	vm_take_down(vm, GOAL_GONE);
	return 0;
}
