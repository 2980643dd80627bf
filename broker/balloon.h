/* What the guest is to give up of its memory, and what it has given up. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vm;
struct wk_balloon_state;

/* What is wanted is grant.balloon's: a new worker starts with it. */
struct balloon {
	uint64_t actual;
	bool driver;   /* the guest has one */
	bool asked;    /* a WK_BALLOON is on its way: later ones wait for its answer */
	uint64_t told; /* what it said */
	uint64_t given, reported, kept, foreign;
};

/* The worker tells. false: that cannot be. */
bool balloon_heard(struct vm *vm, const struct wk_balloon_state *m);
/* The worker is gone, and all that its guest had given up is forgotten with it. */
void balloon_worker_gone(struct vm *vm);
/* false: it has none. */
bool balloon_describe(const struct vm *vm, struct wk_balloon_state *ret);
/* What the guest is to give up from now on, bytes; told to the worker, now or when it has answered the last time. */
void balloon_want(struct vm *vm, uint64_t bytes);
/* How far it is, for those who watch. */
struct ctl_event balloon_event(const struct vm *vm);
