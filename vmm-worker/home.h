/* Where the main thread runs while memory goes, or comes block by block. For each memory slot that goes it sleeps twice, for one that
 * comes once, until a kernel thread has seen that nobody uses the old table of slots (SRCU). On hosts of less than 128 CPUs that
 * thread runs on the CPU that the host has booted with. If a guest that polls for its answer runs there, and the main thread
 * elsewhere, each of these sleeps waits for that guest to be interrupted and for an idle CPU to wake: half of the speed. So the main
 * thread goes there itself as long as its guest is on its way down, or has more blocks made ahead of it, and shows its vCPUs another
 * CPU. What was changed from outside since the machine was built is undone by that, but for a cpuset. Main thread. */
#pragma once
#include "model/limits.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct home {
	bool usable;
	bool there;
	cpu_set_t all;  /* where it may run else */
	uint64_t until; /* ms */
	size_t n;       /* threads that have a choice, */
	struct {
		int tid;
		cpu_set_t all;
	} guest[LIM_CPUS];
};

/* While the machine is built: this thread is the one that goes home. */
void home_find(struct home *h);
/* A vCPU's thread, which must live as long as home_go may be called. */
void home_add(struct home *h, int tid);
/* Is there for some ms from now on, if there is a choice. now: ms. */
void home_go(struct home *h, uint64_t now);
/* Leaves it if that time is over. Returns ms until then; -1: it is not there. now: ms. */
int home_settle(struct home *h, uint64_t now);
