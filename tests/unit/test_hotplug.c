/* Changes of memory as they go over several calls: who is held is let go whatever happens, nobody waits for memsrv or for many
 * pages, what could not be made whole has gone again, and what is wanted may change before a request is done. */
#include "hotplug_fixture.h"

/* A disk whose requests never end: the guest stands still a second at a time, and not for ever when the disk is given up. */
static void who_is_held_is_let_go(void **state)
{
	for (unsigned late = 0; late < 3; late++) {
		uint64_t now = 1000, turns = 0;
		unsigned before = answers;

		takes_long = true;
		m.gm.hot[0].blocks.wanted = late + 1;
		guest_asks(VIRTIO_MEM_REQ_PLUG, late, 1);
		for (int ms; (ms = hotplug_work(&m, &stop_all, now)) >= 0; turns += !held) {
			assert_int_equal(answers, before);
			assert_true(now < 200000);
			now += (uint64_t)ms + late;
		}
		assert_false(held);
		assert_true(turns > 10);
		assert_int_equal(given_up, late + 1);
		assert_int_equal(answers, before + 1);
		assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	}
}

/* No vCPU runs with its memory gone until the machine ends. */
static void nobody_runs_without_a_slot(void **state)
{
	m.gm.hot[0].blocks.wanted = 4;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 4);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	loses_slot = true;
	guest_asks(VIRTIO_MEM_REQ_UNPLUG, 1, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_true(m.hotplug.lost);
	assert_true(held);
}

static void what_is_not_wanted_any_more_is_not_plugged(void **state)
{
	m.gm.hot[0].blocks.wanted = 4;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 4);
	assert_true(hotplug_request(&m, 0, 3 * BLOCK, 1));
	assert_int_equal(hotplug_work(&m, &stop_all, 1), -1);
	assert_int_equal(response, VIRTIO_MEM_RESP_NACK);
	assert_int_equal(m.gm.hot[0].blocks.n_plugged, 0);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 3);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 3, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_NACK);
	assert_int_equal(m.gm.hot[0].blocks.n_plugged, 3);
}

/* A guest that asks on and on is served without being waited for, and not so long that nobody else is. */
static void requests_in_a_row(void **state)
{
	unsigned calls = 0;

	m.gm.hot[0].blocks.wanted = BLOCKS;
	more_requests = BLOCKS - 1;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 1);
	for (int ms = 0; ms == 0; calls++) {
		unsigned before = answers;

		ms = hotplug_work(&m, &stop_all, 1);
		assert_true(answers - before <= 16);
		assert_true(ms == 0 || answers == BLOCKS);
	}
	assert_int_equal(answers, BLOCKS);
	assert_int_equal(m.gm.hot[0].blocks.n_plugged, BLOCKS);
	assert_true(calls <= BLOCKS / 16 + 1);
}

/* Until the guest has its answer. Returns how many calls that took; in none of them more steps were done than fit into 5 ms. */
static unsigned work_on(void)
{
	unsigned before = answers, calls = 0;

	for (int ms = 0; answers == before; calls++) {
		unsigned at = steps;

		assert_true(calls < 1000);
		assert_int_equal(ms, 0);
		ms = hotplug_work(&m, &stop_all, 1);
		assert_true((steps - at) * step_us < 5000 + step_us);
	}
	return calls;
}

static void large_ones_go_in_turns(void **state)
{
	struct hotplug_news news;
	int again;

	step_us = 1000;
	m.gm.hot[0].blocks.wanted = BLOCKS;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, BLOCKS);
	assert_true(work_on() >= 32 / 5);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(m.gm.hot[0].blocks.n_plugged, BLOCKS);
	assert_int_equal(count(slot), BLOCKS);

	/* What is on its way out has not gone: the broker would give it to somebody else. */
	step_us = 6000;
	assert_true(hotplug_request(&m, 0, 0, 1));
	guest_asks(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, BLOCKS);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(m.gm.hot[0].blocks.n_plugged, 0);
	assert_int_equal(count(slot), 0);
	assert_true(count(there) > 0 && count(there) < BLOCKS);
	hotplug_count(&m);
	assert_true(hotplug_news(&m, 1000, &news, &again));
	assert_false(news.over);
	assert_int_equal(news.plugged, BLOCKS * BLOCK);
	assert_true(work_on() >= 1);
	assert_int_equal(count(there), 0);
	hotplug_count(&m);
	assert_true(hotplug_news(&m, 2000, &news, &again));
	assert_true(news.over);
	assert_int_equal(news.plugged, 0);
}

