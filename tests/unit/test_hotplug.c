/* Changes of memory as they go over several calls: who is held is let go whatever happens, memsrv may be slow, and what is wanted
 * may change before a request's turn comes. Slots, pages and back-ends are the test's. */
#include "hotplug.h"
#include "machine.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCK  (2 * MiB)
#define BLOCKS 64u

static struct machine m;
static struct mem_plan plan;
static uint64_t words[1];
static int memsrv;   /* its end */
static bool patient; /* poll waits, and nothing comes */
static bool held, drains, made_here, takes_long, loses_slot;
static unsigned answers, given_up;
static unsigned more_requests; /* that the guest has ready when it has its answer */
static uint16_t response;

int poll(struct pollfd *p, nfds_t n, int ms)
{
	return patient ? 0 : 1;
}

/* --- what hotplug.c works on --- */

bool gm_made_here(const struct plan_zone *z)
{
	return made_here;
}
int hot_populate(const struct gm_hot *h, struct mem_range r)
{
	return 0;
}
int hot_drop(const struct gm_hot *h, struct mem_range r, bool shared)
{
	return 0;
}
const struct gm_hot *hot_find(const struct guestmem *gm, gpa_t at)
{
	return NULL;
}
int hot_slots_init(struct hot_slots *hs, const struct guestmem *gm, int vm_fd, unsigned first_id, unsigned ids, struct err *e)
{
	return 0;
}
bool hot_slots_disturbs(const struct hot_slots *hs, const struct gm_hot *h, struct mem_range r, bool plug)
{
	return loses_slot;
}
int hot_slots_add(struct hot_slots *hs, const struct gm_hot *h, struct mem_range r)
{
	return 0;
}
int hot_slots_remove(struct hot_slots *hs, const struct gm_hot *h, struct mem_range r)
{
	return loses_slot ? -ENOTRECOVERABLE : 0;
}
bool vhost_memory_takes(const struct vhost_dev *d, const struct gm_hot *h, struct mem_range r, bool plug, unsigned *ret_regions)
{
	return true;
}
void vhost_memory_changed(struct vhost_dev *d, const struct gm_hot *h, struct mem_range r, bool plug)
{
	drains = takes_long;
}
bool vhost_memory_is_told(const struct vhost_dev *d)
{
	return !drains;
}
void vhost_memory_give_up(struct vhost_dev *d)
{
	drains = false;
	given_up++;
}
bool vhost_drains(const struct vhost_dev *d)
{
	return drains;
}
void vhost_drain(struct vhost_dev *d)
{
	assert_true(held);
}
void virtio_mem_finish(struct virtio_dev *d, uint16_t r)
{
	m.hotplug.mem[0].job.there = false;
	response = r;
	answers++;
}
void virtio_mem_request(struct virtio_dev *d, uint64_t blocks)
{
	m.gm.hot[0].blocks.wanted = blocks;
}
bool virtio_mem_look(struct virtio_dev *d)
{
	if (more_requests && !m.hotplug.mem[0].job.there) {
		more_requests--;
		m.hotplug.mem[0].job =
		    (struct mem_job){.there = true, .type = VIRTIO_MEM_REQ_PLUG, .range = {m.gm.hot[0].blocks.n_plugged, 1}};
	}
	return m.hotplug.mem[0].job.there;
}
struct mem_job dimms_job(struct machine *machine)
{
	return (struct mem_job){0};
}
void dimms_answer(struct machine *machine, uint16_t r)
{
}
void dimms_ask(struct machine *machine, uint64_t bytes)
{
}
bool dimms_news(struct machine *machine, struct hotplug_news *ret)
{
	return false;
}

static void hold(void *arg)
{
	held = true;
}

static void release(void *arg)
{
	held = false;
}

static const struct hotplug_pause stop_all = {hold, release, NULL};

static int setup(void **state)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	memset(&m, 0, sizeof(m));
	memset(words, 0, sizeof(words));
	pthread_mutex_init(&m.dev_lock, NULL);
	plan.n_zones = 1;
	m.gm.plan = &plan;
	m.gm.n_hot = 1;
	m.gm.hot[0] = (struct gm_hot){.at = {gpa(4 * GiB), glen(BLOCKS * BLOCK)}};
	mem_blocks_init(&m.gm.hot[0].blocks, 4 * GiB, BLOCK, BLOCKS, words);
	hotplug_init(&m, pair[0]);
	memsrv = pair[1];
	m.virtio.n_vhost = 1;
	patient = held = drains = takes_long = loses_slot = false;
	made_here = true;
	answers = given_up = more_requests = 0;
	return 0;
}

