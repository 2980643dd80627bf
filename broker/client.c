#include "client.h"

#include "log.h"
#include "ops.h"


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct queued {
	struct queued *next;
	size_t len;
	uint8_t data[];
};

static void want(struct client *c)
{
	/* A busy client, and one that does not fetch its answers, is not listened to: that is all the flood control there is. */
	bool listen = c->pending.op == 0 && !c->head && !c->lingers;

	loop_want(&c->b->loop, &c->src, (listen ? EPOLLIN : 0u) | (c->head ? EPOLLOUT : 0u));
}

/* Closes the connection; what was attached to it ends. The memory goes after this round of events. */
static void drop(struct client *c)
{
	struct broker *b = c->b;
	uint32_t attached = c->attached_vm;
	int fd;

	if (c->dead)
		return;
	c->dead = true;
	b->buried = true;
	c->attached_vm = c->watch_vm = 0;
	c->pending.op = 0;
	fd = loop_remove(&b->loop, &c->src);
	closer_close(&b->closer, &fd, c->peer.uid); /* what it sent and nobody read goes with it */
	/* Only noted here: a client can go in the middle of anything. */
	for (size_t i = 0; attached && i < LIM_VMS; i++)
		if (b->vms[i] && b->vms[i]->id == attached)
			b->vms[i]->orphan = true;
	if (b->opt.private_fd)
		broker_stop(b, NULL);
}

static bool enqueue(struct client *c, const void *data, size_t len)
{
	struct queued *q;

	if (c->n_queued == CLIENT_QUEUE || c->queued_bytes + len > CLIENT_QUEUE_BYTES)
		return false;
	q = malloc(sizeof(*q) + len);
	if (!q)
		return false;
	*q = (struct queued){.len = len};
	memcpy(q->data, data, len);
	if (c->tail)
		c->tail->next = q;
	else
		c->head = q;
	c->tail = q;
	c->n_queued++;
	c->queued_bytes += len;
	return true;
}

static void unqueue(struct client *c)
{
	struct queued *q = c->head;

	c->head = q->next;
	if (!c->head)
		c->tail = NULL;
	c->n_queued--;
	c->queued_bytes -= q->len;
	free(q);
}

static void send_encoded(struct client *c, int encoded, size_t len)
{
	int r;

	if (c->dead)
		return;
	if (encoded < 0) {
		log_line("a message to uid %u could not be encoded (%d)", c->peer.uid, encoded);
		drop(c);
		return;
	}
	r = c->head ? -EAGAIN : chan_send(c->src.fd, c->b->out, len, NULL, 0);
	if (r == -EAGAIN) {
		if (!enqueue(c, c->b->out, len)) {
			log_line("a client of uid %u does not fetch its messages: connection closed", c->peer.uid);
			drop(c);
			return;
		}
	} else if (r < 0) {
		drop(c);
		return;
	}
	want(c);
}

void client_send_reply(struct client *c, const struct ctl_reply *r)
{
	size_t len = 0;
	int encoded;

	if (c->dead)
		return;
	if (c->pending.op == CTL_CREATE && !c->attached_vm)
		c->watch_vm = 0; /* progress was all it wanted to hear of */
	c->pending.op = 0;
	c->silent_since = now_ms();
	encoded = ctl_reply_encode(r, c->b->out, sizeof(c->b->out), &len, NULL);
	send_encoded(c, encoded, len);
}

void client_reply(struct client *c, uint32_t serial, int code, const char *text)
{
	client_send_reply(c, &(struct ctl_reply){.serial = serial, .code = code, .text = text});
}

void client_send_event(struct client *c, const struct ctl_event *ev)
{
	size_t len = 0;
	int encoded;

	if (c->dead)
		return;
	encoded = ctl_event_encode(ev, c->b->out, sizeof(c->b->out), &len, NULL);
	send_encoded(c, encoded, len);
}

