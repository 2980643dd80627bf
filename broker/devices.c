#include "devices.h"

#include "client.h"
#include "granted.h"
#include "log.h"
#include "vm.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_FIRST_MS 50u
#define WAIT_LAST_MS  1000u
#define NOTES_MAX     64u    /* lines about one VM's devices in the log, */
#define NOTES_MS      10000u /* in so long */
#define EXPLAIN_MS    2000u  /* from the end of a channel to the exit notice */

static void fill_own(struct vm *vm, uint32_t index, const struct device_spec *d)
{
	struct backend *k = &vm->devices[index].own;

	k->vm = vm;
	k->index = index;
	k->kind = d->kind == DEVICE_FS ? CHILD_BACKEND_FS : CHILD_BACKEND;
	k->start.num_queues = vm->device_plans[index].n_queues;
	k->start.flags = (d->readonly == TRI_ON ? BACKEND_READONLY : 0u) | (d->direct == TRI_ON ? BACKEND_DIRECT : 0u) |
			 (d->discard == TRI_ON ? BACKEND_DISCARD : 0u) | (d->image_type == IMAGE_QCOW2 ? BACKEND_QCOW2 : 0u);
}

int devices_fill(struct vm *vm, const struct vm_spec *s, struct err *e)
{
	struct wk_grant *g = &vm->grant;

	if (s->n_devices == 0)
		return 0;
	vm->devices = calloc(LIM_DEVICES, sizeof(*vm->devices));
	for (size_t i = 0; vm->devices && i < LIM_DEVICES; i++) /* before anything can fail: devices_free closes them */
		vm->devices[i].connection = vm->devices[i].ticket = vm->devices[i].own.file = -1;
	vm->device_plans = calloc(LIM_DEVICES, sizeof(*vm->device_plans));
	if (!vm->device_plans || !vm->devices)
		return err_set(e, -ENOMEM, "the broker is out of memory");
	g->devices = vm->device_plans;
	g->n_devices = device_plan_build(s, &vm->plan, vm->device_plans);
	for (uint32_t i = 0, n = 0; i < s->n_devices; i++) {
		const struct device_spec *d = &s->devices[i];

		if (!device_spec_backend(d))
			continue;
		vm->devices[n].path = strdup(device_spec_own_backend(d) ? d->path : d->socket);
		if (!vm->devices[n].path)
			return err_set(e, -ENOMEM, "the broker is out of memory");
		if (device_spec_own_backend(d))
			fill_own(vm, n, d);
		n++;
	}
	return device_plan_check(g->devices, g->n_devices, &vm->plan, e);
}

/* Under whose uid a directory is served. What the guest does there is done with that user's rights, so it is the VM's owner; who
 * gave a directory away by opening it has proved no right but to read it. For root that would be everything: there it is whoever
 * owns the directory, and if that is root, too, a number that owns nothing. */
static int choose_owner(struct backend *k, const struct spawn_owner *dir, struct err *e)
{
	const struct vm *vm = k->vm;
	uid_t broker = vm->b->uid;
	uid_t uid = vm->owner ? vm->owner : dir->uid;
	gid_t gid = vm->owner ? vm->owner_gid : dir->gid, own = SPAWN_BACKEND_UID_BASE + vm->slot * LIM_DEVICES + k->index;

	if (broker && vm->owner && vm->owner != broker)
		return err_set(e, -EACCES,
			       "device %s: this broker is user %u's and could serve a directory with that user's rights only; "
			       "a directory of yours takes root's broker, or one of your own",
			       vm->device_plans[k->index].id, broker);
	if (broker)
		uid = broker;
	k->owner = (struct spawn_owner){.uid = uid ? uid : own, .gid = gid ? gid : own};
	return 0;
}

static int take_file(struct vm *vm, struct backend *k, int fd, struct err *e)
{
	const char *id = vm->device_plans[k->index].id;
	struct spawn_owner owner;
	int r;

	if (k->kind == CHILD_BACKEND)
		return granted_disk(&vm->b->opt, fd, id, k->start.flags & BACKEND_READONLY, e);
	r = granted_directory(&vm->b->opt, fd, id, &owner, e);
	return r < 0 ? r : choose_owner(k, &owner, e);
}

