#include "ops.h"

static int act(struct client *c, struct vm *vm, const struct ctl_request *q, enum wk_op op, struct err *e)
{
	int r = vm_act(vm, op, e);

	if (r == 0)
		op_wait_for(c, q, vm);
	return r;
}

int op_pause(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	return act(c, vm, q, WK_PAUSE, e);
}

int op_resume(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	return act(c, vm, q, WK_RESUME, e);
}
