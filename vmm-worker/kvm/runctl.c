#include "kvm/runctl.h"

#include <time.h>
#include <unistd.h>

void runctl_init(struct runctl *rc, unsigned n_vcpus, int wake_fd)
{
	pthread_condattr_t a;

	pthread_mutex_init(&rc->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&rc->change, &a);
	pthread_condattr_destroy(&a);
	atomic_init(&rc->hold, true);
	atomic_init(&rc->end_claims, 0);
	atomic_init(&rc->ended, false);
	rc->n_vcpus = n_vcpus;
	atomic_init(&rc->rounds, 0);
	rc->n_parked = rc->n_ended = rc->n_resting = 0;
	rc->wake_fd = wake_fd;
}

void runctl_wake(struct runctl *rc)
{
	static const uint64_t one = 1;
	ssize_t n = write(rc->wake_fd, &one, sizeof(one));

	(void)n; /* can only fail when 2^64 - 2 wakes are pending, and then it is awake */
}

void runctl_park(struct runctl *rc)
{
	pthread_mutex_lock(&rc->lock);
	rc->n_parked++;
	if (rc->n_parked == rc->n_vcpus)
		runctl_wake(rc);
	if (rc->n_parked + rc->n_ended == rc->n_vcpus)
		pthread_cond_broadcast(&rc->change);
	while (atomic_load(&rc->hold))
		pthread_cond_wait(&rc->change, &rc->lock);
	rc->n_parked--;
	pthread_mutex_unlock(&rc->lock);
}

static struct timespec in_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

void runctl_rest(struct runctl *rc, unsigned seen, unsigned ms)
{
	struct timespec until = in_ms(ms);
	int r = 0;

	pthread_mutex_lock(&rc->lock);
	rc->n_parked++;
	if (atomic_load(&rc->hold) && rc->n_parked == rc->n_vcpus)
		runctl_wake(rc);
	if (rc->n_parked + rc->n_ended == rc->n_vcpus)
		pthread_cond_broadcast(&rc->change);
	rc->n_resting++;
	while (atomic_load(&rc->rounds) == seen && r == 0)
		r = pthread_cond_timedwait(&rc->change, &rc->lock, &until);
	rc->n_resting--;
	while (atomic_load(&rc->hold))
		pthread_cond_wait(&rc->change, &rc->lock);
	rc->n_parked--;
	pthread_mutex_unlock(&rc->lock);
}

void runctl_round(struct runctl *rc)
{
	bool any;

	pthread_mutex_lock(&rc->lock);
	atomic_fetch_add(&rc->rounds, 1);
	any = rc->n_resting > 0;
	pthread_mutex_unlock(&rc->lock);
	/* Not under the lock, for which a thread that is awake would have to sleep again. */
	if (any)
		pthread_cond_broadcast(&rc->change);
}

_Noreturn void runctl_end(struct runctl *rc, const struct end_report *end)
{
	if (atomic_fetch_add(&rc->end_claims, 1) == 0) {
		rc->end = *end;
		atomic_store(&rc->ended, true);
		runctl_wake(rc);
	}
	pthread_mutex_lock(&rc->lock);
	rc->n_ended++;
	pthread_cond_broadcast(&rc->change);
	for (;;)
		pthread_cond_wait(&rc->change, &rc->lock);
}

void runctl_hold(struct runctl *rc)
{
	atomic_store(&rc->hold, true);
}

void runctl_release(struct runctl *rc)
{
	pthread_mutex_lock(&rc->lock);
	atomic_store(&rc->hold, false);
	pthread_cond_broadcast(&rc->change);
	pthread_mutex_unlock(&rc->lock);
}

bool runctl_all_parked(struct runctl *rc)
{
	bool all;

	pthread_mutex_lock(&rc->lock);
	all = rc->n_parked == rc->n_vcpus;
	pthread_mutex_unlock(&rc->lock);
	return all;
}

void runctl_wait_all_parked(struct runctl *rc)
{
	pthread_mutex_lock(&rc->lock);
	while (rc->n_parked + rc->n_ended != rc->n_vcpus)
		pthread_cond_wait(&rc->change, &rc->lock);
	pthread_mutex_unlock(&rc->lock);
}