int devices_take(struct vm *vm, uint16_t index, int *fd, struct err *e)
{
	struct vm_device *d = &vm->devices[index];
	int r;

	/* In this version every device has a back-end: numbers of the spec are ours. */
	if (index >= vm->grant.n_devices || d->connection >= 0 || d->own.file >= 0)
		return err_set(e, -EPROTO, "create: a connection, an image or a directory came for a device that is not there");
	if (d->own.vm)
		r = take_file(vm, &d->own, *fd, e);
	else
		r = granted_socket(*fd, "the connection to a back-end", e);
	if (r == 0)
		*(d->own.vm ? &d->own.file : &d->connection) = fd_take(fd);
	return r;
}

int devices_take_ticket(struct vm *vm, uint16_t index, int *fd, struct err *e)
{
	int r;

	if (index >= vm->grant.n_devices || vm->devices[index].own.vm || vm->devices[index].ticket >= 0)
		return err_set(e, -EPROTO, "create: leave to connect came for a device that is not there");
	r = granted_ticket(*fd, e);
	if (r == 0)
		vm->devices[index].ticket = fd_take(fd);
	return r;
}

int devices_check(const struct vm *vm, struct err *e)
{
	for (size_t i = 0; i < vm->grant.n_devices; i++)
		if ((vm->devices[i].own.vm ? vm->devices[i].own.file : vm->devices[i].connection) < 0)
			return err_set(e, -EPROTO, "create: the connection, image or directory of device %s did not come with it",
				       vm->device_plans[i].id);
	return 0;
}

void devices_free(struct vm *vm)
{
	for (size_t i = 0; vm->devices && i < LIM_DEVICES; i++) {
		closer_close(&vm->b->closer, &vm->devices[i].connection, vm->owner);
		closer_close(&vm->b->closer, &vm->devices[i].ticket, vm->owner);
		closer_close(&vm->b->closer, &vm->devices[i].own.file, vm->owner);
		free(vm->devices[i].path);
	}
	free(vm->devices);
	free(vm->device_plans);
	vm->devices = NULL;
	vm->device_plans = NULL;
	vm->grant.devices = NULL;
	vm->grant.n_devices = 0;
}

/* Hands a connection to the worker, and what the back-end needs for requests of its own. */
static int hand_over(struct vm *vm, uint32_t index, int connection, struct err *e)
{
	struct wk_msg m = {.op = WK_DEVICE, .u.device.index = index};
	int pair[2], fds[WK_DEVICE_FDS], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "socketpair");
	fds[0] = connection;
	fds[1] = pair[0];
	fds[2] = pair[1];
	r = vm_send_worker(vm, &m, fds, WK_DEVICE_FDS);
	close(pair[0]);
	close(pair[1]);
	return r;
}

/* Has a connection made, which comes to devices_connected. */
static int want_connection(struct vm *vm, uint32_t index, struct err *e)
{
	struct vm_device *d = &vm->devices[index];
	int r;

	if (d->own.vm)
		return backend_want(&d->own, e);
	if (d->ticket < 0)
		return err_set(e, -EACCES, "who made the VM has left no leave to connect to it again");
	r = connector_ask(&vm->b->connector, vm->id, index, d->ticket);
	if (r < 0)
		return err_set(e, r, "%s", r == -EAGAIN ? "too many are being connected to" : "the broker's connector is gone");
	d->asked = true;
	return 0;
}

static int serve_device(struct vm *vm, uint32_t index, struct err *e)
{
	struct vm_device *d = &vm->devices[index];
	int fd = fd_take(&d->connection), r;

	if (fd < 0)
		return want_connection(vm, index, e);
	r = hand_over(vm, index, fd, e);
	closer_close(&vm->b->closer, &fd, vm->owner);
	return r;
}

int devices_begin(struct vm *vm, struct err *e)
{
	vm->next_device = 0;
	for (uint32_t i = 0; i < vm->grant.n_devices; i++) {
		struct vm_device *d = &vm->devices[i];

		d->up = true;
		d->asked = d->hopeless = false;
		d->retry_at = 0;
		d->wait_ms = WAIT_FIRST_MS;
		d->text[0] = 0;
		if (d->own.vm)
			closer_close(&vm->b->closer, &d->connection, vm->owner); /* of a life that ended before anybody used it */
		if (d->connection < 0 && want_connection(vm, i, e) < 0)
			return err_wrap(e, "device %s", vm->device_plans[i].id);
	}
	return 0;
}

