#include "ops.h"

#include <errno.h>

int op_delete(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	if (vm->state == VM_MEMORY && vm->again)
		return err_set(e, -EBUSY, "VM %s is being started again after a reset: stop it first", vm->name);
	op_wait_for(c, q, vm);
	vm_set_end(vm, END_STOPPED, "it was deleted on request of uid %u", c->peer.uid);
	vm_take_down(vm, GOAL_GONE);
	return 0;
}
