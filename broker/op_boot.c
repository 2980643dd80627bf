#include "ops.h"

#include <errno.h>

int op_boot(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	int r;

	if (vm->goal != GOAL_NONE) /* its worker, or its memory, is just on its way out */
		return err_set(e, -EBUSY, "VM %s is ending: try again", vm->name);
	if (vm->state == VM_CREATED) {
		r = vm_act(vm, WK_START, e);
		if (r == 0)
			op_wait_for(c, q, vm);
		return r;
	}
	op_wait_for(c, q, vm);
	if (vm_bring_up(vm, true, e) < 0)
		vm_fail(vm, e->code, "%s", e->text);
	return 0;
}
