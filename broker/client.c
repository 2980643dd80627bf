#include "client.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct queued {
	struct queued *next;
	size_t len;
	uint8_t data[];
};

void client_want(struct client *c)
{
	/* A busy client, and one that does not fetch its answers, is not listened to: that is all the flood control there is. */
	bool listen = c->pending.op == 0 && !c->head && !c->lingers;

	loop_want(&c->b->loop, &c->src, (listen ? EPOLLIN : 0u) | (c->head ? EPOLLOUT : 0u));
}

void client_drop(struct client *c)
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
	if (c->tail) {
		c->tail->next = q;
	} else {
		c->head = q;
		c->silent_since = now_ms(); /* until now there was nothing that it had not fetched */
	}
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

int client_flush(struct client *c)
{
	while (c->head) {
		int r = chan_send(c->src.fd, c->head->data, c->head->len, NULL, 0);

		if (r == -EAGAIN)
			return 0;
		if (r < 0)
			return r;
		unqueue(c);
		c->silent_since = now_ms();
	}
	return 0;
}

static void send_encoded(struct client *c, int encoded, size_t len)
{
	int r;

	if (c->dead)
		return;
	if (encoded < 0) {
		log_line("a message to uid %u could not be encoded (%d)", c->peer.uid, encoded);
		client_drop(c);
		return;
	}
	r = c->head ? -EAGAIN : chan_send(c->src.fd, c->b->out, len, NULL, 0);
	if (r == -EAGAIN) {
		if (!enqueue(c, c->b->out, len)) {
			log_line("a client of uid %u does not fetch its messages: connection closed", c->peer.uid);
			client_drop(c);
			return;
		}
	} else if (r < 0) {
		client_drop(c);
		return;
	}
	client_want(c);
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
