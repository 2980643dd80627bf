/* What a client says, who is let in, and who is silent for too long. */
#include "client.h"
#include "log.h"
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

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
		client_drop(c);
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

	if ((events & EPOLLOUT) && client_flush(c) < 0)
		return client_drop(c);
	if ((events & EPOLLOUT) && c->lingers && !c->head)
		return client_drop(c);
	client_want(c);
	if (!(events & EPOLLIN) || !(c->src.events & EPOLLIN)) {
		if (events & (EPOLLHUP | EPOLLERR))
			client_drop(c);
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
		client_drop(c);
	}
	closer_close_msg(&b->closer, &b->in, c->peer.uid);
	if (c->dead || r == -EAGAIN)
		return;
	if (r < 0)
		return refuse(c, r, e.text);
	client_want(c);
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

void clients_tick(struct broker *b, uint64_t now, uint64_t *next)
{
	for (size_t i = 0; i < BROKER_CLIENTS; i++) {
		struct client *c = b->clients[i];
		uint64_t until;

		if (!c || c->dead || b->opt.private_fd || (!c->head && (c->pending.op || c->watch_vm || c->attached_vm)))
			continue;
		until = c->silent_since + CLIENT_SILENCE_MS;
		if (until <= now)
			client_drop(c);
		else if (until < *next)
			*next = until;
	}
}
