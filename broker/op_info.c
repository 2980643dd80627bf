#include "ops.h"

int op_info(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	op_wait_for(c, q, vm);
	c->pending.query_no = vm->query_no + 1; /* the one under way may have seen what was before the question */
	vm_query(vm);
	return 0;
}
