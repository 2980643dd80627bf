#include "ops.h"

int op_boot(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	int r;

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