static void unplug_one(uint64_t block, uint64_t now)
{
	unsigned before = answers;

	guest_asks(VIRTIO_MEM_REQ_UNPLUG, block, 1);
	hotplug_work(&m, &stop_all, now);
	assert_int_equal(answers, before + 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_false(slot[block]);
}

static void plug_all(void)
{
	m.gm.hot[0].blocks.wanted = BLOCKS;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, BLOCKS);
	work_on();
	assert_int_equal(count(there), BLOCKS);
}

/* The pages of a guest that unplugs block after block go together; they count until they have, and nobody meets them again. */
static void single_blocks_go_together(void **state)
{
	struct hotplug_news news;
	unsigned plugged, before;
	int again;

	plug_all();
	assert_true(hotplug_request(&m, 0, 2 * BLOCK, 1));
	for (unsigned i = BLOCKS - 1; i >= 32; i--)
		unplug_one(i, 1);
	plugged = (unsigned)m.gm.hot[0].blocks.n_plugged;
	assert_int_equal(plugged, 32);
	assert_true(count(there) > plugged && count(there) <= plugged + 16); /* 32 MiB at most */
	hotplug_count(&m);
	assert_true(hotplug_news(&m, 1000, &news, &again));
	assert_int_equal(news.plugged, count(there) * BLOCK);

	/* It asks no more: after 5 ms they go, and the broker hears of it. */
	assert_int_equal(hotplug_work(&m, &stop_all, 2), 4);
	assert_int_equal(hotplug_work(&m, &stop_all, 6), -1);
	assert_int_equal(count(there), plugged);
	assert_true(hotplug_news(&m, 2000, &news, &again));
	assert_int_equal(news.plugged, plugged * BLOCK);
	assert_false(hotplug_news(&m, 3000, &news, &again));

	/* Elsewhere, and above: what was put off before goes first. */
	unplug_one(10, 7);
	unplug_one(20, 7);
	assert_false(there[10]);
	unplug_one(21, 7);
	unplug_one(19, 7);
	assert_true(there[19] && there[20] && there[21]);

	/* Plugged again before they went: hot_populate finds none of them. */
	assert_true(hotplug_request(&m, 0, BLOCKS * BLOCK, 2));
	guest_asks(VIRTIO_MEM_REQ_PLUG, 20, 1);
	hotplug_work(&m, &stop_all, 7);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_true(there[20] && !there[19] && !there[21]);

	/* All of them are gone when the size is reached, before the guest has its answer. */
	assert_true(hotplug_request(&m, 0, 0, 3));
	before = answers;
	for (unsigned i = 0; i < 32; i++)
		if (slot[i])
			unplug_one(i, 8);
	assert_int_equal(answers, before + 29);
	assert_int_equal(count(there), 0);
}

/* While back-ends are waited for, time goes on for what was put off before. */
static void nothing_is_put_off_for_ever(void **state)
{
	plug_all();
	assert_true(hotplug_request(&m, 0, 0, 1));
	unplug_one(5, 1);
	assert_true(there[5]);
	takes_long = true;
	guest_asks(VIRTIO_MEM_REQ_UNPLUG, 40, 1);
	assert_true(hotplug_work(&m, &stop_all, 2) <= 4);
	hotplug_work(&m, &stop_all, 6);
	assert_false(there[5]);
	assert_true(there[40]);

	/* Larger ones are not put off at all. */
	takes_long = drains = false;
	hotplug_work(&m, &stop_all, 7);
	guest_asks(VIRTIO_MEM_REQ_UNPLUG, 6, 16);
	work_on();
	assert_int_equal(count(there), BLOCKS - 2 - 16);
}

/* All or none, whatever ends it. */
static void nothing_is_left_of_what_failed(void **state)
{
	step_us = 1000;
	m.gm.hot[0].blocks.wanted = BLOCKS;
	steps_left = 12;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, BLOCKS);
	work_on();
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(count(there), 0);
	assert_non_null(strstr(m.hotplug.refused[0], "no memory left"));
	/* No slot for it. */
	steps_left = UINT_MAX;
	slot_code = -ENOSPC;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, BLOCKS);
	work_on();
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(count(there), 0);
	assert_non_null(strstr(m.hotplug.refused[0], "no memory slot left"));
	slot_code = 0;
	/* Not wanted any more. */
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, BLOCKS);
	assert_int_equal(hotplug_work(&m, &stop_all, 1), 0);
	assert_true(count(there) > 0);
	assert_true(hotplug_request(&m, 0, BLOCK, 1));
	work_on();
	assert_int_equal(response, VIRTIO_MEM_RESP_NACK);
	assert_int_equal(count(there), 0);
	assert_string_equal(m.hotplug.refused[0], "");
	/* And the next one goes well. */
	guest_asks(VIRTIO_MEM_REQ_PLUG, 3, 1);
	work_on();
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(count(there), 1);
}

