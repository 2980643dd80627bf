/* The channel to the broker as memsrv uses it: one message in, one message out, fds with them. One thread. */
#pragma once
#include "wire/memsrv.h"
#include "zone.h"

#define BROKER_FD 3

struct talk {
	struct chan_msg in;
	uint8_t out[CHAN_MSG_MAX];
	uint32_t serial; /* of the request that is being answered */
};

/* Waits for one message. 1: it is in t->in; 0: the broker is gone; negative errno. */
int talk_recv(struct talk *t, struct err *e);

/* Waits until the broker, or the worker at plug (-1: there is none), has something to say or is gone. */
int talk_wait(int plug, bool *ret_broker, bool *ret_worker, struct err *e);

/* Encodes and sends; waits while the broker is slow. fds stay the caller's. */
int talk_send(struct talk *t, const struct ms_msg *m, const int *fds, size_t nfds, struct err *e);

/* For the way out: says why, as far as anybody listens. */
void talk_failed(struct talk *t, const struct err *why);

/* place_progress_fn; arg is the struct talk. An event that the broker does not take at once is left out: there will be another.
 */
void talk_progress(void *arg, uint16_t zone, uint64_t done, uint64_t total);
