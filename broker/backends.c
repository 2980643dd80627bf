#include "backends.h"

#include "devices.h"
#include "granted.h"
#include "log.h"
#include "vm.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(SPAWN_SELF_FD == BACKEND_FS_FD_SELF, "the spawner puts it where the program looks");

#define START_MS 10000u /* until its connection comes: it loads a program */
/* Many times what qemu-storage-daemon takes (some 50 MiB with a large qcow2): a bound for what runs away. The page cache of its
 * image counts, too, and is given back when there is no room. */
#define BACKEND_OWN_MEMORY GiB
#define HEARD_MAX          16384u /* bytes in one life; then nobody listens any more */

static void hang_up(struct backend *k)
{
	int fd = loop_remove(&k->vm->b->loop, &k->src);

	closer_close(&k->vm->b->closer, &fd, k->vm->owner);
}

static void end(struct backend *k)
{
	struct err e = {0};

	k->ended = true;
	k->until = 0;
	if (spawner_kill(&k->vm->b->backends, k->kind, k->vm->slot * LIM_DEVICES + k->index, &e) < 0)
		log_line("VM %s: %s", k->vm->name, e.text);
}

/* Its words become one line of plain text. */
static void keep_words(struct backend *k, const uint8_t *data, size_t len)
{
	size_t at = strlen(k->said);

	for (size_t i = 0; i < len && at + 3 < sizeof(k->said); i++) {
		bool end_of_line = data[i] == '\n';

		if (end_of_line && (at == 0 || k->said[at - 1] == ' '))
			continue;
		if (end_of_line)
			k->said[at++] = ';';
		k->said[at++] = data[i] > ' ' && data[i] < 0x7f ? (char)data[i] : ' ';
	}
	k->said[at] = 0;
}

/* One message. false: there is none now, or never again. */
static bool hear(struct backend *k)
{
	struct broker *b = k->vm->b;
	struct chan_msg *m = &b->in;
	struct err e = {0};
	int r = chan_recv(k->src.fd, m);

	if (r > 0)
		k->heard += m->len + 1; /* whatever it is: who listens to it must come to an end */
	if (r > 0 && !k->connected && !k->ended && m->nfds == 1 && m->len == sizeof(struct backend_up) &&
	    granted_socket(m->fds[0], "its connection", &e) == 0) {
		k->connected = true;
		k->until = 0;
		devices_connected(k->vm, k->index, &m->fds[0]);
	} else if (r > 0 && m->nfds == 0) {
		keep_words(k, m->data, m->len);
	} else if (r != 0 && r != -EAGAIN && !k->ended) { /* descriptors that nobody asked for, or more than a message holds */
		k->why =
		    r == -EMSGSIZE
			? "sent more than the broker could take (nonsense, or a broker without free descriptors) and was killed"
			: "sent nonsense and was killed";
		log_line("VM %s: device %s: its back-end %s", k->vm->name, k->vm->device_plans[k->index].id, k->why);
		end(k);
	}
	if (r <= 0 && r != -EAGAIN && k->src.fn) {
		k->over = true;
		loop_want(&b->loop, &k->src, 0);
	}
	closer_close_msg(&b->closer, m, k->vm->owner);
	return r > 0 && k->src.fn;
}

static void on_channel(struct source *s, uint32_t events)
{
	struct backend *k = container_of(s, struct backend, src);

	hear(k);
	/* The end of the channel is not the end of the process: its exit notice is. */
	if (k->src.fn && (k->heard > HEARD_MAX || ((events & EPOLLHUP) && !(events & EPOLLIN))))
		hang_up(k);
}

const char *backend_words(struct backend *k)
{
	size_t at;

	while (k->src.fn && k->heard <= HEARD_MAX && hear(k))
		;
	at = strlen(k->said);
	while (at && (k->said[at - 1] == ' ' || k->said[at - 1] == ';'))
		k->said[--at] = 0;
	return k->said;
}

/* What its cgroup may have, in bytes: room for itself, and all that is granted to it, because pages of the guest's are counted
 * where they were touched first, with the tables that map them. */
