#include "devices.h"

#include "client.h"
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
		vm->devices[i].connection = -1;
	for (size_t i = 0, n = 0; i < s->n_devices; i++) {
		if (!device_spec_vhost_user(&s->devices[i]))
			continue;
		vm->devices[n].path = strdup(s->devices[i].socket);
		if (!vm->devices[n++].path)
			return err_set(e, -ENOMEM, "the broker is out of memory");
	}
	return device_plan_check(g->devices, g->n_devices, &vm->plan, e);
}

int devices_take(struct vm *vm, uint16_t index, int *fd, struct err *e)
{
	/* In this version every device has a back-end: numbers of the spec are ours. */
	if (index >= vm->grant.n_devices || vm->devices[index].connection >= 0)
		return err_set(e, -EPROTO, "create: a connection came for a device that is not there");
	vm->devices[index].connection = fd_take(fd);
	return 0;
}

int devices_check(const struct vm *vm, struct err *e)
{
	for (size_t i = 0; i < vm->grant.n_devices; i++)
		if (vm->devices[i].connection < 0)
			return err_set(e, -EPROTO, "create: the connection of device %s did not come with it",
				       vm->device_plans[i].id);
	return 0;
}

void devices_free(struct vm *vm)
{
	for (size_t i = 0; vm->devices && i < LIM_DEVICES; i++) {
		closer_close(&vm->b->closer, &vm->devices[i].connection, vm->owner);
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

	if (fd < 0)
		fd = reconnect(vm, d->path, e);
	if (fd < 0)
		return fd;
	r = hand_over(vm, index, fd, e);
	closer_close(&vm->b->closer, &fd, vm->owner);
	return r;
}

void devices_grant(struct vm *vm)
{
	struct err e = {0};

	for (uint32_t i = 0; i < vm->grant.n_devices; i++) {
		struct vm_device *d = &vm->devices[i];

		d->up = true;
		d->hopeless = false;
		d->retry_at = 0;
		d->wait_ms = WAIT_FIRST_MS;
		d->text[0] = 0;
		if (serve_device(vm, i, &e) < 0) {
			vm_fail(vm, e.code ? e.code : -EPIPE, "device %s: its back-end is not there: %s", vm->device_plans[i].id,
				e.text);
			return;
		}
	}
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
		d->retry_at = now_ms() + d->wait_ms;
		d->wait_ms = d->wait_ms * 2 < WAIT_LAST_MS ? d->wait_ms * 2 : WAIT_LAST_MS;
	}
	return true;
}

size_t devices_describe(const struct vm *vm, struct ctl_device_info *ret)
{
	for (size_t i = 0; i < vm->grant.n_devices; i++) {
		const struct vm_device *d = &vm->devices[i];

		ret[i] = (struct ctl_device_info){.id = vm->device_plans[i].id,
						  .socket = d->path,
						  .up = d->up && vm->worker.pid,
						  .losses = d->losses,
						  .text = d->text[0] ? d->text : NULL};
	}
	return vm->grant.n_devices;
}

void devices_tick(struct vm *vm, uint64_t now, uint64_t *next)
{
	for (uint32_t i = 0; i < vm->grant.n_devices; i++) {
		struct vm_device *d = &vm->devices[i];
		struct err e = {0};

		if (!d->retry_at || vm->goal != GOAL_NONE || !vm->ready)
			continue;
		if (d->retry_at <= now) {
			/* Handed over: the worker says what becomes of it. */
			d->retry_at = 0;
			if (serve_device(vm, i, &e) < 0) {
				char text[200];

				snprintf(text, sizeof(text), "its back-end is gone; waiting for it: %.150s", e.text);
				note(vm, i, text);
				d->retry_at = now + d->wait_ms;
				d->wait_ms = d->wait_ms * 2 < WAIT_LAST_MS ? d->wait_ms * 2 : WAIT_LAST_MS;
			}
		}
		if (d->retry_at && d->retry_at < *next)
			*next = d->retry_at;
	}
}