static void hears(enum plug_op op, uint64_t first, uint64_t n)
{
	struct plug_request rq = memsrv_hears();

	assert_int_equal(rq.op, op);
	assert_int_equal(rq.offset, first * BLOCK);
	assert_int_equal(rq.len, n * BLOCK);
}

static void hears_nothing(void)
{
	assert_int_equal(memsrv_hears().op, 0);
}

/* Nobody waits for it but poll. */
static void memsrv_makes_it_in_parts(void **state)
{
	made_here = false;
	m.gm.hot[0].blocks.wanted = BLOCKS;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 40);
	assert_int_equal(hotplug_interest(&m).fd, -1);
	assert_int_equal(hotplug_work(&m, &stop_all, 100), 20000);
	assert_int_equal(hotplug_interest(&m).fd, m.hotplug.pages.memsrv);
	hears(PLUG_MAKE, 0, 32);
	memsrv_says(0);
	assert_int_equal(hotplug_work(&m, &stop_all, 20099), 20000);
	hears(PLUG_MAKE, 32, 8);
	assert_int_equal(hotplug_work(&m, &stop_all, 20199), 19900);
	assert_int_equal(count(slot), 0);
	memsrv_says(0);
	hotplug_work(&m, &stop_all, 20200);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(count(slot), 40);
	assert_int_equal(hotplug_interest(&m).fd, -1);
	/* It cannot make all of it. */
	made_here = true;
	guest_asks(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, BLOCKS);
	work_on();
	made_here = false;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 40);
	hotplug_work(&m, &stop_all, 30000);
	hears(PLUG_MAKE, 0, 32);
	memsrv_says(0);
	hotplug_work(&m, &stop_all, 30000);
	hears(PLUG_MAKE, 32, 8);
	memsrv_says(-ENOMEM);
	hotplug_work(&m, &stop_all, 30000);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	hears(PLUG_DROP, 0, 32);
	memsrv_says(0);
	/* It is not wanted any more while memsrv makes it, whose answer is waited for. */
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 40);
	hotplug_work(&m, &stop_all, 30000);
	hears(PLUG_MAKE, 0, 32);
	assert_true(hotplug_request(&m, 0, BLOCK, 1));
	assert_true(hotplug_work(&m, &stop_all, 30000) > 0);
	memsrv_says(0);
	hotplug_work(&m, &stop_all, 30000);
	assert_int_equal(response, VIRTIO_MEM_RESP_NACK);
	hears(PLUG_DROP, 0, 32);
	hears_nothing();
	/* The answer to that is heard before anything else is said. */
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 1);
	assert_int_equal(hotplug_work(&m, &stop_all, 90000), 20000);
	hears_nothing();
	memsrv_says(0);
	hotplug_work(&m, &stop_all, 90001);
	hears(PLUG_MAKE, 0, 1);
	memsrv_says(0);
	hotplug_work(&m, &stop_all, 90002);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
}