static uint64_t most_memory(const struct backend *k)
{
	const struct mem_plan *p = &k->vm->plan;
	uint64_t zones = 0;

	for (size_t i = 0; i < p->n_zones; i++)
		if (k->vm->device_plans[k->index].zones >> i & 1)
			zones += plan_zone_object_size(&p->zones[i]);
	return BACKEND_OWN_MEMORY + zones + zones / 256;
}

static int start(struct backend *k, struct err *e)
{
	const struct spawn_backend what = {.memory = most_memory(k), .owner = k->owner};
	struct broker *b = k->vm->b;
	struct child c;
	int r;

	if (b->no_backends[0])
		return err_set(e, -ENOTSUP, "no back-end can be started here: %s", b->no_backends);
	r = spawner_spawn(&b->backends, k->kind, k->vm->slot * LIM_DEVICES + k->index, &what, &c, e);
	if (r == -EPIPE) {
		b->failed = true;
		broker_stop(b, "the spawner of back-ends does not answer");
	}
	if (r < 0)
		return r;
	k->pid = c.pid;
	k->wanted = k->ended = k->connected = k->over = false;
	k->until = now_ms() + START_MS;
	k->starts++;
	k->heard = 0;
	k->said[0] = 0;
	k->why = NULL;
	/* It has not done anything yet that could fill its channel. */
	r = chan_send(c.channel, &k->start, sizeof(k->start), &k->file, 1);
	if (r < 0)
		err_sys(e, r, "sending what it is to serve");
	else
		r = loop_add(&b->loop, &k->src, c.channel, EPOLLIN, on_channel, e);
	if (r < 0) {
		close(c.channel);
		end(k);
	}
	return r;
}

int backend_want(struct backend *k, struct err *e)
{
	if (!k->pid)
		return start(k, e);
	k->wanted = true;
	if (!k->ended)
		end(k);
	return 0;
}

bool backend_end(struct backend *k)
{
	k->wanted = false;
	if (k->pid && !k->ended)
		end(k);
	return !k->pid;
}

void backend_tick(struct backend *k, uint64_t now, uint64_t *next)
{
	if (!k->until || !k->pid)
		return;
	if (k->until <= now) {
		k->why = "did not come up in time and was killed";
		end(k);
	} else if (k->until < *next) {
		*next = k->until;
	}
}

static void gone(struct backend *k, const struct spawn_exit *x)
{
	struct vm *vm = k->vm;
	bool by_us = k->ended, connected;
	char how[160], text[500];
	struct err e = {0};

	backend_words(k);
	connected = k->connected;
	if (k->src.fn)
		hang_up(k);
	k->pid = 0;
	k->until = 0;
	k->ended = false;
	spawn_exit_text(x, how, sizeof(how));
	snprintf(text, sizeof(text), "its back-end %s%s%s", k->why ? k->why : how, k->said[0] ? ": " : "", k->said);
	if (vm->goal != GOAL_NONE) {
		if (!by_us) /* nobody else is told of it any more */
			log_line("VM %s: device %s: %s", vm->name, vm->device_plans[k->index].id, text);
		return vm_step(vm);
	}
	if (k->wanted) { /* the worker was quicker to see it than its parent to bury it */
		log_line("VM %s: device %s: %s", vm->name, vm->device_plans[k->index].id, text);
		k->wanted = false;
		if (start(k, &e) < 0)
			devices_lost(vm, k->index, e.text, false);
		return;
	}
	devices_lost(vm, k->index, text, connected && !by_us);
}

void backend_exits(struct source *s, uint32_t events)
{
	struct broker *b = container_of(s, struct broker, backend_exits);
	struct spawn_exit x;
	int r;

	while ((r = spawner_next_exit(&b->backends, &x)) == 1) {
		struct vm *vm = b->vms[x.slot / LIM_DEVICES];
		struct backend *k = !vm || vm->dead || !vm->devices ? NULL : &vm->devices[x.slot % LIM_DEVICES].own;

		if (k && k->vm && k->pid == x.pid)
			gone(k, &x);
	}
	if (r < 0) {
		loop_drop(&b->loop, s);
		b->failed = true;
		broker_stop(b, "the spawner of back-ends is gone and with it every one of them");
	}
}
