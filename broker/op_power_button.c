#include "ops.h"

#include <errno.h>

int op_power_button(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	int r;

	/* Between two lives of a guest that resets itself there is nobody who could notice. */
	if (vm->goal != GOAL_NONE || !vm->ready || vm->reset)
		return err_set(e, -EBUSY, "VM %s is %s: try again", vm->name,
			       vm->goal == GOAL_NONE ? "being started again after a reset" : "ending");
	r = vm_offer_worker(vm, &(struct wk_msg){.op = WK_POWER_BUTTON}, NULL, 0);
	if (r == -EAGAIN)
		return err_set(e, r, "VM %s: its worker is busy: try again", vm->name);
	if (r < 0)
		return err_set(e, -EPIPE, "VM %s: its worker does not listen", vm->name);
	op_done(c, q, vm);
	return 0;
}