/* A plug that memsrv does not answer in time. */
static void is_late(uint64_t first, uint64_t n)
{
	unsigned before = answers;

	guest_asks(VIRTIO_MEM_REQ_PLUG, first, n);
	assert_int_equal(hotplug_work(&m, &stop_all, 1), 20000);
	assert_int_equal(hotplug_work(&m, &stop_all, 20000), 1);
	assert_int_equal(answers, before);
	hotplug_work(&m, &stop_all, 20001);
	assert_int_equal(answers, before + 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_non_null(strstr(m.hotplug.refused[0], "does not answer"));
	hears(PLUG_MAKE, first, n);
}

static void answered(uint16_t with)
{
	hotplug_work(&m, &stop_all, 1);
	assert_false(m.hotplug.mem[0].job.there);
	assert_int_equal(response, with);
}

/* memsrv takes all that is plugged away when its socket closes. */
static void a_slow_memsrv_costs_no_memory(void **state)
{
	made_here = false;
	m.gm.hot[0].blocks.wanted = BLOCKS;
	is_late(5, 2);
	assert_true(m.hotplug.pages.memsrv >= 0);
	/* Not asked again before it has answered, nor waited for. */
	guest_asks(VIRTIO_MEM_REQ_PLUG, 9, 1);
	answered(VIRTIO_MEM_RESP_BUSY);
	hears_nothing();
	/* Then it is to drop what came too late. */
	memsrv_says(0);
	memsrv_says(0);
	memsrv_says(0);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 9, 1);
	answered(VIRTIO_MEM_RESP_ACK);
	hears(PLUG_DROP, 5, 2);
	hears(PLUG_MAKE, 9, 1);
	/* What it has not heard of is said again. */
	memsrv_says(-EEXIST);
	memsrv_says(0);
	memsrv_says(0);
	memsrv_says(0);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 20, 1);
	answered(VIRTIO_MEM_RESP_ACK);
	hears(PLUG_MAKE, 20, 1);
	hears(PLUG_DROP, 0, 9);
	hears(PLUG_DROP, 10, BLOCKS - 10);
	hears(PLUG_MAKE, 20, 1);
	hears_nothing();
	/* What goes while it is slow it hears of when it thinks that there is too much. */
	is_late(22, 1);
	guest_asks(VIRTIO_MEM_REQ_UNPLUG, 9, 1);
	answered(VIRTIO_MEM_RESP_ACK);
	hears_nothing();
	memsrv_says(0);
	memsrv_says(0); /* what came too late is dropped */
	memsrv_says(-EDQUOT);
	memsrv_says(0);
	memsrv_says(0);
	memsrv_says(0);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 24, 1);
	answered(VIRTIO_MEM_RESP_ACK);
	hears(PLUG_DROP, 22, 1);
	hears(PLUG_MAKE, 24, 1);
	hears(PLUG_DROP, 0, 20);
	hears(PLUG_DROP, 21, BLOCKS - 21);
	hears(PLUG_MAKE, 24, 1);
	/* Too much all the same is too much, and asked once. */
	memsrv_says(-EDQUOT);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 26, 1);
	answered(VIRTIO_MEM_RESP_BUSY);
	hears(PLUG_MAKE, 26, 1);
	hears_nothing();
	/* Nonsense ends it. */
	memsrv_says(5);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 30, 1);
	answered(VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(m.hotplug.pages.memsrv, -1);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 30, 1);
	answered(VIRTIO_MEM_RESP_BUSY);
}

/* It is too slow for the second part: the first goes without it, and it hears of both before it is asked for more. What it has
 * made for that, it is not told to drop. */
static void slow_in_the_middle(void **state)
{
	made_here = false;
	m.gm.hot[0].blocks.wanted = BLOCKS;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 0, 40);
	hotplug_work(&m, &stop_all, 1);
	hears(PLUG_MAKE, 0, 32);
	memsrv_says(0);
	hotplug_work(&m, &stop_all, 2);
	hears(PLUG_MAKE, 32, 8);
	steps = 0;
	hotplug_work(&m, &stop_all, 20002);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_true(steps > 0);
	assert_true(m.hotplug.pages.behind[0]);
	memsrv_says(0);
	memsrv_says(0); /* the second part is dropped */
	guest_asks(VIRTIO_MEM_REQ_PLUG, 2, 40);
	hotplug_work(&m, &stop_all, 20003);
	hears(PLUG_DROP, 32, 8);
	hears(PLUG_MAKE, 2, 32);
	memsrv_says(0); /* had it all been dropped */
	hotplug_work(&m, &stop_all, 20004);
	hears(PLUG_MAKE, 34, 8);
	memsrv_says(-EDQUOT);
	memsrv_says(0);
	memsrv_says(0);
	memsrv_says(0);
	hotplug_work(&m, &stop_all, 20005);
	hears(PLUG_DROP, 0, 2);
	hears(PLUG_DROP, 34, BLOCKS - 34);
	hears(PLUG_MAKE, 34, 8);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_false(m.hotplug.pages.behind[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(who_is_held_is_let_go, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_runs_without_a_slot, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_not_wanted_any_more_is_not_plugged, setup, teardown),
	    cmocka_unit_test_setup_teardown(requests_in_a_row, setup, teardown),
	    cmocka_unit_test_setup_teardown(large_ones_go_in_turns, setup, teardown),
	    cmocka_unit_test_setup_teardown(single_blocks_go_together, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_is_put_off_for_ever, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_is_left_of_what_failed, setup, teardown),
	    cmocka_unit_test_setup_teardown(memsrv_makes_it_in_parts, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slow_memsrv_costs_no_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(slow_in_the_middle, setup, teardown),
	};

	return cmocka_run_group_tests_name("hotplug", tests, NULL, NULL);
}
