/* The connector: a child of the broker's that connects to the back-ends of devices when they come back. It is a process of its
 * own because the broker, whose uid opens many sockets, must not be able to connect to any of them: it believes no word of the
 * broker's, only tickets (chan/ticket.h), and connects for the broker's own user to what his ticket names, for anybody else only
 * to sockets that are his, and never to a process of another user than the one that listened there before. */
#pragma once
#include "bulkhead/err.h"

#include <sys/types.h>

struct connector {
	int channel; /* SEQPACKET, non-blocking: for the event loop */
	pid_t pid;
};

/* What became of a request. */
struct connected {
	uint32_t vm, device; /* as asked */
	int fd;              /* owned by the receiver; -1: it could not be done */
	char text[256];      /* why, for people */
};

/* Like spawner_start: called after that and before anything else is open. Costs one fork. */
int connector_start(struct connector *ret, struct err *e);
/* ticket stays the caller's, and open until the answer has come. -EAGAIN: it is busy. */
int connector_ask(const struct connector *c, uint32_t vm, uint32_t device, int ticket);
/* 1: *ret is the next answer, 0: there is none yet, -EPIPE: the connector is gone. */
int connector_next(const struct connector *c, struct connected *ret);
