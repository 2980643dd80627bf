/* Memory slots: what their registers say and do, and what becomes of a request, with good guests, unwilling ones, and random
 * ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bulkhead/abi/platform.h"
#include "dev/dimm.h"

#include <string.h>

#define START (4 * GiB)
#define BLOCK (128 * MiB)
#define NODE  7u

static struct dimms d;

static int fresh(void **state)
{
	dimms_init(&d, START, BLOCK, NODE);
	return 0;
}

static uint32_t in(uint64_t offset, unsigned len)
{
	uint8_t data[8];
	uint32_t v = 0;

	memset(data, 0xff, sizeof(data));
	dimms_access(&d, offset, data, len, false);
	memcpy(&v, data, len < 4 ? len : 4);
	return v;
}

static void out(uint64_t offset, uint32_t v, unsigned len)
{
	uint8_t data[8] = {0};

	memcpy(data, &v, sizeof(v));
	dimms_access(&d, offset, data, len, true);
}

static void ost(uint32_t slot, uint32_t event, uint32_t status)
{
	out(PLAT_DIMM_SELECT, slot, 4);
	out(PLAT_DIMM_OST_EVENT, event, 4);
	out(PLAT_DIMM_OST_STATUS, status, 4);
}

static uint32_t status_of(uint32_t slot)
{
	out(PLAT_DIMM_SELECT, slot, 4);
	return in(PLAT_DIMM_STATUS, 1);
}

static void control(uint32_t slot, uint32_t bits)
{
	out(PLAT_DIMM_SELECT, slot, 4);
	out(PLAT_DIMM_STATUS, bits, 1);
}

/* One DIMM of n blocks, whole, shown; what dimms.c does. */
static void add(uint64_t first, uint64_t n)
{
	uint32_t slot;

	assert_true(dimms_stage(&d, first, n));
	while (dimms_unfinished(&d, &slot))
		dimms_filled(&d, slot, 1);
	dimms_show(&d);
}

static void take_away(void)
{
	uint32_t slot;

	while (dimms_leaving(&d, &slot))
		dimms_left(&d, slot, true);
}

/* As our DSDT does it, with a guest that accepts everything. */
static unsigned scan(bool accept)
{
	unsigned n = 0;
	uint32_t slot;

	while ((slot = in(PLAT_DIMM_NEXT, 4)) < LIM_DIMMS) {
		uint32_t s = in(PLAT_DIMM_STATUS, 1);

		assert_true(++n <= 2 * LIM_DIMMS);
		if (s & PLAT_DIMM_INSERTED) {
			out(PLAT_DIMM_STATUS, PLAT_DIMM_INSERTED, 1);
			if (accept)
				ost(slot, 1, 0);
		}
		if (s & PLAT_DIMM_REMOVE) {
			out(PLAT_DIMM_STATUS, PLAT_DIMM_REMOVE, 1);
			ost(slot, 3, 0x84);
			if (accept) {
				control(slot, PLAT_DIMM_EJECT);
				ost(slot, 3, 0);
			} else {
				ost(slot, 3, 0x82);
			}
		}
	}
	return n;
}

