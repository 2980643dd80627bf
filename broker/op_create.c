/* create: judge, plan, note, and set going. Everything that can be refused is refused before anything is made. */
#include "epc.h"
#include "granted.h"
#include "log.h"
#include "ops.h"

#include "bulkhead/fd.h"
#include "host/hostfacts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void refuse_spec(struct client *c, const struct ctl_request *q, struct diags *ds)
{
	client_send_reply(
	    c,
	    &(struct ctl_reply){.serial = q->serial, .code = -EINVAL, .text = "the VM cannot be created like this", .diags = ds});
}

static int check_quota(const struct client *c, struct err *e)
{
	const struct broker *b = c->b;
	unsigned own = 0;

	for (size_t i = 0; i < LIM_VMS; i++)
		own += b->vms[i] && b->vms[i]->owner == c->peer.uid;
	if (b->n_vms >= b->opt.max_vms)
		return err_set(e, -EDQUOT, "the broker has %u VMs already, which is the operator's bound: delete one first",
			       b->n_vms);
	if (c->peer.uid && own >= b->opt.max_vms_per_user)
		return err_set(e, -EDQUOT,
			       "you have %u VMs already, which is the operator's bound for one user: delete one first", own);
	return 0;
}

static int check_name(const struct client *c, const char *name, struct err *e)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	if (!name)
		return 0;
	if (name[strspn(name, good)] || strncmp(name, "__", 2) == 0)
		return err_set(e, -EINVAL, "--name: letters, digits, '.', '_' and '-' only, and not '__' in front");
	if (!name[strspn(name, "0123456789")])
		return err_set(e, -EINVAL, "--name %s: a name of digits only would be taken for an id", name);
	for (size_t i = 0; i < LIM_VMS; i++) {
		const struct vm *vm = c->b->vms[i];

		if (vm && vm->owner == c->peer.uid && vm->state != VM_ENDING && strcmp(vm->name, name) == 0)
			return err_set(e, -EEXIST,
				       "you have a VM called %s already (it is %s): choose another name, or delete it", name,
				       vm_state_name(vm->state));
	}
	return 0;
}

/* Moves the fds of the request into the VM, each looked at first. */
static int take_fds(struct vm *vm, const struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	const struct options *o = &vm->b->opt;

	for (size_t i = 0; i < q->n_tags; i++) {
		enum fd_role role = q->tags[i].role;
		uint16_t index = q->tags[i].index;
		int fd = m->fds[i], *to = NULL, r = 0;

		if (role == FD_ROLE_KERNEL) {
			to = &vm->kernel;
			r = granted_image(o, fd, "--kernel", e);
		} else if (role == FD_ROLE_INITRAMFS) {
			to = &vm->initramfs;
			r = granted_image(o, fd, "--initramfs", e);
		} else if (role == FD_ROLE_CONSOLE) {
			to = &vm->console;
			r = granted_socket(fd, "the console", e);
		} else if (role == FD_ROLE_SERIAL_FILE) {
			to = index == 0 ? &vm->serial_file : &vm->console_file;
			r = granted_output(o, fd, index == 0 ? "--serial file" : "--console file", e);
		} else if (role == FD_ROLE_DEVICE || role == FD_ROLE_TICKET) {
			r = (role == FD_ROLE_DEVICE ? devices_take : devices_take_ticket)(vm, index, &m->fds[i], e);
			if (r < 0)
				return r;
			continue;
		} else if (index < vm->plan.n_zones && q->spec->n_zones && q->spec->zones[index].file) {
			to = &vm->zone_files[index];
			r = granted_zone_file(o, fd, &vm->plan.zones[index], e);
		} else {
			return err_set(e, -EPROTO, "create: a file came for a zone that has none");
		}
		if (r < 0)
			return r;
		*to = fd_take(&m->fds[i]);
	}
	return 0;
}

/* What the specification speaks of must have come, and nothing else. */
static int check_fds(const struct vm *vm, const struct vm_spec *s, struct err *e)
{
	if (vm->kernel < 0)
		return err_set(e, -EPROTO, "create: no kernel came with it");
	if ((vm->initramfs >= 0) != (s->initramfs != NULL))
		return err_set(e, -EPROTO, "create: --initramfs and what came with it do not fit");
	if ((vm->serial_file >= 0) != (s->serial == SERIAL_FILE))
		return err_set(e, -EPROTO, "create: --serial and what came with it do not fit");
	if ((vm->console_file >= 0) != (s->console == SERIAL_FILE))
		return err_set(e, -EPROTO, "create: --console and what came with it do not fit");
	if (devices_check(vm, e) < 0)
		return e->code;
	for (size_t i = 0; i < s->n_zones; i++)
		if (s->zones[i].file && vm->zone_files[i] < 0)
			return err_set(e, -EPROTO, "create: the file of zone %s did not come with it", vm->plan.zones[i].id);
	return 0;
}

