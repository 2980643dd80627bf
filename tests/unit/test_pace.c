/* vCPUs that rest: who holds all threads finds them parked, and they go on only when they are let go; and when they are to rest.
 */
#include "kvm/runctl.h"
#include "pace.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define FAIR 1000u

static struct runctl rc;
static atomic_uint rested;
static unsigned patience; /* ms */

static void *vcpu(void *arg)
{
	runctl_rest(&rc, *(unsigned *)arg, patience);
	atomic_fetch_add(&rested, 1);
	return NULL;
}

static pthread_t rests(unsigned *seen)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, vcpu, seen), 0);
	return t;
}

static bool is_awake(void)
{
	struct pollfd p = {.fd = rc.wake_fd, .events = POLLIN};
	uint64_t n;

	return poll(&p, 1, 0) == 1 && read(rc.wake_fd, &n, sizeof(n)) == sizeof(n);
}

static void until_resting(unsigned n)
{
	unsigned now;

	do {
		pthread_mutex_lock(&rc.lock);
		now = rc.n_resting;
		pthread_mutex_unlock(&rc.lock);
		usleep(100);
	} while (now != n);
}

static int setup(void **state)
{
	runctl_init(&rc, 1, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	runctl_release(&rc);
	atomic_store(&rested, 0);
	patience = 3600000;
	return 0;
}

static int teardown(void **state)
{
	return close(rc.wake_fd);
}

static void who_rests_is_parked(void **state)
{
	for (unsigned i = 0; i < 100; i++) {
		unsigned seen = runctl_rounds(&rc);
		pthread_t t = rests(&seen);

		until_resting(1);
		assert_false(is_awake()); /* nobody asked for it */
		runctl_hold(&rc);
		assert_true(runctl_all_parked(&rc));
		runctl_wait_all_parked(&rc);
		runctl_round(&rc);
		until_resting(0);
		assert_true(runctl_all_parked(&rc)); /* it has what it waits for, and is held all the same */
		assert_int_equal(atomic_load(&rested), i);
		runctl_release(&rc);
		pthread_join(t, NULL);
		assert_int_equal(atomic_load(&rested), i + 1);
		assert_false(runctl_all_parked(&rc));
	}
}

/* A thread that comes to rest while all are to be held says so, as one that parks does. */
static void who_comes_to_rest_is_seen(void **state)
{
	for (unsigned i = 0; i < 100; i++) {
		unsigned seen = runctl_rounds(&rc);
		pthread_t t;

		runctl_hold(&rc);
		assert_false(is_awake());
		t = rests(&seen);
		runctl_wait_all_parked(&rc);
		assert_true(is_awake());
		runctl_round(&rc);
		assert_int_equal(atomic_load(&rested), i);
		runctl_release(&rc);
		pthread_join(t, NULL);
	}
}

/* By itself if nothing comes, and at once for what has come already. */
static void nobody_rests_for_ever(void **state)
{
	unsigned seen = runctl_rounds(&rc), before = seen - 1;

	pthread_join(rests(&before), NULL);
	patience = 1;
	pthread_join(rests(&seen), NULL);
	assert_int_equal(atomic_load(&rested), 2);
}

static void slow_ones(struct pace *p)
{
	for (unsigned i = 0; i < 4; i++)
		pace_took(p, FAIR + 1, FAIR);
}

/* A test cannot say on which CPU it is: wherever -1 is not known, and a thousand away is another. */
static void when_they_rest(void **state)
{
	struct pace p;
	unsigned n, last = 0;

	pace_init(&p);
	assert_true(pace_may_look(&p));
	for (unsigned i = 0; i < 100; i++)
		pace_took(&p, FAIR, FAIR);
	assert_false(p.awaited);

	/* Not for one that is slow now and then. */
	for (unsigned i = 0; i < 1000; i++)
		pace_took(&p, i % 10 ? 1 : FAIR + 1, FAIR);
	assert_false(p.awaited);
	for (unsigned i = 0; i < 100; i++)
		pace_took(&p, i % 5 ? 1 : FAIR + 1, FAIR);
	assert_true(p.awaited);
	pace_init(&p);

	/* As long as both are where they cannot both run. */
	slow_ones(&p);
	pace_rang(&p);
	atomic_store(&p.ringer_at, -1);
	for (unsigned i = 0; i < 10000; i++)
		pace_took(&p, 1, FAIR);
	assert_true(p.awaited);
	assert_false(pace_may_look(&p));

	/* Each on a CPU of its own, and quick for long enough. */
	atomic_store(&p.ringer_at, 1000);
	assert_true(pace_may_look(&p));
	for (n = 0; p.awaited; n++) {
		pace_took(&p, n == 10 ? FAIR + 1 : 1, FAIR);
		assert_true(n < 10000);
	}
	assert_int_equal(n, 11 + 16);

	/* Too early: longer each time, but not for ever. */
	for (unsigned i = 0; i < 10; i++) {
		slow_ones(&p);
		for (n = 0; p.awaited; n++)
			pace_took(&p, 1, FAIR);
		assert_true(n == 2048 || n == 2 * last || i == 0);
		last = n;
	}
	assert_int_equal(last, 2048);
	for (unsigned i = 0; i < 256; i++)
		pace_took(&p, 1, FAIR);
	slow_ones(&p);
	for (n = 0; p.awaited; n++)
		pace_took(&p, 1, FAIR);
	assert_int_equal(n, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(who_rests_is_parked, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_comes_to_rest_is_seen, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_rests_for_ever, setup, teardown),
	    cmocka_unit_test(when_they_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
