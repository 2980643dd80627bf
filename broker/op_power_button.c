#include "ops.h"

int op_power_button(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	int r = op_offer_worker(vm, &(struct wk_msg){.op = WK_POWER_BUTTON}, NULL, 0, e);

	if (r < 0)
		return r;
	op_done(c, q, vm);
	return 0;
}
