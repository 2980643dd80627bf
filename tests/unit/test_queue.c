/* The split virtqueue against a driver that keeps the rules, one that breaks each of them, and one that writes anything. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "queue_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static struct virtq q;
static struct virtq_chain c;

static int setup(void **state)
{
	guest_reset(&q);
	assert_true(virtq_enable(&q, &guest_memory, false));
	return 0;
}

static int setup_event(void **state)
{
	guest_reset(&q);
	assert_true(virtq_enable(&q, &guest_memory, true));
	return 0;
}

static int pop(void)
{
	return virtq_pop(&q, &guest_memory, &c);
}

static void test_chain(void **state)
{
	guest_desc(AT_DESC, 2, 0x5000, 16, NEXT, 7);
	guest_desc(AT_DESC, 7, 0x6000, 32, NEXT | WRITE, 0);
	guest_desc(AT_DESC, 0, 0x7000, 1, WRITE, 5);
	assert_int_equal(pop(), 0);
	guest_offer(2);
	assert_int_equal(pop(), 1);
	assert_int_equal(c.head, 2);
	assert_int_equal(c.n_readable, 1);
	assert_int_equal(c.n_writable, 2);
	assert_int_equal(c.readable_len, 16);
	assert_int_equal(c.writable_len, 33);
	assert_ptr_equal(c.readable[0].at, guest + 0x5000);
	assert_ptr_equal(c.writable[1].at, guest + 0x7000);
	assert_int_equal(pop(), 0);
	virtq_push(&q, &guest_memory, c.head, 33);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(guest_used()->ring[0].id, 2);
	assert_int_equal(guest_used()->ring[0].len, 33);
}

static void test_unpop(void **state)
{
	guest_desc(AT_DESC, 1, 0x5000, 16, 0, 0);
	guest_offer(1);
	assert_int_equal(pop(), 1);
	virtq_unpop(&q);
	assert_int_equal(pop(), 1);
	assert_int_equal(c.head, 1);
	assert_int_equal(pop(), 0);
}

static void test_indirect(void **state)
{
	for (unsigned i = 0; i < Q_SIZE; i++)
		guest_desc(AT_INDIRECT, i, 0x5000 + 64 * i, 64, (uint16_t)(i + 1 < Q_SIZE ? NEXT : 0), (uint16_t)(i + 1));
	guest_desc(AT_DESC, 3, AT_INDIRECT, Q_SIZE * 16, INDIRECT, 0);
	guest_offer(3);
	assert_int_equal(pop(), 1);
	assert_int_equal(c.head, 3);
	assert_int_equal(c.n_readable, Q_SIZE);
	assert_int_equal(c.readable_len, 64 * Q_SIZE);
}

static void test_two_zones(void **state)
{
	guest_desc(AT_DESC, 0, ZONE_BORDER - 10, 30, 0, 0);
	guest_offer(0);
	assert_int_equal(pop(), 1);
	assert_int_equal(c.n_readable, 2);
	assert_int_equal(c.readable[0].len, 10);
	assert_int_equal(c.readable[1].len, 20);
	assert_int_equal(c.readable_len, 30);
}

/* Around the end of the 16-bit indices. */
static void test_wrap(void **state)
{
	for (unsigned i = 0; i < 70000; i++) {
		guest_desc(AT_DESC, i % Q_SIZE, 0x5000, 4, WRITE, 0);
		guest_offer((uint16_t)(i % Q_SIZE));
		assert_int_equal(pop(), 1);
		assert_int_equal(c.head, i % Q_SIZE);
		virtq_push(&q, &guest_memory, c.head, i);
		assert_int_equal(guest_used()->idx, (uint16_t)(i + 1));
		assert_int_equal(guest_used()->ring[i % Q_SIZE].len, i);
	}
	assert_int_equal(pop(), 0);
}

static void test_interrupt_flag(void **state)
{
	assert_false(virtq_wants_interrupt(&q, &guest_memory)); /* nothing to tell */
	virtq_push(&q, &guest_memory, 0, 0);
	assert_true(virtq_wants_interrupt(&q, &guest_memory));
	assert_false(virtq_wants_interrupt(&q, &guest_memory));
	virtq_push(&q, &guest_memory, 0, 0);
	guest_avail()->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_false(virtq_wants_interrupt(&q, &guest_memory));
}