static int teardown(void **state)
{
	if (m.hotplug.pages.memsrv >= 0)
		close(m.hotplug.pages.memsrv);
	return close(memsrv);
}

static void guest_asks(uint16_t type, uint64_t first, uint64_t n)
{
	m.hotplug.mem[0].job = (struct mem_job){.there = true, .type = type, .range = {first, n}};
}

static void memsrv_says(int code)
{
	struct plug_answer a = {.code = code};

	assert_int_equal(send(memsrv, &a, sizeof(a), 0), sizeof(a));
}

static struct plug_request memsrv_hears(void)
{
	struct plug_request rq = {0};

	recv(memsrv, &rq, sizeof(rq), MSG_DONTWAIT);
	return rq;
}

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

/* memsrv takes all that is plugged away when its socket closes. */
static void a_slow_memsrv_costs_no_memory(void **state)
{
	struct plug_request rq;

	made_here = false;
	m.gm.hot[0].blocks.wanted = BLOCKS;
	patient = true;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 5, 2);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_true(m.hotplug.pages.memsrv >= 0);
	assert_non_null(strstr(m.hotplug.refused[0], "does not answer"));
	assert_int_equal(memsrv_hears().op, PLUG_MAKE);
	/* Not asked again before it has answered. */
	guest_asks(VIRTIO_MEM_REQ_PLUG, 9, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(memsrv_hears().op, 0);
	/* Then it is to drop what came too late. */
	patient = false;
	memsrv_says(0);
	memsrv_says(0);
	memsrv_says(0);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 9, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	rq = memsrv_hears();
	assert_int_equal(rq.op, PLUG_DROP);
	assert_int_equal(rq.offset, 5 * BLOCK);
	assert_int_equal(rq.len, 2 * BLOCK);
	rq = memsrv_hears();
	assert_int_equal(rq.op, PLUG_MAKE);
	assert_int_equal(rq.offset, 9 * BLOCK);
	/* What it has not heard of is said again. */
	memsrv_says(-EEXIST);
	memsrv_says(0);
	memsrv_says(0);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 20, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(memsrv_hears().op, PLUG_MAKE);
	assert_int_equal(memsrv_hears().op, PLUG_DROP);
	assert_int_equal(memsrv_hears().op, PLUG_MAKE);
	assert_int_equal(memsrv_hears().op, 0);
	/* What goes while it is slow it hears of when it thinks that there is too much. */
	patient = true;
	guest_asks(VIRTIO_MEM_REQ_PLUG, 22, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	guest_asks(VIRTIO_MEM_REQ_UNPLUG, 9, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(memsrv_hears().op, PLUG_MAKE);
	assert_int_equal(memsrv_hears().op, 0);
	patient = false;
	memsrv_says(0);
	memsrv_says(0); /* what came too late is dropped */
	memsrv_says(-EDQUOT);
	memsrv_says(0);
	memsrv_says(0);
	memsrv_says(0);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 24, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(memsrv_hears().op, PLUG_DROP);
	assert_int_equal(memsrv_hears().op, PLUG_MAKE);
	rq = memsrv_hears();
	assert_int_equal(rq.op, PLUG_DROP);
	assert_int_equal(rq.offset, 0);
	assert_int_equal(rq.len, 20 * BLOCK);
	rq = memsrv_hears();
	assert_int_equal(rq.op, PLUG_DROP);
	assert_int_equal(rq.offset, 21 * BLOCK);
	assert_int_equal(rq.len, (BLOCKS - 21) * BLOCK);
	assert_int_equal(memsrv_hears().op, PLUG_MAKE);
	/* Too much all the same is too much, and asked once. */
	memsrv_says(-EDQUOT);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 26, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(memsrv_hears().op, PLUG_MAKE);
	assert_int_equal(memsrv_hears().op, 0);
	/* Nonsense ends it. */
	memsrv_says(5);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 30, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(m.hotplug.pages.memsrv, -1);
	guest_asks(VIRTIO_MEM_REQ_PLUG, 30, 1);
	hotplug_work(&m, &stop_all, 1);
	assert_int_equal(response, VIRTIO_MEM_RESP_BUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(who_is_held_is_let_go, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_runs_without_a_slot, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_not_wanted_any_more_is_not_plugged, setup, teardown),
	    cmocka_unit_test_setup_teardown(requests_in_a_row, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slow_memsrv_costs_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests_name("hotplug", tests, NULL, NULL);
}
