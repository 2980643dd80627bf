#include "ops.h"

#include "model/size_text.h"

#include <errno.h>

#define IN(s)     VM_STATE_BIT(VM_##s)
#define FD(r)     (1u << FD_ROLE_##r)
#define ALIVE     (IN(CREATED) | IN(RUNNING) | IN(PAUSED))
#define ANY_STATE (IN(NEW) | IN(MEMORY) | ALIVE | IN(STOPPED) | IN(ENDING))
#define DELETABLE (ANY_STATE & ~(IN(RUNNING) | IN(PAUSED))) /* nobody loses a running machine by one word */
#define SMALL     256u                                      /* a header, a name, a tag */

static const struct op ops[] = {
    /* clang-format off */
                   /* name       who         states                      fds                                    at least/most  bytes   */
    [CTL_CREATE]  = {"create",  OP_ANYBODY, 0,                          FD(KERNEL) | FD(INITRAMFS) | FD(CONSOLE) |
                                                                        FD(SERIAL_FILE) | FD(ZONE_FILE) | FD(DEVICE) | FD(TICKET), 1, LIM_ZONES + 2 * LIM_DEVICES + 5, CHAN_MSG_MAX, op_create},
    [CTL_BOOT]    = {"boot",    OP_OWNER,   IN(CREATED) | IN(STOPPED),  0,                                     0, 0, SMALL, op_boot},
    [CTL_LIST]    = {"list",    OP_ANYBODY, 0,                          0,                                     0, 0, SMALL, op_list},
    [CTL_INFO]    = {"info",    OP_OWNER,   ANY_STATE,                  0,                                     0, 0, SMALL, op_info},
    [CTL_PAUSE]   = {"pause",   OP_OWNER,   IN(RUNNING),                0,                                     0, 0, SMALL, op_pause},
    [CTL_RESUME]  = {"resume",  OP_OWNER,   IN(PAUSED),                 0,                                     0, 0, SMALL, op_resume},
    [CTL_STOP]    = {"stop",    OP_OWNER,   ANY_STATE,                  0,                                     0, 0, SMALL, op_stop},
    [CTL_DELETE]  = {"delete",  OP_OWNER,   DELETABLE,                  0,                                     0, 0, SMALL, op_delete},
    [CTL_CONSOLE] = {"console", OP_OWNER,   ALIVE,                      FD(CONSOLE),                           1, 1, SMALL, op_console},
    [CTL_WAIT]    = {"wait",    OP_OWNER,   ANY_STATE,                  0,                                     0, 0, SMALL, op_wait},
    [CTL_POWER_BUTTON] = {"power button", OP_OWNER, IN(RUNNING),        0,                                     0, 0, SMALL, op_power_button},
    [CTL_RESIZE]  = {"resize",  OP_OWNER,   ALIVE | IN(STOPPED),        0,                                     0, 0, SMALL, op_resize},
    /* clang-format on */
};

void op_wait_for(struct client *c, const struct ctl_request *q, const struct vm *vm)
{
	c->pending.op = q->op;
	c->pending.serial = q->serial;
	c->pending.vm_id = vm->id;
}

void op_done(struct client *c, const struct ctl_request *q, const struct vm *vm)
{
	struct ctl_reply r = {.serial = q->serial};
	struct ctl_vm_info info;

	if (vm) {
		vm_describe(vm, NULL, &info);
		r.vms = &info;
		r.n_vms = 1;
	}
	client_send_reply(c, &r);
}

int op_offer_worker(struct vm *vm, const struct wk_msg *w, const int *fds, size_t n, struct err *e)
{
	int r;

	/* Between two lives of a guest that resets itself there is nobody who could notice. */
	if (vm->goal != GOAL_NONE || !vm->ready || vm->reset)
		return err_set(e, -EBUSY, "VM %s is %s: try again", vm->name,
			       vm->goal == GOAL_NONE ? "being started again after a reset" : "ending");
	r = vm_offer_worker(vm, w, fds, n);
	if (r == -EAGAIN)
		return err_set(e, r, "VM %s: its worker is busy: try again", vm->name);
	/* What it has said before it went, an end or a reset, has not been heard yet. */
	return r < 0 ? err_set(e, -EPIPE, "VM %s: its worker does not listen any more: try again", vm->name) : 0;
}

/* What the table says about the message before anything is done with it. */
static int check_shape(const struct op *op, const struct ctl_request *q, size_t len, struct err *e)
{
	if (len > op->max_size)
		return err_set(e, -EMSGSIZE, "%s: the request has %zu bytes, at most %zu are allowed", op->name, len,
			       op->max_size);
	if (q->n_tags < op->min_fds || q->n_tags > op->max_fds)
		return err_set(e, -EPROTO, "%s: %zu file descriptors came with it", op->name, q->n_tags);
	for (size_t i = 0; i < q->n_tags; i++)
		if (!(op->roles & 1u << q->tags[i].role))
			return err_set(e, -EPROTO, "%s: a file descriptor came with it that does not belong there", op->name);
	return 0;
}

/* In which states it could be done. Those in which nothing can be asked for are no advice. */
static const char *states_text(const struct op *op, struct txt *t)
{
	static const enum vm_state advice[] = {VM_CREATED, VM_RUNNING, VM_PAUSED, VM_STOPPED};

	txt_set(t, "%s", "");
	for (size_t i = 0; i < ARRAY_LEN(advice); i++)
		if (op->states & VM_STATE_BIT(advice[i]))
			txt_add(t, "%s%s", t->s[0] ? " or " : "", vm_state_name(advice[i]));
	return t->s;
}

/* How the VM comes from the state that it is in to one of those, where there is one way. */
static const char *way_there(const struct op *op, enum vm_state now)
{
	unsigned at = VM_STATE_BIT(now);

	if (at & (IN(RUNNING) | IN(PAUSED)) && op->states & IN(STOPPED))
		return ": stop it first";
	if (at & (IN(CREATED) | IN(STOPPED)) && op->states & (IN(RUNNING) | IN(PAUSED)))
		return ": boot it first";
	return "";
}

static int run(struct client *c, const struct op *op, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	struct vm *vm = NULL;
	struct txt t;
	int r = check_shape(op, q, m->len, e);

	if (r < 0)
		return r;
	if (c->b->stopping)
		return err_set(e, -ESHUTDOWN, "the broker is shutting down");
	if (op->who == OP_OWNER) {
		vm = authz_find(c->b, &c->peer, q->vm, e);
		if (!vm)
			return e->code;
		if (!(op->states & VM_STATE_BIT(vm->state)))
			return err_set(e, -EBUSY, "VM %s is %s%s, it has to be %s%s", vm->name, vm_state_name(vm->state),
				       vm->state == VM_MEMORY ? " (being built)" : "", states_text(op, &t),
				       way_there(op, vm->state));
	}
	return op->run(c, vm, q, m, e);
}

int ops_handle(struct client *c, struct chan_msg *m, struct err *e)
{
	struct arena a = broker_arena(c->b);
	struct ctl_request q;
	struct wire_hdr h;
	int r;

	if (wire_peek(m, &h) < 0)
		return err_set(e, -EPROTO, "this is not the control protocol, or another version of it");
	if (h.op >= ARRAY_LEN(ops) || !ops[h.op].run)
		return err_set(e, -EPROTO, "there is no operation %u", (unsigned)h.op);
	r = ctl_request_decode(m, &a, &q, e);
	if (r < 0)
		return r;
	r = run(c, &ops[q.op], &q, m, e);
	if (r < 0)
		client_reply(c, q.serial, r, e->text);
	return 0;
}
