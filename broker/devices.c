#include "devices.h"

#include "client.h"
#include "granted.h"
#include "log.h"
#include "vm.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_FIRST_MS 50u
#define WAIT_LAST_MS  1000u
#define EXPLAIN_MS    2000u /* from the end of a channel to the exit notice */

static void fill_own(struct vm *vm, uint32_t index, const struct device_spec *d)
{
	struct backend *k = &vm->devices[index].own;

	k->vm = vm;
	k->index = index;
	k->start.num_queues = vm->device_plans[index].n_queues;
	k->start.flags = (d->readonly == TRI_ON ? BACKEND_READONLY : 0u) | (d->direct == TRI_ON ? BACKEND_DIRECT : 0u) |
			 (d->discard == TRI_ON ? BACKEND_DISCARD : 0u) | (d->image_type == IMAGE_QCOW2 ? BACKEND_QCOW2 : 0u);
}

int devices_fill(struct vm *vm, const struct vm_spec *s, struct err *e)
{
	struct wk_grant *g = &vm->grant;

	if (s->n_devices == 0)
		return 0;
	vm->device_plans = calloc(LIM_DEVICES, sizeof(*vm->device_plans));
	vm->devices = calloc(LIM_DEVICES, sizeof(*vm->devices));
	if (!vm->device_plans || !vm->devices)
		return err_set(e, -ENOMEM, "the broker is out of memory");
	g->devices = vm->device_plans;
	g->n_devices = device_plan_build(s, &vm->plan, vm->device_plans);
	for (size_t i = 0; i < LIM_DEVICES; i++)
		vm->devices[i].connection = vm->devices[i].own.image = -1;
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

int devices_take(struct vm *vm, uint16_t index, int *fd, struct err *e)
{
	struct vm_device *d = &vm->devices[index];
	int r;

	/* In this version every device has a back-end: numbers of the spec are ours. */
	if (index >= vm->grant.n_devices || d->connection >= 0 || d->own.image >= 0)
		return err_set(e, -EPROTO, "create: a connection or an image came for a device that is not there");
	if (d->own.vm)
		r = granted_disk(&vm->b->opt, *fd, vm->device_plans[index].id, d->own.start.flags & BACKEND_READONLY, e);
	else
		r = granted_console(*fd, e);
	if (r == 0)
		*(d->own.vm ? &d->own.image : &d->connection) = fd_take(fd);
	return r;
}

int devices_check(const struct vm *vm, struct err *e)
{
	for (size_t i = 0; i < vm->grant.n_devices; i++)
		if ((vm->devices[i].own.vm ? vm->devices[i].own.image : vm->devices[i].connection) < 0)
			return err_set(e, -EPROTO, "create: the connection or image of device %s did not come with it",
				       vm->device_plans[i].id);
	return 0;
}

void devices_free(struct vm *vm)
{
	for (size_t i = 0; vm->devices && i < LIM_DEVICES; i++) {
		closer_close(&vm->b->closer, &vm->devices[i].connection, vm->owner);
		closer_close(&vm->b->closer, &vm->devices[i].own.image, vm->owner);
		free(vm->devices[i].path);
	}
	free(vm->devices);
	free(vm->device_plans);
	vm->devices = NULL;
	vm->device_plans = NULL;
	vm->grant.devices = NULL;
	vm->grant.n_devices = 0;
}

static bool is_own(uid_t owner)
{
	return owner == 0 || owner == getauxval(AT_EUID);
}

/* The name is looked up once; what is judged is what is connected to. A stranger's name must not make us wait for a file system
 * of his: only what the kernel has at hand. */
static int find_socket(const struct vm *vm, const char *path, struct err *e)
{
	bool own = is_own(vm->owner);
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS | (own ? 0 : RESOLVE_CACHED)};
	CLEANUP(fd_cleanup) int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%.200s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -ENOTSOCK, "%.200s is no socket", path);
	if (!own && st.st_uid != vm->owner)
		return err_set(e, -EACCES, "%.200s belongs to somebody else than the VM", path);
	return fd_take(&fd);
}

static int reconnect(const struct vm *vm, const char *path, struct err *e)
{
	CLEANUP(fd_cleanup) int at = find_socket(vm, path, e);
	CLEANUP(fd_cleanup) int fd = -1;
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (at < 0)
		return at;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", at);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return err_sys(e, -errno, "connecting to %.200s", path);
	return fd_take(&fd);
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

static int serve_device(struct vm *vm, uint32_t index, struct err *e)
{
	struct vm_device *d = &vm->devices[index];
	int fd = fd_take(&d->connection), r;

	if (fd < 0 && d->own.vm)
		return backend_want(&d->own, e);
	if (fd < 0)
		fd = reconnect(vm, d->path, e);
	if (fd < 0)
		return fd;
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
		d->hopeless = false;
		d->retry_at = 0;
		d->wait_ms = WAIT_FIRST_MS;
		d->text[0] = 0;
		if (!d->own.vm)
			continue;
		closer_close(&vm->b->closer, &d->connection, vm->owner); /* of a life that ended before anybody used it */
		if (backend_want(&d->own, e) < 0)
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

		if (d->own.vm && d->connection < 0)
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

	for (uint32_t i = 0; i < vm->grant.n_devices; i++)
		if (vm->devices[i].own.vm && !backend_end(&vm->devices[i].own))
			all = false;
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

static void note(struct vm *vm, uint32_t index, const char *text)
{
	struct vm_device *d = &vm->devices[index];

	if (strcmp(d->text, text) == 0)
		return;
	snprintf(d->text, sizeof(d->text), "%s", text);
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

void devices_tick(struct vm *vm, uint64_t now, uint64_t *next)
{
	if (vm->explain_by && vm->explain_by <= now)
		return vm_fail(vm, vm->unexplained.code, "%s", vm->unexplained.text);
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
			if (serve_device(vm, i, &e) < 0) {
				char text[200];

				snprintf(text, sizeof(text), "its back-end is gone; waiting for it: %.150s", e.text);
				note(vm, i, text);
				wait_longer(d);
			}
		}
		if (d->retry_at && d->retry_at < *next)
			*next = d->retry_at;
	}
}