/* What a client has sent and nobody read would turn its next recv into ECONNRESET, and it would never see the reason that was
 * sent to it. A message that brings descriptors is not worth that: it stays where it is (MSG_CTRUNC on a look without room for
 * them). */
static void discard_unread(int sock)
{
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	shutdown(sock, SHUT_RD);
	while (recvmsg(sock, &h, MSG_PEEK | MSG_DONTWAIT) > 0 && !(h.msg_flags & MSG_CTRUNC))
		recvmsg(sock, &h, MSG_DONTWAIT);
}

/* Says why and closes once that is on its way. */
static void refuse(struct client *c, int code, const char *text)
{
	c->lingers = true;
	discard_unread(c->src.fd);
	client_reply(c, 0, code, text);
	if (!c->dead && !c->head)
		drop(c);
}

static const char jammed[] =
    "files or sockets that you handed over cannot be closed (a file system that does not answer?): see to them first";

static bool is_jammed(struct broker *b, uid_t uid)
{
	return uid && closer_jam(&b->closer, uid) >= BROKER_JAM;
}

static void client_ready(struct source *s, uint32_t events)
{
	struct client *c = container_of(s, struct client, src);
	struct broker *b = c->b;
	struct err e = {0};
	int r;

	while ((events & EPOLLOUT) && c->head) {
		r = chan_send(c->src.fd, c->head->data, c->head->len, NULL, 0);
		if (r == -EAGAIN)
			break;
		if (r < 0)
			return drop(c);
		unqueue(c);
	}
	if ((events & EPOLLOUT) && c->lingers && !c->head)
		return drop(c);
	want(c);
	if (!(events & EPOLLIN) || !(c->src.events & EPOLLIN)) {
		if (events & (EPOLLHUP | EPOLLERR))
			drop(c);
		return;
	}
	if (is_jammed(b, c->peer.uid))
		return refuse(c, -EBUSY, jammed);
	r = chan_recv(c->src.fd, &b->in);
	if (r == 1) {
		c->silent_since = now_ms();
		r = ops_handle(c, &b->in, &e);
	} else if (r == -EMSGSIZE) {
		err_set(&e, r, "the message is too long or brings too many file descriptors");
	} else if (r != -EAGAIN) {
		drop(c);
	}
	closer_close_msg(&b->closer, &b->in, c->peer.uid);
	if (c->dead || r == -EAGAIN)
		return;
	if (r < 0)
		return refuse(c, r, e.text);
	want(c);
}

static unsigned count_uid(const struct broker *b, uid_t uid)
{
	unsigned n = 0;

	for (size_t i = 0; i < BROKER_CLIENTS; i++)
		n += b->clients[i] && b->clients[i]->peer.uid == uid;
	return n;
}

/* NULL: there is room. Root is let in as long as there is any at all. */
static const char *no_room(struct broker *b, uid_t uid)
{
	if (b->stopping)
		return "the broker is shutting down";
	if (is_jammed(b, uid)) {
		b->accept_at = now_ms() + BROKER_PAUSE_MS; /* each costs a descriptor that does not come back soon */
		return jammed;
	}
	if (b->n_clients >= (uid ? BROKER_CLIENTS - 16 : BROKER_CLIENTS))
		return "the broker has too many connections: try again later";
	if (uid && count_uid(b, uid) >= BROKER_CLIENTS_PER_USER)
		return "you have too many connections to the broker: close some";
	return NULL;
}

static void turn_away(struct broker *b, int sock, const char *why)
{
	size_t len;

	if (ctl_reply_encode(&(struct ctl_reply){.code = -EBUSY, .text = why}, b->out, sizeof(b->out), &len, NULL) == 0)
		chan_send(sock, b->out, len, NULL, 0);
	discard_unread(sock);
}

