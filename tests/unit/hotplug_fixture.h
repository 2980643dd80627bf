/* A machine with one hotplug window of 64 blocks, of which hotplug.c and hotpages.c are real: slots, pages and back-ends are the
 * test's, and time, and so is memsrv's end of the socket. */
#pragma once
#include "hotplug.h"
#include "machine.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCK  (2 * MiB)
#define BLOCKS 64u

static struct machine m;
static struct mem_plan plan;
static uint64_t words[1];
static int memsrv;                       /* its end */
static uint64_t clock_us;                /* goes on by itself with every look, */
static uint64_t step_us;                 /* and by so much for a step of pages */
static unsigned steps, steps_left;       /* that the host still has memory for */
static bool there[BLOCKS], slot[BLOCKS]; /* pages that this process has made and not dropped; what is in slots */
static int slot_code;                    /* what KVM says to a new one */
static bool held, drains, made_here, takes_long, loses_slot;
static unsigned answers, given_up;
static unsigned more_requests; /* that the guest has ready when it has its answer */
static uint16_t response;

int clock_gettime(clockid_t id, struct timespec *ret)
{
	clock_us++;
	*ret = (struct timespec){(time_t)(clock_us / 1000000), (long)(clock_us % 1000000 * 1000)};
	return 0;
}

/* --- what hotplug.c works on --- */

bool gm_made_here(const struct plan_zone *z)
{
	return made_here;
}
static void mark(bool *map, uint64_t from, uint64_t len, bool value)
{
	assert_true(len > 0 && from + len <= BLOCKS * BLOCK && is_aligned(from | len, BLOCK));
	for (uint64_t i = from / BLOCK; i < (from + len) / BLOCK; i++)
		map[i] = value;
}

static unsigned count(const bool *map)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BLOCKS; i++)
		n += map[i];
	return n;
}

int hot_populate(const struct gm_hot *h, uint64_t from, uint64_t len)
{
	assert_true(made_here);
	clock_us += step_us;
	steps++;
	if (steps_left == 0)
		return -ENOMEM;
	steps_left--;
	for (uint64_t i = from / BLOCK; i < (from + len) / BLOCK; i++)
		assert_false(there[i]); /* what a guest gets is empty */
	mark(there, from, len, true);
	return 0;
}
int hot_drop(const struct gm_hot *h, uint64_t from, uint64_t len, bool shared)
{
	assert_true(made_here != shared);
	clock_us += step_us;
	steps++;
	for (uint64_t i = from / BLOCK; i < (from + len) / BLOCK; i++)
		assert_false(slot[i]);
	mark(there, from, len, false);
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
	for (uint64_t i = r.first; made_here && i < r.first + r.n; i++)
		assert_true(there[i]);
	if (slot_code == 0)
		mark(slot, r.first * BLOCK, r.n * BLOCK, true);
	return slot_code;
}
int hot_slots_remove(struct hot_slots *hs, const struct gm_hot *h, struct mem_range r)
{
	if (!loses_slot)
		mark(slot, r.first * BLOCK, r.n * BLOCK, false);
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
bool dimms_want(const struct machine *machine)
{
	return true;
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
	memset(there, 0, sizeof(there));
	memset(slot, 0, sizeof(slot));
	held = drains = takes_long = loses_slot = false;
	made_here = true;
	answers = given_up = more_requests = steps = 0;
	steps_left = UINT_MAX;
	step_us = 10;
	slot_code = 0;
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
