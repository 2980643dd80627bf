/* Blocks that memsrv makes ahead of a guest that asks for one after the other: they are there when it asks, they are never more
 * than it is to have, and nothing of them stays when it asks for something else, or for nothing. */
#include "hotplug_fixture.h"

static bool made[BLOCKS];  /* by memsrv */
static unsigned asked;     /* how often it was woken to make something */
static unsigned available; /* blocks */

static void memsrv_works(void)
{
	struct plug_request rq;

	while ((rq = memsrv_hears()).op) {
		unsigned n = (unsigned)(rq.len / BLOCK), before = count(made);

		asked += rq.op == PLUG_MAKE;
		if (rq.op == PLUG_MAKE && n > available) {
			memsrv_says(-ENOMEM);
			continue;
		}
		for (uint64_t i = rq.offset / BLOCK; rq.op == PLUG_MAKE && i < (rq.offset + rq.len) / BLOCK; i++)
			assert_false(made[i]);
		mark(made, rq.offset, rq.len, rq.op == PLUG_MAKE);
		available += before - count(made);
		memsrv_says(0);
	}
}

static int work(uint64_t now)
{
	int ms = hotplug_work(&m, &stop_all, now);

	memsrv_works();
	for (unsigned i = 0; i < 3 && m.hotplug.change.there; i++) {
		ms = hotplug_work(&m, &stop_all, now);
		memsrv_works();
	}
	assert_false(m.hotplug.change.there);
	assert_true(count(made) >= count(slot));
	assert_true(count(made) <= m.gm.hot[0].blocks.wanted || m.gm.hot[0].blocks.n_plugged > m.gm.hot[0].blocks.wanted);
	return ms;
}

static void asks(uint16_t type, uint64_t first, uint64_t n, uint64_t now)
{
	guest_asks(type, first, n);
	work(now);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
}

static int begin(void **state)
{
	int r = setup(state);

	made_here = false;
	memset(made, 0, sizeof(made));
	asked = 0;
	available = BLOCKS;
	m.gm.hot[0].blocks.wanted = BLOCKS;
	return r;
}

static void memsrv_is_woken_for_several(void **state)
{
	for (uint64_t i = 0; i < BLOCKS; i++) {
		asks(VIRTIO_MEM_REQ_PLUG, i, 1, 1);
		assert_true(slot[i] && made[i]);
	}
	assert_int_equal(asked, 1 + (BLOCKS - 1 + 7) / 8);
	assert_null(m.hotplug.pages.ahead);
}

/* Requests of several blocks, which are there in part. */
static void larger_ones(void **state)
{
	for (uint64_t i = 0; i < BLOCKS; i += 4)
		asks(VIRTIO_MEM_REQ_PLUG, i, 4, 1);
	assert_int_equal(count(slot), BLOCKS);
	assert_true(asked < BLOCKS / 4);
}

static void what_is_not_asked_for_goes_back(void **state)
{
	asks(VIRTIO_MEM_REQ_PLUG, 0, 1, 1);
	assert_int_equal(count(made), 1); /* it may be the only one */
	guest_asks(VIRTIO_MEM_REQ_PLUG, 1, 1);
	assert_int_equal(work(1), 5);
	assert_int_equal(count(made), 9);
	assert_int_equal(work(5), 1);
	assert_int_equal(work(6), -1);
	assert_int_equal(count(made), 2);
	/* And is made again. */
	asks(VIRTIO_MEM_REQ_PLUG, 2, 1, 7);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
}