static int fill_grant(struct vm *vm, const struct vm_spec *s, struct err *e)
{
	const struct cpus_spec *cpus = &s->cpus;
	struct wk_grant *g = &vm->grant;

	*g = (struct wk_grant){.plan = &vm->plan,
			       .devices = g->devices,
			       .n_devices = g->n_devices,
			       .balloon = {.there = s->balloon.given,
					   .bytes = s->balloon.size,
					   .deflate_on_oom = s->balloon.deflate_on_oom == TRI_ON,
					   .free_page_reporting = s->balloon.free_page_reporting == TRI_ON},
			       .vcpus_boot = cpus_spec_boot(cpus),
			       .vcpus_max = cpus_spec_max(cpus),
			       .serial = vm_spec_serial(s),
			       .console = vm_spec_console(s)};
	if (cpus->has_topology) {
		g->threads_per_core = cpus->threads_per_core;
		g->cores_per_die = cpus->cores_per_die;
		g->dies_per_package = cpus->dies_per_package;
		g->packages = cpus->packages;
	}
	vm->affinity = calloc(g->vcpus_max, sizeof(*vm->affinity));
	if (!vm->affinity)
		return err_set(e, -ENOMEM, "the broker is out of memory");
	g->affinity = vm->affinity;
	g->n_affinity = plan_affinity(s, &vm->plan, vm->affinity);
	vm->perf = calloc(1, sizeof(*vm->perf));
	if (!vm->perf)
		return err_set(e, -ENOMEM, "the broker is out of memory");
	if (node_perf_build(s, &vm->plan, vm->perf)) {
		g->perf = vm->perf;
	} else {
		free(vm->perf);
		vm->perf = NULL;
	}
	if (s->cmdline) {
		memcpy(vm->cmdline, s->cmdline, strlen(s->cmdline)); /* bounded by the codec; the rest is zero */
		g->cmdline = vm->cmdline;
	}
	return 0;
}

/* Once for nothing: what cannot be opened is said before anything is made. */
static int try_epc(const struct vm *vm, struct err *e)
{
	int fds[LIM_EPC], r = epc_open(vm, fds, e);

	if (r == 0)
		epc_close(fds, vm->plan.n_epc);
	return r;
}

int op_create(struct client *c, struct vm *unused, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	static struct diags ds; /* large, and only this request's */
	static struct mem_plan plan;
	struct broker *b = c->b;
	struct vm *vm;
	int r;

	ds = (struct diags){0};
	if (c->attached_vm)
		return err_set(e, -EBUSY, "create: this connection has a VM attached already");
	r = host_facts_refresh(HOST_ROOT_REAL, &b->facts, e);
	if (r < 0)
		return r;
	if (spec_check(q->spec, &b->facts, &ds) < 0 || spec_check_supported(q->spec, &ds) < 0 ||
	    plan_build(q->spec, &b->facts, &plan, &ds) < 0) {
		refuse_spec(c, q, &ds);
		return 0;
	}
	r = check_quota(c, e);
	if (r == 0)
		r = check_name(c, q->spec->name, e);
	if (r < 0)
		return r;
	vm = vm_new(b, c->peer.uid, c->peer.gid, q->spec->name);
	if (!vm)
		return err_set(e, -ENOMEM, "the broker is out of memory");
	vm->plan = plan;
	grow_init(vm);
	r = devices_fill(vm, q->spec, e);
	if (r == 0)
		r = take_fds(vm, q, m, e);
	if (r == 0)
		r = check_fds(vm, q->spec, e);
	if (r == 0)
		r = fill_grant(vm, q->spec, e);
	if (r == 0)
		r = try_epc(vm, e);
	if (r < 0) {
		vm_remove(vm);
		return r;
	}
	vm->attached = q->attached;
	c->watch_vm = vm->id;
	c->attached_vm = q->attached ? vm->id : 0;
	op_wait_for(c, q, vm);
	if (vm_bring_up(vm, q->boot, e) < 0)
		vm_fail(vm, e->code, "%s", e->text);
	return 0;
}
