#include "ops.h"

int op_list(struct client *c, struct vm *unused, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	static struct ctl_vm_info vms[LIM_VMS]; /* large, and only this request's */
	struct ctl_reply r = {.serial = q->serial, .vms = vms};

	for (size_t i = 0; i < LIM_VMS; i++) {
		const struct vm *vm = c->b->vms[i];

		if (!vm || vm->dead || !authz_sees(&c->peer, vm))
			continue;
		vm_describe(vm, NULL, &vms[r.n_vms]);
		vms[r.n_vms++].has_end = false; /* as many VMs as there can be fit one message; how each ended is for info */
	}
	client_send_reply(c, &r);
	return 0;
}