static void test_event_idx(void **state)
{
	uint16_t *used_event = &guest_avail()->ring[Q_SIZE];
	uint16_t avail_event;

	guest_desc(AT_DESC, 0, 0x5000, 4, WRITE, 0);
	*used_event = 2;
	for (unsigned i = 0; i < 6; i++) {
		guest_offer(0);
		assert_int_equal(pop(), 1);
		virtq_push(&q, &guest_memory, 0, 0);
		/* the first answer is "yes" whatever the driver wrote before; then it is when the third is used */
		assert_int_equal(virtq_wants_interrupt(&q, &guest_memory), i == 0 || i == 2);
	}
	assert_false(virtq_ask_notify(&q, &guest_memory));
	memcpy(&avail_event, &guest_used()->ring[Q_SIZE], 2);
	assert_int_equal(avail_event, 6);
	guest_offer(0);
	assert_true(virtq_ask_notify(&q, &guest_memory));
}

/* What a driver must not do breaks the queue until it is enabled anew. */
static void spoil_head(void)
{
	guest_offer(Q_SIZE);
}

static void spoil_next(void)
{
	guest_desc(AT_DESC, 0, 0x5000, 4, NEXT, Q_SIZE);
}

static void spoil_loop(void)
{
	guest_desc(AT_DESC, 0, 0x5000, 4, NEXT, 1);
	guest_desc(AT_DESC, 1, 0x5000, 4, NEXT, 0);
}

static void spoil_self(void)
{
	guest_desc(AT_DESC, 0, 0x5000, 0, NEXT, 0);
}

static void spoil_outside(void)
{
	guest_desc(AT_DESC, 0, GUEST_LEN - 2, 4, 0, 0);
}

static void spoil_wrapping(void)
{
	guest_desc(AT_DESC, 0, UINT64_MAX - 1, 4, 0, 0);
}

static void spoil_order(void)
{
	guest_desc(AT_DESC, 0, 0x5000, 4, NEXT | WRITE, 1);
	guest_desc(AT_DESC, 1, 0x5000, 4, 0, 0);
}

static void spoil_idx(void)
{
	guest_avail()->idx = Q_SIZE + 1;
}

static void spoil_nested(void)
{
	guest_desc(AT_DESC, 0, AT_INDIRECT, 16, INDIRECT, 0);
	guest_desc(AT_INDIRECT, 0, AT_INDIRECT, 16, INDIRECT, 0);
}

static void spoil_indirect_next(void)
{
	guest_desc(AT_DESC, 0, AT_INDIRECT, 16, INDIRECT | NEXT, 1);
}

static void spoil_indirect_len(void)
{
	guest_desc(AT_DESC, 0, AT_INDIRECT, 24, INDIRECT, 0);
}

static void spoil_indirect_empty(void)
{
	guest_desc(AT_DESC, 0, AT_INDIRECT, 0, INDIRECT, 0);
}

static void spoil_indirect_outside(void)
{
	guest_desc(AT_DESC, 0, GUEST_LEN - 16, 32, INDIRECT, 0);
	guest_desc(GUEST_LEN - 16, 0, 0x5000, 4, NEXT, 1);
}

static void spoil_indirect_loop(void)
{
	guest_desc(AT_DESC, 0, AT_INDIRECT, 32, INDIRECT, 0);
	guest_desc(AT_INDIRECT, 0, 0x5000, 4, NEXT, 1);
	guest_desc(AT_INDIRECT, 1, 0x5000, 4, NEXT, 0);
}

static void spoil_indirect_long(void)
{
	guest_desc(AT_DESC, 0, AT_INDIRECT, 0x1000, INDIRECT, 0);
	for (unsigned i = 0; i < 256; i++)
		guest_desc(AT_INDIRECT, i, 0x5000, 4, NEXT, (uint16_t)(i + 1));
}

static void test_broken(void **state)
{
	static void (*const spoilers[])(void) = {
	    spoil_head,
	    spoil_next,
	    spoil_loop,
	    spoil_self,
	    spoil_outside,
	    spoil_wrapping,
	    spoil_order,
	    spoil_idx,
	    spoil_nested,
	    spoil_indirect_next,
	    spoil_indirect_len,
	    spoil_indirect_empty,
	    spoil_indirect_outside,
	    spoil_indirect_loop,
	    spoil_indirect_long,
	};

	for (size_t i = 0; i < ARRAY_LEN(spoilers); i++) {
		setup(state);
		guest_desc(AT_DESC, 0, 0x5000, 4, 0, 0);
		if (spoilers[i] != spoil_head && spoilers[i] != spoil_idx)
			guest_offer(0);
		spoilers[i]();
		assert_int_equal(pop(), -EPROTO);
		guest_desc(AT_DESC, 0, 0x5000, 4, 0, 0);
		assert_int_equal(pop(), -EPROTO);
		virtq_push(&q, &guest_memory, 0, 0);
		assert_int_equal(guest_used()->idx, 0);
		assert_false(virtq_wants_interrupt(&q, &guest_memory));
		assert_false(virtq_ask_notify(&q, &guest_memory));
	}
}

