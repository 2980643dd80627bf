/* How a vCPU that asks for something short, and the main thread that does it, keep out of each other's way. As a rule the vCPU
 * goes on, and the main thread, on another CPU, looks for its next request without sleeping. But KVM lets the main thread sleep
 * for a moment, twice, when a memory slot goes, and a kernel thread wakes it: if either has to share a CPU with a guest that
 * polls for its answer, the answer waits for that guest, a tick each time. Then the vCPU waits outside the guest instead, which
 * is slower where there is a CPU for each: so not for a slow change now and then, as every busy host has. All guesses, good for
 * speed only. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pace {
	atomic_int ringer_at; /* CPU on which a vCPU last rang and waited; -1: not known */
	bool awaited;         /* main thread's, as the rest: vCPUs are to wait */
	unsigned calm; /* changes in a row that took no longer than they should; while vCPUs wait, each on a CPU of its own */
	unsigned span; /* so many, and they need not wait any more */
	unsigned slow; /* how often changes were slow of late */
};

void pace_init(struct pace *p);

/* Main thread: a change of memory slots took that long, where `fair` would do. */
void pace_took(struct pace *p, uint64_t us, uint64_t fair);

/* Main thread: the guest's next request may come while this thread looks for it. */
bool pace_may_look(const struct pace *p);

/* vCPU thread: has rung, and waits now. */
void pace_rang(struct pace *p);
