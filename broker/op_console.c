#include "granted.h"
#include "ops.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <sys/socket.h>

/* The new console replaces the one before. The broker keeps its end too: a worker that comes after a reset gets it. */
int op_console(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	int r = granted_socket(m->fds[0], "the console", e);

	if (r < 0)
		return r;
	if (vm->grant.serial != SERIAL_TTY && vm->grant.console != SERIAL_TTY)
		return err_set(e, -ENOTTY, "VM %s was created without a terminal to attach to (--serial tty or --console tty)",
			       vm->name);
	r = op_offer_worker(vm, &(struct wk_msg){.op = WK_CONSOLE}, m->fds, 1, e);
	if (r < 0)
		return r;
	closer_close(&c->b->closer, &vm->console, vm->owner);
	vm->console = fd_take(&m->fds[0]);
	c->watch_vm = vm->id;
	op_done(c, q, vm);
	return 0;
}