void devices_grant(struct vm *vm)
{
	struct err e = {0};

	while (vm->granted && vm->next_device < vm->grant.n_devices) {
		uint32_t i = vm->next_device;
		struct vm_device *d = &vm->devices[i];

		if (d->connection < 0)
			return; /* devices_connected goes on here */
		if (serve_device(vm, i, &e) < 0) {
			vm_fail(vm, e.code ? e.code : -EPIPE, "device %s: its back-end is not there: %s", vm->device_plans[i].id,
				e.text);
			return;
		}
		vm->next_device++;
	}
}

void devices_connected(struct vm *vm, uint32_t index, int *fd)
{
	struct err e = {0};

	if (vm->goal != GOAL_NONE)
		return;
	vm->devices[index].connection = fd_take(fd);
	if (index >= vm->next_device)
		devices_grant(vm);
	else if (serve_device(vm, index, &e) < 0)
		log_line("VM %s: device %s: %s", vm->name, vm->device_plans[index].id, e.text);
}

bool devices_end(struct vm *vm)
{
	bool all = true;

	for (uint32_t i = 0; i < vm->grant.n_devices; i++) {
		struct vm_device *d = &vm->devices[i];

		d->retry_at = 0; /* nobody is there to hand a connection to, also when the VM has stopped */
		d->asked = false;
		if (d->own.vm && !backend_end(&d->own))
			all = false;
	}
	return all;
}

bool devices_explain(struct vm *vm, int code, const char *text)
{
	for (uint32_t i = 0; i < vm->grant.n_devices; i++) {
		struct backend *k = &vm->devices[i].own;
		const char *words = k->vm ? backend_words(k) : "";

		if (*words) {
			vm_fail(vm, code, "device %s: its back-end says: %s", vm->device_plans[i].id, words);
			return true;
		}
		if (k->vm && k->pid && k->over) {
			err_set(&vm->unexplained, code, "%s", text);
			vm->explain_by = now_ms() + EXPLAIN_MS;
			return true;
		}
	}
	return false;
}

/* A back-end can come and go as fast as it and the worker say so; the log is everybody's. */
static bool may_log(struct vm *vm)
{
	uint64_t now = now_ms();

	if (now >= vm->noted_since + NOTES_MS) {
		if (vm->noted > NOTES_MAX)
			log_line("VM %s: %u more lines about its devices were left out", vm->name, vm->noted - NOTES_MAX);
		vm->noted_since = now;
		vm->noted = 0;
	}
	return vm->noted++ < NOTES_MAX;
}

static void note(struct vm *vm, uint32_t index, const char *text)
{
	struct vm_device *d = &vm->devices[index];

	if (strcmp(d->text, text) == 0)
		return;
	snprintf(d->text, sizeof(d->text), "%s", text);
	if (may_log(vm))
		log_line("VM %s: device %s: %s", vm->name, vm->device_plans[index].id, text);
	clients_tell(vm->b, vm,
		     &(struct ctl_event){.kind = CTL_EVENT_DEVICE,
					 .vm_id = vm->id,
					 .name = vm->name,
					 .device = vm->device_plans[index].id,
					 .up = d->up,
					 .text = d->text});
}

static void wait_longer(struct vm_device *d)
{
	d->retry_at = now_ms() + d->wait_ms;
	d->wait_ms = d->wait_ms * 2 < WAIT_LAST_MS ? d->wait_ms * 2 : WAIT_LAST_MS;
}

bool devices_say(struct vm *vm, const struct wk_device_state *s)
{
	struct vm_device *d;

	if (s->index >= vm->grant.n_devices)
		return false;
	d = &vm->devices[s->index];
	if (!s->up && d->up)
		d->losses++;
	d->up = s->up;
	d->hopeless = s->hopeless;
	note(vm, s->index, s->text ? s->text : "");
	if (s->up) {
		d->retry_at = 0;
		d->wait_ms = WAIT_FIRST_MS;
	} else if (!s->hopeless) {
		wait_longer(d);
	}
	return true;
}