static void a_good_guest(void **state)
{
	uint32_t blocks[LIM_DIMMS];
	char text[128];

	for (uint32_t i = 0; i < LIM_DIMMS; i++)
		assert_int_equal(status_of(i), 0);
	assert_true(d.looked && d.notify);
	assert_true(dimms_request(&d, 5));
	assert_true(dimms_stage(&d, 0, 5));
	dimms_filled(&d, 0, 4);
	assert_int_equal(status_of(0), 0); /* nothing to be seen before it is whole */
	assert_int_equal(in(PLAT_DIMM_NEXT, 4), UINT32_MAX);
	assert_true(dimms_pending(&d));
	dimms_filled(&d, 0, 1);
	assert_true(dimms_show(&d));
	assert_int_equal(dimms_idle(&d), 5);
	assert_int_equal(dimms_there(&d), 5);
	assert_int_equal(in(PLAT_DIMM_NEXT, 4), 0);
	assert_int_equal(status_of(0), PLAT_DIMM_ENABLED | PLAT_DIMM_INSERTED);
	assert_int_equal(scan(true), 1);
	assert_int_equal(in(PLAT_DIMM_BASE, 4), 0);
	assert_int_equal(in(PLAT_DIMM_BASE + 4, 4), 1);
	assert_int_equal(in(PLAT_DIMM_LENGTH, 4), 5 * BLOCK);
	assert_int_equal(in(PLAT_DIMM_LENGTH + 4, 4), 0);
	assert_int_equal(in(PLAT_DIMM_NODE, 4), NODE);
	assert_int_equal(dimms_idle(&d), 0);
	assert_false(dimms_pending(&d));

	/* Three more, the newest two go. */
	for (uint64_t i = 0; i < 3; i++) {
		assert_true(dimms_request(&d, 6 + i));
		add(5 + i, 1);
		scan(true);
	}
	assert_int_equal(dimms_list(&d, blocks), 4);
	assert_int_equal(blocks[0], 5);
	assert_true(dimms_request(&d, 6));
	assert_true(dimms_pending(&d));
	assert_int_equal(scan(true), 2);
	assert_int_equal(dimms_given(&d), 6);
	assert_true(dimms_pending(&d)); /* its memory is still there */
	assert_int_equal(dimms_there(&d), 8);
	assert_int_equal(status_of(3), 0);
	take_away();
	assert_false(dimms_pending(&d));
	assert_int_equal(dimms_there(&d), 6);
	dimms_explain(&d, text, sizeof(text));
	assert_string_equal(text, "");
	assert_int_equal(d.nonsense, 0);
}

static void an_unwilling_guest(void **state)
{
	char text[128];

	status_of(0);
	assert_true(dimms_request(&d, 2));
	add(0, 1);
	add(1, 1);
	scan(true);
	assert_true(dimms_request(&d, 0));
	scan(false);
	assert_false(dimms_pending(&d));
	assert_int_equal(dimms_given(&d), 2);
	dimms_explain(&d, text, sizeof(text));
	assert_non_null(strstr(text, "keeps 2 memory slots"));
	assert_non_null(strstr(text, "busy (_OST 0x82)"));
	/* One lets go now, the other not. */
	assert_true(dimms_request(&d, 0));
	control(1, PLAT_DIMM_REMOVE);
	control(1, PLAT_DIMM_EJECT);
	scan(false);
	take_away();
	assert_int_equal(dimms_given(&d), 1);
	dimms_explain(&d, text, sizeof(text));
	assert_non_null(strstr(text, "keeps 1 memory slot;"));
	/* An insertion that fails. */
	assert_true(dimms_request(&d, 2));
	add(1, 1);
	ost(1, 1, 0x80);
	assert_true(dimms_pending(&d));
	control(1, PLAT_DIMM_INSERTED);
	ost(1, 1, 0x81);
	assert_false(dimms_pending(&d));
	assert_int_equal(dimms_idle(&d), 1);
	dimms_explain(&d, text, sizeof(text));
	assert_non_null(strstr(text, "did not take 1 memory slot; of slot 1 it says: no driver could be loaded (_OST 0x81)"));
}

static void sums_that_do_not_fit(void **state)
{
	status_of(0);
	dimms_request(&d, 7);
	add(0, 4);
	add(4, 3);
	scan(true);
	assert_false(dimms_request(&d, 5));
	assert_int_equal(in(PLAT_DIMM_NEXT, 4), UINT32_MAX);
	assert_true(dimms_request(&d, 4));
	assert_int_equal(in(PLAT_DIMM_NEXT, 4), 1);
	/* Not looked at: may be taken back without a trace. */
	assert_true(dimms_request(&d, 7));
	assert_int_equal(in(PLAT_DIMM_NEXT, 4), UINT32_MAX);
	assert_false(dimms_pending(&d));
	/* Asked, looked at, no answer: asked once more. */
	assert_true(dimms_request(&d, 4));
	control(1, PLAT_DIMM_REMOVE);
	assert_true(dimms_request(&d, 4));
	assert_int_equal(status_of(1), PLAT_DIMM_ENABLED | PLAT_DIMM_REMOVE);
}

