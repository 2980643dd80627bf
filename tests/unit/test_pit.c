/* The timer by which a guest measures its processor, with a clock of our own. */
#include "bulkhead/abi/platform.h"
#include "dev/pit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t tick;

static uint64_t fake_now(void)
{
	return tick;
}

static uint8_t port(struct bus *b, uint16_t at, int write)
{
	uint8_t v = write < 0 ? 0xff : (uint8_t)write;

	assert_int_equal(bus_access(b, at, &v, 1, write >= 0), BUS_DONE);
	return v;
}

static void pit_counts_once(void **state)
{
	struct bus b = {0};
	struct pit p;

	assert_int_equal(pit_init(&p, &b, NULL), 0);
	p.now = fake_now;
	port(&b, 0x61, 0x01);
	port(&b, 0x43, 0xb0); /* counter 2, both bytes, mode 0 */
	assert_int_equal(port(&b, 0x61, -1) & 0x20, 0);
	port(&b, 0x42, 1000 & 0xff);
	tick += 5000; /* nothing happens before the second byte */
	port(&b, 0x42, 1000 >> 8);
	tick += 999;
	assert_int_equal(port(&b, 0x61, -1) & 0x21, 0x01);
	assert_int_equal(port(&b, 0x42, -1) | port(&b, 0x42, -1) << 8, 1);
	port(&b, 0x61, 0x00); /* the gate holds it */
	tick += 100;
	assert_int_equal(port(&b, 0x61, -1) & 0x21, 0x00);
	port(&b, 0x61, 0x01);
	tick += 1;
	assert_int_equal(port(&b, 0x61, -1) & 0x21, 0x21);
	tick += 1;
	port(&b, 0x43, 0x80); /* latched: what follows is no concern of the reader's */
	tick += 500;
	assert_int_equal(port(&b, 0x42, -1) | port(&b, 0x42, -1) << 8, 0xffff);
}

static void pit_square_wave(void **state)
{
	struct bus b = {0};
	struct pit p;

	assert_int_equal(pit_init(&p, &b, NULL), 0);
	p.now = fake_now;
	port(&b, 0x43, 0xb6);
	port(&b, 0x42, 0);
	port(&b, 0x42, 0); /* 65536 */
	port(&b, 0x61, 0x01);
	tick += 0x7fff;
	assert_int_equal(port(&b, 0x61, -1) & 0x20, 0x20);
	tick += 1;
	assert_int_equal(port(&b, 0x61, -1) & 0x20, 0);
	tick += 0x8000;
	assert_int_equal(port(&b, 0x61, -1) & 0x20, 0x20);
	assert_int_equal(port(&b, 0x42, -1) | port(&b, 0x42, -1) << 8, 0);
	port(&b, 0x43, 0x30); /* counter 0: not there */
	assert_int_equal(bus_access(&b, 0x40, &(uint8_t){0}, 1, false), BUS_NOBODY);
}

static void the_host_s_clock(void **state)
{
	uint64_t before = pit_now();

	assert_true(pit_now() >= before && before > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pit_counts_once),
	    cmocka_unit_test(pit_square_wave),
	    cmocka_unit_test(the_host_s_clock),
	};

	return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
