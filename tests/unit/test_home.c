/* Where the main thread runs while memory goes: who moves, who does not, and that everybody may run again where they could. The
 * kernel's part is the test's. */
#include "home.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MAIN 0

static cpu_set_t may[4]; /* by thread */
static unsigned moves;   /* calls */
static bool was_kept_off[4];
static int refusal;

int sched_getaffinity(pid_t tid, size_t len, cpu_set_t *ret)
{
	assert_int_equal(len, sizeof(*ret));
	*ret = may[tid];
	return 0;
}

int sched_setaffinity(pid_t tid, size_t len, const cpu_set_t *set)
{
	moves++;
	assert_int_equal(len, sizeof(*set));
	assert_true(CPU_COUNT(set) > 0);
	if (refusal) {
		errno = refusal;
		return -1;
	}
	may[tid] = *set;
	was_kept_off[tid] |= !CPU_ISSET(0, set);
	return 0;
}

static cpu_set_t set(unsigned bits)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	for (unsigned i = 0; i < 8; i++)
		if (bits >> i & 1)
			CPU_SET(i, &s);
	return s;
}

static bool may_be(int tid, unsigned bits)
{
	cpu_set_t s = set(bits);

	return CPU_EQUAL(&s, &may[tid]);
}

static int setup(void **state)
{
	may[MAIN] = set(0xf);
	may[1] = set(0xf);
	may[2] = set(0x3);
	may[3] = set(0xc);
	moves = 0;
	refusal = 0;
	memset(was_kept_off, 0, sizeof(was_kept_off));
	return 0;
}

static void there_and_back(void **state)
{
	struct home h;

	home_find(&h);
	for (int tid = 1; tid < 4; tid++)
		home_add(&h, tid);
	assert_int_equal(home_settle(&h, 5), -1);
	home_go(&h, 10);
	assert_true(may_be(MAIN, 0x1));
	/* vCPUs had to leave that CPU, and may come back. */
	assert_true(was_kept_off[1] && was_kept_off[2] && !was_kept_off[MAIN]);
	assert_true(may_be(1, 0xf) && may_be(2, 0x3) && may_be(3, 0xc));
	assert_int_equal(moves, 1 + 4);
	/* Longer, at no cost. */
	home_go(&h, 25);
	assert_int_equal(home_settle(&h, 40), 5);
	assert_int_equal(moves, 1 + 4);
	assert_int_equal(home_settle(&h, 45), -1);
	assert_true(may_be(MAIN, 0xf));
	assert_int_equal(home_settle(&h, 46), -1);
	assert_int_equal(moves, 1 + 4 + 1);
}

static void not_where_there_is_no_choice(void **state)
{
	struct home h;

	/* A vCPU that runs nowhere else. */
	may[2] = set(0x1);
	home_find(&h);
	for (int tid = 1; tid < 4; tid++)
		home_add(&h, tid);
	home_go(&h, 1);
	/* One CPU; all but that one. */
	may[MAIN] = set(0x1);
	home_find(&h);
	home_go(&h, 1);
	may[MAIN] = set(0xe);
	home_find(&h);
	home_go(&h, 1);
	assert_int_equal(moves, 0);
	/* A cpuset that has changed: tried once. */
	may[MAIN] = set(0xf);
	home_find(&h);
	refusal = EINVAL;
	home_go(&h, 1);
	home_go(&h, 2);
	assert_int_equal(moves, 1);
	assert_int_equal(home_settle(&h, 100), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(there_and_back, setup, NULL),
	    cmocka_unit_test_setup_teardown(not_where_there_is_no_choice, setup, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
