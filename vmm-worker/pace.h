/* How a vCPU that asks for something short, and the main thread that does it, keep out of each other's way. As a rule the vCPU
 * goes on, and the main thread, on another CPU, looks for its next request without sleeping. Where both have to share a CPU, or
 * the main thread gets none, a guest that polls for its answer is what the answer waits for: up to a tick for each of KVM's short
 * sleeps when a memory slot goes. Then the vCPU waits outside the guest instead. All guesses, good for speed only. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pace {
	atomic_int main_at;   /* CPU on which the main thread is at it; -1: it sleeps */
	atomic_int ringer_at; /* on which a vCPU last rang and waited; -1: not known */
	bool awaited;         /* main thread's, as the rest: vCPUs are to wait */
	unsigned apart;       /* changes in a row while they do, with each on a CPU of its own */
	unsigned trust;       /* changes that may be slow before they are to wait again */
};

void pace_init(struct pace *p);

/* Main thread: is at it, until it says that it sleeps. */
void pace_attend(struct pace *p);
void pace_leave(struct pace *p);

/* Main thread: a change of memory slots took that long, where `fair` would do. */
void pace_took(struct pace *p, uint64_t us, uint64_t fair);

/* Main thread: the guest's next request may come while this thread looks for it. */
bool pace_may_look(const struct pace *p);

/* vCPU thread that has rung and waits: the main thread is at it, on another CPU. */
bool pace_is_near(struct pace *p);
