/* What the guest is to give up of its memory, and what it has given up. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct client;
struct ctl_request;
struct err;
struct vm;
struct wk_balloon_state;

/* What is wanted is grant.balloon's: a new worker starts with it. */
struct balloon {
	uint64_t actual;
	bool driver; /* the guest has one */
	bool asked;  /* a WK_BALLOON is on its way: a later wish waits for its answer */
	uint64_t given, reported, kept, foreign;
};

/* The worker tells. false: that cannot be. */
bool balloon_heard(struct vm *vm, const struct wk_balloon_state *m);
/* The worker is gone, and all that its guest had given up is forgotten with it. */
void balloon_worker_gone(struct vm *vm);
/* false: it has none. */
bool balloon_describe(const struct vm *vm, struct wk_balloon_state *ret);
/* resize --balloon */
int balloon_resize(struct client *c, struct vm *vm, struct ctl_request *q, struct err *e);
