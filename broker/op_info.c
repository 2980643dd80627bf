#include "ops.h"

int op_info(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	op_wait_for(c, q, vm);
	vm_query(vm);
	return 0;
}