static void test_enable(void **state)
{
	static const struct {
		uint64_t desc, avail, used;
		uint16_t size;
	} bad[] = {
	    {AT_DESC + 8, AT_AVAIL, AT_USED, 8},
	    {AT_DESC, AT_AVAIL + 1, AT_USED, 8},
	    {AT_DESC, AT_AVAIL, AT_USED + 2, 8},
	    {AT_DESC, AT_AVAIL, AT_USED, 7},
	    {AT_DESC, AT_AVAIL, AT_USED, 0},
	    {AT_DESC, AT_AVAIL, AT_USED, 512},
	    {GUEST_LEN - 64, AT_AVAIL, AT_USED, 8},
	    {AT_DESC, GUEST_LEN, AT_USED, 8},
	    {AT_DESC, AT_AVAIL, GUEST_LEN - 64, 8},
	    {UINT64_MAX - 15, AT_AVAIL, AT_USED, 8},
	    {ZONE_BORDER - 32, AT_AVAIL, AT_USED, 8},
	    {AT_DESC, AT_AVAIL, ZONE_BORDER - 4, 8},
	    {AT_DESC, GUEST_LEN - 4 - 2 * 8, AT_USED, 8}, /* all but used_event */
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct virtq b = {.desc = bad[i].desc, .avail = bad[i].avail, .used = bad[i].used, .size = bad[i].size};

		assert_false(virtq_enable(&b, &guest_memory, true));
		assert_false(b.enabled);
		assert_int_equal(virtq_pop(&b, &guest_memory, &c), 0);
	}
}

static void check_inside(const struct virtq_seg *seg, unsigned n, uint64_t total)
{
	uint64_t sum = 0;

	assert_true(n <= VIRTQ_SEGS_MAX);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = seg[i].at;

		assert_true(p >= guest && seg[i].len <= GUEST_LEN && p + seg[i].len <= guest + GUEST_LEN);
		sum += seg[i].len;
	}
	assert_int_equal(sum, total);
}

static uint16_t some_flags(void)
{
	return (uint16_t)(random() % 16 ? random() % 8 : random());
}

static void test_anything(void **state)
{
	unsigned good = 0, bad = 0;

	srandom(1234);
	for (unsigned round = 0; round < 200000; round++) {
		int r;

		guest_reset(&q);
		assert_true(virtq_enable(&q, &guest_memory, random() & 1));
		for (unsigned i = 0; i < Q_SIZE; i++) {
			uint64_t at = random() % 4 ? (uint64_t)random() % GUEST_LEN : AT_INDIRECT;
			uint32_t len = random() % 8 ? (uint32_t)random() % 256 & ~15u : (uint32_t)random();

			guest_desc(AT_DESC, i, at, len, some_flags(), (uint16_t)(random() % (Q_SIZE + 1)));
			guest_desc(AT_INDIRECT, i, at ^ 0x40, len, some_flags() & (NEXT | WRITE), (uint16_t)(i + 1));
		}
		for (unsigned i = (unsigned)random() % Q_SIZE; i; i--)
			guest_offer((uint16_t)(random() % (Q_SIZE + (random() % 16 == 0))));
		while ((r = pop()) > 0) {
			check_inside(c.readable, c.n_readable, c.readable_len);
			check_inside(c.writable, c.n_writable, c.writable_len);
			virtq_push(&q, &guest_memory, c.head, (uint32_t)c.writable_len);
			good++;
		}
		bad += r < 0;
		virtq_wants_interrupt(&q, &guest_memory);
		virtq_ask_notify(&q, &guest_memory);
	}
	assert_true(good > 1000 && bad > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_chain, setup),
	    cmocka_unit_test_setup(test_unpop, setup),
	    cmocka_unit_test_setup(test_indirect, setup),
	    cmocka_unit_test_setup(test_two_zones, setup),
	    cmocka_unit_test_setup(test_wrap, setup),
	    cmocka_unit_test_setup(test_interrupt_flag, setup),
	    cmocka_unit_test_setup(test_event_idx, setup_event),
	    cmocka_unit_test(test_broken),
	    cmocka_unit_test(test_enable),
	    cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
