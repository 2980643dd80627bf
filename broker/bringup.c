/* Making what a VM consists of. Nothing here waits: each step sends and returns, the answer comes to hear_*.c. */
#include "epc.h"
#include "vm.h"

#include "log.h"

#include "bulkhead/fd.h"
#include "host/hostfacts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int open_kvm(struct broker *b, struct err *e)
{
	if (b->kvm >= 0)
		return 0;
	b->kvm = open(b->opt.kvm, O_RDWR | O_CLOEXEC);
	if (b->kvm < 0)
		return err_sys(e, -errno,
			       "%s cannot be opened (is the kvm module loaded, and is the user that the broker runs as in the "
			       "device's group? Of run without a broker for the host, that is you; a broker that was there "
			       "before the device must be started again)",
			       b->opt.kvm);
	return 0;
}

static int promise(struct vm *vm, struct err *e)
{
	struct broker *b = vm->b;
	int r;

	/* What the last worker made has gone with it: until the next one has made it anew nobody else is to be promised it. */
	if (vm->again && !vm_needs_memsrv(vm))
		ledger_returned(&b->ledger, &vm->promise);
	if (vm->promise.made)
		return 0;
	r = host_facts_refresh(HOST_ROOT_REAL, &b->facts, e);
	if (r < 0)
		return r;
	grow_promised(b, NULL, &b->facts);
	r = ledger_promise(&b->ledger, &b->facts, &vm->plan, &vm->promise, e);
	if (r == -ENOMEM && vm->again) { /* somebody was faster; a guest that ran a moment ago may try all the same */
		log_line("VM %s, started again after a reset: %s", vm->name, e->text);
		r = 0;
	}
	return r;
}

static int spawn(struct helper *h, uint64_t patience_ms, struct err *e)
{
	struct vm *vm = h->vm;
	struct child c;
	int r;

	r = spawner_spawn(&vm->b->spawner, h->kind, vm->slot, NULL, &c, e);
	if (r == -EPIPE) {
		vm->b->failed = true;
		broker_stop(vm->b, "the spawner does not answer");
	}
	if (r < 0)
		return r;
	*h = (struct helper){.vm = vm, .kind = h->kind, .pid = c.pid, .until = now_ms() + patience_ms};
	r = loop_add(&vm->b->loop, &h->src, c.channel, EPOLLIN, helper_ready, e);
	if (r < 0)
		close(c.channel); /* it ends by that */
	return r;
}

static int send_plan(struct vm *vm, struct err *e)
{
	static struct ms_msg m; /* large; all of it is set here */
	int fds[CHAN_FDS_MAX];
	struct ms_plan *p = &m.u.plan;

	m.op = MS_PLAN;
	m.serial = 0;
	p->plan = &vm->plan;
	p->n_tags = 0;
	for (size_t i = 0; i < vm->plan.n_zones; i++) {
		if (vm->zone_files[i] < 0)
			continue;
		p->tags[p->n_tags] = (struct fd_tag){FD_ROLE_ZONE_FILE, (uint16_t)i};
		fds[p->n_tags++] = vm->zone_files[i];
	}
	if (vm_send_memsrv(vm, &m, fds, p->n_tags) < 0)
		return err_set(e, -EPIPE, "memsrv did not take its plan");
	return 0;
}

int vm_bring_up(struct vm *vm, bool start, struct err *e)
{
	bool needs_memsrv = vm_needs_memsrv(vm);
	int r;

	vm->start = start;
	vm->again = vm->reset && vm->state != VM_STOPPED;
	vm->has_end = vm->end_told = vm->reset = vm->drop_memory = false;
	vm->fail = (struct err){0};
	vm->granted = vm->ready = vm->acting = false;
	vm->act_until = vm->explain_by = 0;
	vm_set_state(vm, VM_MEMORY);
	r = open_kvm(vm->b, e);
	if (r == 0)
		r = promise(vm, e);
	if (r == 0 && needs_memsrv && !vm->memsrv.pid) {
		r = spawn(&vm->memsrv, VM_MEMSRV_SILENCE_MS, e);
		if (r == 0)
			r = send_plan(vm, e);
	}
	if (r == 0)
		r = devices_begin(vm, e);
	/* At once, so that its namespaces and its start overlap with the making of zones. */
	if (r == 0)
		r = spawn(&vm->worker, VM_WORKER_SETUP_MS, e);
	if (r < 0)
		return r;
	if (needs_memsrv && !vm->zones_ready)
		vm->worker.until = 0; /* it waits for us, not we for it */
	else
		vm_grant(vm);
	return 0;
}

static void add_fd(struct wk_grant *g, int *fds, enum fd_role role, size_t index, int fd)
{
	if (fd < 0)
		return;
	g->tags[g->n_tags] = (struct fd_tag){role, (uint16_t)index};
	fds[g->n_tags++] = fd;
}

void vm_grant(struct vm *vm)
{
	static struct wk_msg m; /* large; all of it is set here */
	int fds[CHAN_FDS_MAX], epc[LIM_EPC];
	struct wk_grant *g = &m.u.grant;
	CLEANUP(fd_cleanup) int plug = -1;
	struct err e = {0};

	if (grow_connect(vm, &plug, &e) < 0 || epc_open(vm, epc, &e) < 0) {
		vm_fail(vm, e.code, "%s", e.text);
		return;
	}

	m.op = WK_GRANT;
	m.serial = 0;
	*g = vm->grant;
	g->start = vm->start;
	g->n_tags = 0;
	add_fd(g, fds, FD_ROLE_KVM, 0, vm->b->kvm);
	add_fd(g, fds, FD_ROLE_KERNEL, 0, vm->kernel);
	add_fd(g, fds, FD_ROLE_INITRAMFS, 0, vm->initramfs);
	add_fd(g, fds, FD_ROLE_CONSOLE, 0, vm->console);
	add_fd(g, fds, FD_ROLE_SERIAL_FILE, 0, vm->serial_file);
	add_fd(g, fds, FD_ROLE_SERIAL_FILE, 1, vm->console_file);
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		add_fd(g, fds, FD_ROLE_ZONE, i, vm->zones[i]);
	add_fd(g, fds, FD_ROLE_PLUG, 0, plug);
	for (size_t i = 0; i < vm->plan.n_epc; i++)
		add_fd(g, fds, FD_ROLE_EPC, i, epc[i]);
	vm->granted = true;
	vm->worker.until = now_ms() + VM_WORKER_SETUP_MS;
	/* A failure has killed the worker, and its exit notice tells the rest. */
	if (vm_send_worker(vm, &m, fds, g->n_tags) == 0) {
		devices_grant(vm);
		grow_granted(vm);
	}
	epc_close(epc, vm->plan.n_epc);
}