static void before_the_guest_looks(void **state)
{
	assert_true(dimms_request(&d, 1));
	assert_true(dimms_stage(&d, 0, 1));
	dimms_filled(&d, 0, 1);
	assert_false(dimms_show(&d)); /* nobody has to be told */
	assert_int_equal(status_of(0), PLAT_DIMM_ENABLED);
	assert_int_equal(dimms_idle(&d), 0);
	/* It came between the guest's first look and its look at this slot. */
	dimms_request(&d, 2);
	add(1, 1);
	assert_int_equal(dimms_idle(&d), 1);
	out(PLAT_DIMM_SELECT, 1, 4);
	in(PLAT_DIMM_LENGTH, 4);
	assert_int_equal(dimms_idle(&d), 0);
	assert_int_equal(in(PLAT_DIMM_NEXT, 4), UINT32_MAX);
}

static void its_own_ejection(void **state)
{
	char text[128];

	status_of(0);
	dimms_request(&d, 3);
	add(0, 2);
	add(2, 1);
	scan(true);
	ost(1, 0x103, 0x84);
	control(1, PLAT_DIMM_EJECT);
	assert_int_equal(d.wanted, 2); /* nobody puts it back */
	take_away();
	assert_false(dimms_pending(&d));
	dimms_explain(&d, text, sizeof(text));
	assert_string_equal(text, "the guest has ejected 128 MiB by itself");
	/* While more is being added: that goes on. */
	dimms_request(&d, 5);
	assert_true(dimms_stage(&d, 2, 3));
	control(0, PLAT_DIMM_EJECT);
	assert_int_equal(d.wanted, 3);
	assert_int_equal(dimms_given(&d), 3);
}

static void what_is_given_up(void **state)
{
	uint32_t slot;

	status_of(0);
	dimms_request(&d, 8);
	assert_true(dimms_stage(&d, 0, 8));
	dimms_filled(&d, 0, 3);
	dimms_request(&d, 0);
	assert_true(dimms_leaving(&d, &slot));
	assert_int_equal(d.slot[slot].there, 3);
	assert_int_equal(dimms_given(&d), 0);
	dimms_left(&d, slot, false); /* cannot be taken away: it stays, and nobody waits for it */
	assert_false(dimms_leaving(&d, &slot));
	assert_false(dimms_pending(&d));
	for (unsigned i = 1; i < LIM_DIMMS; i++)
		assert_true(dimms_stage(&d, i, 1));
	assert_false(dimms_stage(&d, 20, 1));
}

static void nonsense(void **state)
{
	struct dimms was;
	uint64_t n = 0;

	status_of(0);
	dimms_request(&d, 1);
	add(0, 1);
	scan(true);
	was = d;
#define NONSENSE(...)                                                                                                            \
	do {                                                                                                                     \
		__VA_ARGS__;                                                                                                     \
		n++;                                                                                                             \
		assert_int_equal(d.nonsense, n);                                                                                 \
		assert_memory_equal(d.slot, was.slot, sizeof(d.slot));                                                           \
	} while (0)
	NONSENSE(control(1, PLAT_DIMM_EJECT)); /* an empty slot */
	NONSENSE(control(0, PLAT_DIMM_INSERTED));
	NONSENSE(control(0, PLAT_DIMM_REMOVE));
	NONSENSE(control(0, 0xf0));
	NONSENSE(control(0, 0));
	NONSENSE(control(LIM_DIMMS, PLAT_DIMM_EJECT));
	NONSENSE(control(UINT32_MAX, PLAT_DIMM_EJECT));
	NONSENSE(assert_int_equal(status_of(LIM_DIMMS), 0));
	NONSENSE(assert_int_equal(in(PLAT_DIMM_BASE, 4), UINT32_MAX));
	out(PLAT_DIMM_SELECT, 0, 4);
	NONSENSE(out(PLAT_DIMM_SELECT, 1, 1));
	NONSENSE(out(PLAT_DIMM_SELECT, 1, 2));
	NONSENSE(assert_int_equal(in(PLAT_DIMM_BASE, 2), UINT16_MAX));
	NONSENSE(assert_int_equal(in(PLAT_DIMM_STATUS, 4), UINT32_MAX));
	NONSENSE(assert_int_equal(in(PLAT_DIMM_STATUS + 1, 1), UINT8_MAX));
	NONSENSE(out(PLAT_DIMM_STATUS, PLAT_DIMM_EJECT, 4));
	NONSENSE(out(PLAT_DIMM_NEXT, 0, 4));
	NONSENSE(out(PLAT_DIMM_NODE, 0, 4));
	NONSENSE(in(PLAT_DIMM_BASE + 2, 4));
#undef NONSENSE
	/* Words about a slot that waits for nothing change what is remembered of them, and nothing else. */
	ost(0, 3, 0x82);
	ost(0, 1, 0x82);
	ost(5, 3, 0);
	assert_int_equal(d.slot[0].state, DIMM_PRESENT);
	assert_true(d.slot[0].taken);
	assert_int_equal(d.ost_reports, 4);
}

