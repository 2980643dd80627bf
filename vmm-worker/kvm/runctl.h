/* Who may run. The main thread holds and lets go all vCPU threads; a vCPU thread asks before every KVM_RUN. Also the mailbox
 * through which a vCPU thread tells the main thread how the machine ended: the first report counts. */
#pragma once
#include "wire/wire.h"

#include <pthread.h>
#include <stdatomic.h>

struct runctl {
	pthread_mutex_t lock;
	pthread_cond_t change;
	atomic_bool hold;   /* vCPU threads are to park */
	unsigned n_vcpus;   /* threads that take part */
	unsigned n_parked;  /* under lock */
	unsigned n_ended;   /* under lock; threads that will not run again */
	unsigned n_resting; /* under lock; of those that have parked: by themselves, to see rounds change */
	atomic_uint rounds; /* written under lock */
	int wake_fd;        /* eventfd: something for the main thread to look at */
	atomic_uint end_claims;
	atomic_bool ended; /* end is complete and will not change any more */
	struct end_report end;
};

/* Starts held. wake_fd stays the caller's. */
void runctl_init(struct runctl *rc, unsigned n_vcpus, int wake_fd);

/* vCPU thread: true if it must park now. */
static inline bool runctl_held(struct runctl *rc)
{
	return atomic_load(&rc->hold);
}

/* vCPU thread: parks until let go. The last one to park wakes the main thread. */
void runctl_park(struct runctl *rc);

/* The same, but of its own accord: until the main thread has come round since rounds was `seen`, or that many ms have passed.
 * Whoever holds all threads meanwhile need not wait for this one. */
void runctl_rest(struct runctl *rc, unsigned seen, unsigned ms);
static inline unsigned runctl_rounds(struct runctl *rc)
{
	return atomic_load(&rc->rounds);
}

/* Main thread: has done what there was to do for vCPU threads that rest. */
void runctl_round(struct runctl *rc);

/* vCPU thread: hands in how the machine ended and never returns; the main thread ends the process. */
_Noreturn void runctl_end(struct runctl *rc, const struct end_report *end);

/* Any thread, async-signal-safe: the main thread's poll returns. */
void runctl_wake(struct runctl *rc);

/* Main thread. hold only asks: the caller kicks the threads out of KVM_RUN, then waits for runctl_all_parked after a wake. */
void runctl_hold(struct runctl *rc);
void runctl_release(struct runctl *rc);
bool runctl_all_parked(struct runctl *rc);
/* Blocks until no vCPU thread runs: each has parked or come to its end. Main thread, holding no lock that they may want. */
void runctl_wait_all_parked(struct runctl *rc);
