/* The command line of qemu-storage-daemon: nothing in it comes from anywhere but a few bits and a small number. */
#include "../../backend/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool has(const struct args *a, int at, const char *text)
{
	return strstr(a->argv[at], text);
}

static void test_plain(void **state)
{
	struct args a;

	args_build(&a, &(struct backend_start){.num_queues = 1});
	assert_string_equal(a.argv[0], "qemu-storage-daemon");
	assert_true(has(&a, 2, "driver=file") && has(&a, 2, "filename=/image,") && has(&a, 2, "locking=on"));
	assert_true(has(&a, 2, "read-only=off") && has(&a, 2, "discard=ignore") && has(&a, 2, "cache.direct=off"));
	assert_true(has(&a, 4, "driver=raw") && has(&a, 4, "file=file"));
	assert_true(has(&a, 6, "addr.str=5") && has(&a, 6, "num-queues=1,") && has(&a, 6, "writable=on") &&
		    has(&a, 6, "writethrough=off"));
	assert_null(a.argv[7]);
}

/* The format is never left to the program, or it would look into the image to find out. */
static void test_every_combination(void **state)
{
	for (uint32_t flags = 0; flags <= BACKEND_FLAGS_ALL; flags++) {
		bool readonly = flags & BACKEND_READONLY, qcow2 = flags & BACKEND_QCOW2;
		struct args a;

		args_build(&a, &(struct backend_start){.flags = flags, .num_queues = ARGS_QUEUES_MAX});
		assert_int_equal(has(&a, 4, "driver=qcow2,"), qcow2);
		assert_int_equal(has(&a, 4, "driver=raw,"), !qcow2);
		for (int i = 2; i <= 4; i += 2) {
			assert_int_equal(has(&a, i, "read-only=on"), readonly);
			assert_int_equal(has(&a, i, "discard=unmap"), !!(flags & BACKEND_DISCARD));
			assert_int_equal(has(&a, i, "cache.direct=on"), !!(flags & BACKEND_DIRECT));
		}
		assert_int_equal(has(&a, 6, "writable=on"), !readonly);
		assert_int_equal(has(&a, 6, "writethrough=on"), qcow2 && !readonly);
		/* Nothing was cut off. */
		assert_true(has(&a, 2, "cache.direct=o") && has(&a, 4, "cache.direct=o") && has(&a, 6, "writethrough=o"));
		assert_null(a.argv[7]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_every_combination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