static uint32_t rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

/* What must hold whatever a guest does: who sees what is whole, slots never share blocks, and the counts agree. */
static void check(uint64_t blocks)
{
	static uint8_t used[64];
	uint64_t given = 0;

	memset(used, 0, sizeof(used));
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		const struct dimm *s = &d.slot[i];

		if (s->state == DIMM_EMPTY) {
			assert_false(s->insert_event || s->remove_event);
			continue;
		}
		assert_true(s->n > 0 && s->there <= s->n && s->first + s->n <= blocks);
		if (s->state == DIMM_PRESENT || s->state == DIMM_ASKED)
			assert_int_equal(s->there, s->n);
		else
			assert_false(s->insert_event || s->remove_event);
		assert_true(!s->remove_event || s->state == DIMM_ASKED);
		for (uint64_t k = s->first; k < s->first + s->n; k++)
			assert_int_equal(used[k]++, 0);
		given += s->state == DIMM_LEAVING ? 0 : s->n;
	}
	assert_int_equal(given, dimms_given(&d));
	assert_true(dimms_idle(&d) <= given && dimms_idle(&d) <= dimms_there(&d) && dimms_there(&d) <= blocks);
}

static void stage_something(uint64_t blocks)
{
	uint8_t used[64] = {0};
	uint64_t first = 0, n = 0;

	for (uint32_t i = 0; i < LIM_DIMMS; i++)
		for (uint64_t k = 0; d.slot[i].state != DIMM_EMPTY && k < d.slot[i].n; k++)
			used[d.slot[i].first + k] = 1;
	while (first < blocks && used[first])
		first++;
	while (first + n < blocks && !used[first + n] && n < d.wanted - dimms_given(&d))
		n++;
	if (n)
		dimms_stage(&d, first, n);
}

static void at_random(void **state)
{
	const uint64_t blocks = 40;
	uint8_t data[8];
	uint32_t slot;
	char text[128];

	for (unsigned i = 0; i < 400000; i++) {
		uint32_t r = rnd();

		switch (r % 16) {
		case 0:
			dimms_request(&d, rnd() % (blocks + 1));
			break;
		case 1:
		case 2:
			if (dimms_given(&d) < d.wanted)
				stage_something(blocks);
			break;
		case 3:
		case 4:
			if (dimms_unfinished(&d, &slot))
				dimms_filled(&d, slot, 1);
			else
				dimms_show(&d);
			break;
		case 5:
			if (dimms_leaving(&d, &slot))
				dimms_left(&d, slot, rnd() % 8);
			break;
		case 6:
			scan(rnd() % 2);
			break;
		case 7:
			ost(rnd() % (LIM_DIMMS + 2), (uint32_t[]){0, 1, 3, 0x103}[rnd() % 4], rnd() % 2 ? rnd() % 0x90 : 0);
			break;
		case 8:
			control(rnd() % (LIM_DIMMS + 2), rnd() % 16);
			break;
		default:
			memcpy(data, (uint32_t[]){rnd() % 2 ? rnd() : rnd() % 10, rnd()}, sizeof(data));
			dimms_access(&d, rnd() % PLAT_DIMM_LEN, data, 1u << rnd() % 3, rnd() % 2);
			break;
		}
		check(blocks);
		dimms_explain(&d, text, sizeof(text));
	}
	assert_true(d.nonsense > 1000 && d.ost_reports > 1000 && d.orders > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_good_guest, fresh),
	    cmocka_unit_test_setup(an_unwilling_guest, fresh),
	    cmocka_unit_test_setup(sums_that_do_not_fit, fresh),
	    cmocka_unit_test_setup(before_the_guest_looks, fresh),
	    cmocka_unit_test_setup(its_own_ejection, fresh),
	    cmocka_unit_test_setup(what_is_given_up, fresh),
	    cmocka_unit_test_setup(nonsense, fresh),
	    cmocka_unit_test_setup(at_random, fresh),
	};

	return cmocka_run_group_tests_name("dimm", tests, NULL, NULL);
}