void devices_lost(struct vm *vm, uint32_t index, const char *text, bool known)
{
	struct vm_device *d = &vm->devices[index];

	if (!vm->ready)
		return vm_fail(vm, -EIO, "device %s: %s", vm->device_plans[index].id, text);
	note(vm, index, text);
	/* Otherwise the worker finds its connection at an end, and says so. */
	if (!known)
		wait_longer(d);
}

size_t devices_describe(const struct vm *vm, struct ctl_device_info *ret)
{
	for (size_t i = 0; i < vm->grant.n_devices; i++) {
		const struct vm_device *d = &vm->devices[i];

		ret[i] = (struct ctl_device_info){.id = vm->device_plans[i].id,
						  .socket = d->path,
						  .up = d->up && vm->worker.pid,
						  .losses = d->losses,
						  .own = d->own.vm,
						  .pid = d->own.pid,
						  .restarts = d->own.starts ? d->own.starts - 1 : 0,
						  .text = d->text[0] ? d->text : NULL};
	}
	return vm->grant.n_devices;
}

static void unreachable(struct vm *vm, uint32_t index, const char *why)
{
	char text[200];

	if (index >= vm->next_device)
		return vm_fail(vm, -ECONNREFUSED, "device %s: its back-end is not there: %s", vm->device_plans[index].id, why);
	snprintf(text, sizeof(text), "its back-end is gone; waiting for it: %.150s", why);
	note(vm, index, text);
	wait_longer(&vm->devices[index]);
}

void devices_tick(struct vm *vm, uint64_t now, uint64_t *next)
{
	if (vm->explain_by && vm->explain_by <= now) {
		*next = now; /* this sets deadlines that have been looked at already */
		return vm_fail(vm, vm->unexplained.code, "%s", vm->unexplained.text);
	}
	if (vm->explain_by && vm->explain_by < *next)
		*next = vm->explain_by;
	for (uint32_t i = 0; i < vm->grant.n_devices; i++) {
		struct vm_device *d = &vm->devices[i];
		struct err e = {0};

		if (d->own.vm)
			backend_tick(&d->own, now, next);
		if (!d->retry_at || vm->goal != GOAL_NONE || !vm->ready)
			continue;
		if (d->retry_at <= now) {
			/* Handed over: the worker says what becomes of it. */
			d->retry_at = 0;
			*next = now; /* the back-end's deadline, and the worker's, have been looked at already */
			if (serve_device(vm, i, &e) < 0)
				unreachable(vm, i, e.text);
		}
		if (d->retry_at && d->retry_at < *next)
			*next = d->retry_at;
	}
}

static void connector_gone(struct broker *b)
{
	log_line("the connector is gone: back-ends that are lost are not connected to until the broker is started again");
	loop_drop(&b->loop, &b->connects);
	b->connector.channel = -1;
	for (size_t v = 0; v < LIM_VMS; v++)
		for (uint32_t i = 0; b->vms[v] && !b->vms[v]->dead && i < b->vms[v]->grant.n_devices; i++) {
			if (!b->vms[v]->devices[i].asked)
				continue;
			b->vms[v]->devices[i].asked = false;
			unreachable(b->vms[v], i, "the broker's connector is gone");
		}
}

void devices_answered(struct source *s, uint32_t events)
{
	struct broker *b = container_of(s, struct broker, connects);
	struct connected c;
	int r;

	while ((r = connector_next(&b->connector, &c)) == 1) {
		struct vm *vm = NULL;

		for (size_t v = 0; v < LIM_VMS && !vm; v++)
			if (b->vms[v] && !b->vms[v]->dead && b->vms[v]->id == c.vm)
				vm = b->vms[v];
		/* The worker for whom it was may have gone meanwhile, or the next one have its own. */
		if (vm && vm->goal == GOAL_NONE && c.device < vm->grant.n_devices && vm->devices[c.device].asked) {
			vm->devices[c.device].asked = false;
			if (c.fd >= 0)
				devices_connected(vm, c.device, &c.fd);
			else
				unreachable(vm, c.device, c.text);
		}
		closer_close(&b->closer, &c.fd, vm ? vm->owner : 0);
	}
	if (r < 0)
		connector_gone(b);
}