static void no_more_than_it_is_to_have(void **state)
{
	m.gm.hot[0].blocks.wanted = 4;
	for (uint64_t i = 0; i < 2; i++)
		asks(VIRTIO_MEM_REQ_PLUG, i, 1, 1);
	assert_int_equal(count(made), 4);
	assert_true(hotplug_request(&m, 0, 3 * BLOCK, 1));
	work(1);
	assert_int_equal(count(made), 2);
	asks(VIRTIO_MEM_REQ_PLUG, 2, 1, 1);
	assert_int_equal(count(made), 3);
	/* While memsrv is at it. */
	assert_true(hotplug_request(&m, 0, BLOCKS * BLOCK, 2));
	guest_asks(VIRTIO_MEM_REQ_PLUG, 3, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_true(hotplug_request(&m, 0, 5 * BLOCK, 3));
	memsrv_works();
	assert_int_equal(count(made), 11);
	work(1);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(count(made), 4);
	assert_int_equal(count(slot), 4);
}

static void what_is_there_already_is_no_reason(void **state)
{
	asks(VIRTIO_MEM_REQ_PLUG, 4, 2, 1);
	asks(VIRTIO_MEM_REQ_PLUG, 0, 1, 1);
	asks(VIRTIO_MEM_REQ_PLUG, 1, 1, 1);
	assert_int_equal(count(made), 6);
	asks(VIRTIO_MEM_REQ_PLUG, 2, 1, 1); /* 3 was made with 1 and 2 */
	asks(VIRTIO_MEM_REQ_PLUG, 3, 1, 1);
	assert_int_equal(count(made), 6);
	asks(VIRTIO_MEM_REQ_PLUG, BLOCKS - 1, 1, 1);
}

static void another_request_comes(void **state)
{
	for (uint64_t i = 0; i < 2; i++)
		asks(VIRTIO_MEM_REQ_PLUG, i, 1, 1);
	asks(VIRTIO_MEM_REQ_PLUG, 20, 1, 1); /* elsewhere */
	assert_int_equal(count(made), 3);
	asks(VIRTIO_MEM_REQ_PLUG, 21, 1, 1);
	assert_int_equal(count(made), 11);
	m.gm.hot[0].blocks.wanted = 0;
	asks(VIRTIO_MEM_REQ_UNPLUG, 21, 1, 1);
	assert_int_equal(count(made), 3);
	asks(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, BLOCKS, 1);
	assert_int_equal(count(made), 0);
	assert_int_equal(available, BLOCKS);
}

static void a_guest_that_takes_its_time(void **state)
{
	asks(VIRTIO_MEM_REQ_PLUG, 0, 1, 1);
	clock_us += 2000;
	asks(VIRTIO_MEM_REQ_PLUG, 1, 1, 3);
	assert_int_equal(count(made), 2);
}

/* There is enough for the guest, and not ahead of it. */
static void shortage(void **state)
{
	available = 4;
	for (uint64_t i = 0; i < 4; i++)
		asks(VIRTIO_MEM_REQ_PLUG, i, 1, 1);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 4, 1);
	work(1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(count(made), 4);
	assert_int_equal(count(slot), 4);
}

/* The pages are there and KVM has no slot for them. */
static void no_slot(void **state)
{
	for (uint64_t i = 0; i < 2; i++)
		asks(VIRTIO_MEM_REQ_PLUG, i, 1, 1);
	slot_code = -ENOSPC;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 2, 1);
	work(1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(count(made), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(memsrv_is_woken_for_several, begin, teardown),
	    cmocka_unit_test_setup_teardown(larger_ones, begin, teardown),
	    cmocka_unit_test_setup_teardown(what_is_not_asked_for_goes_back, begin, teardown),
	    cmocka_unit_test_setup_teardown(no_more_than_it_is_to_have, begin, teardown),
	    cmocka_unit_test_setup_teardown(what_is_there_already_is_no_reason, begin, teardown),
	    cmocka_unit_test_setup_teardown(another_request_comes, begin, teardown),
	    cmocka_unit_test_setup_teardown(a_guest_that_takes_its_time, begin, teardown),
	    cmocka_unit_test_setup_teardown(shortage, begin, teardown),
	    cmocka_unit_test_setup_teardown(no_slot, begin, teardown),
	};

	return cmocka_run_group_tests_name("plug_ahead", tests, NULL, NULL);
}
