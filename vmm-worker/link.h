/* The channel to the broker as the worker uses it. Main thread only. */
#pragma once
#include "wire/worker.h"

#define BROKER_FD 3

struct link {
	struct chan_msg in;
	uint8_t out[CHAN_MSG_MAX];
};

/* Waits for one message. 1: it is in l->in; 0: the broker is gone; negative errno. */
int link_recv(struct link *l, struct err *e);

/* Encodes and sends; waits while the broker is slow. 0 or negative errno. */
int link_send(struct link *l, const struct wk_msg *m, struct err *e);

/* For the way out: says why the machine cannot be built, as far as anybody listens. */
void link_failed(struct link *l, uint32_t serial, const struct err *why);

/* place_progress_fn; arg is the struct link. */
void link_progress(void *arg, uint16_t zone, uint64_t done, uint64_t total);