void client_accept(struct broker *b, int sock)
{
	struct client *c = NULL;
	struct peer peer = {0};
	struct err e = {0};
	const char *why;
	size_t at = 0;

	if (authz_peer(sock, &peer, &e) < 0) {
		log_line("%s", e.text);
		goto drop;
	}
	why = no_room(b, peer.uid);
	while (at < BROKER_CLIENTS && b->clients[at])
		at++;
	if (!why && at < BROKER_CLIENTS)
		c = calloc(1, sizeof(*c));
	if (!c) {
		turn_away(b, sock, why ? why : "the broker has too many connections: try again later");
		goto drop;
	}
	c->b = b;
	c->peer = peer;
	c->silent_since = now_ms();
	if (loop_add(&b->loop, &c->src, sock, EPOLLIN, client_ready, &e) < 0) {
		log_line("%s", e.text);
		free(c);
		goto drop;
	}
	b->clients[at] = c;
	b->n_clients++;
	return;
drop:
	closer_close(&b->closer, &sock, peer.uid);
}

static bool waits(const struct client *c, const struct vm *vm, unsigned ops)
{
	return c && !c->dead && c->pending.op && c->pending.vm_id == vm->id && (ops & OPS(c->pending.op));
}

static void answer(struct client *c, const struct vm *vm, int code, const char *text)
{
	struct ctl_reply r = {.serial = c->pending.serial, .code = code, .text = text};
	struct ctl_zone_info zones[LIM_ZONES];
	struct ctl_vm_info info;

	if (code == 0) {
		vm_describe(vm, c->pending.op == CTL_INFO ? zones : NULL, &info);
		if (c->pending.op == CTL_CREATE) /* whoever makes a VM hears what is weaker here without asking */
			info.isolation = spawner_isolation_text(&vm->b->spawner);
		r.vms = &info;
		r.n_vms = 1;
	}
	client_send_reply(c, &r);
}

void clients_answer(struct broker *b, const struct vm *vm, unsigned ops, int code, const char *text)
{
	for (size_t i = 0; i < BROKER_CLIENTS; i++)
		if (waits(b->clients[i], vm, ops))
			answer(b->clients[i], vm, code, text);
}

bool clients_answer_count(struct broker *b, const struct vm *vm)
{
	bool more = false;

	for (size_t i = 0; i < BROKER_CLIENTS; i++) {
		struct client *c = b->clients[i];

		if (!waits(c, vm, OPS(CTL_INFO)))
			continue;
		if ((int32_t)(vm->query_no - c->pending.query_no) >= 0)
			answer(c, vm, 0, NULL);
		else
			more = true;
	}
	return more;
}

void clients_tell(struct broker *b, const struct vm *vm, const struct ctl_event *ev)
{
	for (size_t i = 0; i < BROKER_CLIENTS; i++)
		if (b->clients[i] && b->clients[i]->watch_vm == vm->id)
			client_send_event(b->clients[i], ev);
}

void clients_forget(struct broker *b, const struct vm *vm)
{
	for (size_t i = 0; i < BROKER_CLIENTS; i++) {
		struct client *c = b->clients[i];

		if (c && c->watch_vm == vm->id)
			c->watch_vm = 0;
		if (c && c->attached_vm == vm->id)
			c->attached_vm = 0;
	}
}

void clients_tick(struct broker *b, uint64_t now, uint64_t *next)
{
	for (size_t i = 0; i < BROKER_CLIENTS; i++) {
		struct client *c = b->clients[i];
		uint64_t until;

		if (!c || c->dead || b->opt.private_fd || (!c->head && (c->pending.op || c->watch_vm || c->attached_vm)))
			continue;
		until = c->silent_since + CLIENT_SILENCE_MS;
		if (until <= now)
			drop(c);
		else if (until < *next)
			*next = until;
	}
}

void clients_bury(struct broker *b)
{
	for (size_t i = 0; i < BROKER_CLIENTS; i++) {
		struct client *c = b->clients[i];

		if (!c || !c->dead)
			continue;
		while (c->head)
			unqueue(c);
		free(c);
		b->clients[i] = NULL;
		b->n_clients--;
	}
}
