/* virtio-balloon's side towards the guest: which memory it gives up, and what a guest says that makes no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "queue_fixture.h"
#include "virtio/balloon.h"

#include <linux/pci_regs.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <string.h>

extern const struct virtio_type virtio_balloon;

#define INFLATE 0u
#define DEFLATE 1u
#define LIST    0x5000u /* where the guest writes page numbers */
#define PAGES   (GUEST_LEN / GUEST_PAGE)

static struct virtio_dev d;
static struct balloon_device b;
static unsigned kicks;

static void kick(void *arg)
{
	kicks++;
}

static const struct virtio_host host = {.memory = {NULL, NULL}, .kick = kick};
static struct virtio_host with_memory;

static int setup(void **state)
{
	memset(&d, 0, sizeof(d));
	memset(&b, 0, sizeof(b));
	with_memory = host;
	with_memory.memory = guest_memory;
	b.free_page_reporting = true;
	d.type = &virtio_balloon;
	d.host = &with_memory;
	d.pci.config.byte[PCI_COMMAND] = PCI_COMMAND_MASTER;
	d.status = VIRTIO_CONFIG_S_DRIVER_OK;
	virtio_balloon_attach(&d, &b);
	d.accepted = d.offered;
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		d.queue[i].size = Q_SIZE;
	guest_reset(&d.queue[INFLATE]);
	return 0;
}

/* The one ring of the fixture becomes that queue's. */
static void use(unsigned queue)
{
	for (unsigned i = 0; i < virtio_balloon.n_queues; i++)
		d.queue[i].enabled = false;
	guest_reset(&d.queue[queue]);
	assert_true(virtq_enable(&d.queue[queue], &guest_memory, false));
}

static void ask(unsigned queue, const uint32_t *pfn, size_t n)
{
	memcpy(guest + LIST, pfn, n * sizeof(*pfn));
	guest_desc(AT_DESC, 0, LIST, (uint32_t)(n * sizeof(*pfn)), 0, 0);
	guest_offer(0);
	virtio_balloon.process(&d, queue);
}

/* Does all there is to do; returns how many pieces that were, and marks them in touched. */
static uint8_t touched[PAGES];

static unsigned work(bool give)
{
	struct virtq_seg piece;
	enum balloon_next next;
	unsigned n = 0, rounds = 0;

	memset(touched, 0, sizeof(touched));
	while ((next = virtio_balloon_next(&d, &piece)) != BALLOON_IDLE) {
		assert_true(++rounds < 10000);
		if (next != BALLOON_MEMORY)
			continue;
		n++;
		assert_true((uint8_t *)piece.at >= guest && piece.len && piece.len <= BALLOON_STEP);
		assert_true((size_t)((uint8_t *)piece.at - guest) + piece.len <= GUEST_LEN);
		assert_int_equal(((uintptr_t)piece.at | piece.len) % GUEST_PAGE, 0);
		for (size_t i = 0; i < piece.len / GUEST_PAGE; i++)
			touched[(size_t)((uint8_t *)piece.at - guest) / GUEST_PAGE + i]++;
		virtio_balloon_done(&d, piece.len, give);
	}
	return n;
}

static void runs(void **state)
{
	static const uint32_t up[] = {6, 7, 8, 9}, down[] = {13, 12, 11}, mixed[] = {10, 14, 11};

	use(INFLATE);
	ask(INFLATE, up, 4);
	assert_true(b.driver && b.changed);
	/* Ours lie in one array; the worker's pieces are cut where the zones end, which lie apart. */
	assert_int_equal(work(true), 1);
	assert_true(touched[6] && touched[9] && !touched[5] && !touched[10]);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(guest_used()->ring[0].id, 0);
	assert_int_equal(guest_used()->ring[0].len, 0);
	ask(INFLATE, down, 3);
	assert_int_equal(work(true), 1);
	assert_true(touched[11] && touched[12] && touched[13] && !touched[10]);
	ask(INFLATE, mixed, 3);
	assert_int_equal(work(true), 3);
	assert_int_equal(b.given, 10 * GUEST_PAGE);
	assert_int_equal(b.kept + b.foreign + b.reported, 0);
	ask(INFLATE, up, 4);
	work(false);
	assert_int_equal(b.given, 10 * GUEST_PAGE);
	assert_int_equal(b.kept, 4 * GUEST_PAGE);
}

/* What the queue held is the driver's again. */
static void a_reset_queue_is_forgotten(void **state)
{
	static const uint32_t mixed[] = {10, 14, 11};
	struct virtq_seg piece;

	use(INFLATE);
	ask(INFLATE, mixed, 3);
	assert_int_equal(virtio_balloon_next(&d, &piece), BALLOON_MEMORY);
	virtio_balloon_done(&d, piece.len, true);
	d.queue[INFLATE].epoch++;
	assert_int_equal(work(true), 0);
	assert_int_equal(b.given, GUEST_PAGE);
	assert_int_equal(guest_used()->idx, 0);
}

static void deflating_changes_nothing(void **state)
{
	static const uint32_t pages[] = {6, UINT32_MAX, 7};

	use(DEFLATE);
	ask(DEFLATE, pages, 3);
	assert_int_equal(work(true), 0);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(b.given + b.kept + b.foreign, 0);
}

static void foreign_pages(void **state)
{
	static const uint32_t pages[] = {PAGES, UINT32_MAX, 0x80000000, 6, 6, PAGES + 1};

	use(INFLATE);
	ask(INFLATE, pages, 6);
	assert_int_equal(work(true), 2);
	assert_int_equal(touched[6], 2);
	assert_int_equal(b.foreign, 4 * GUEST_PAGE);
	/* a list with half a number at its end, an empty one, one for us to write into */
	guest_desc(AT_DESC, 1, LIST, 6, 0, 0);
	guest_offer(1);
	guest_desc(AT_DESC, 2, 0x8000, 4096, VRING_DESC_F_WRITE, 0);
	guest_offer(2);
	virtio_balloon.process(&d, INFLATE);
	assert_int_equal(work(true), 0);
	assert_int_equal(guest_used()->idx, 3);
	assert_false(d.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* a list that lies nowhere: the queue is broken, and nothing else */
	guest_desc(AT_DESC, 3, GUEST_LEN, 4, 0, 0);
	guest_offer(3);
	virtio_balloon.process(&d, INFLATE);
	assert_int_equal(work(true), 0);
	assert_true(d.status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* More numbers than are looked at: the rest stays with the guest, the buffer comes back. */
static void long_list(void **state)
{
	use(INFLATE);
	for (uint32_t i = 0; i < 0x2c00; i++)
		((uint32_t *)(void *)(guest + LIST))[i] = i % 2 ? 6 : 8;
	guest_desc(AT_DESC, 0, LIST, 0xb000, 0, 0);
	guest_offer(0);
	virtio_balloon.process(&d, INFLATE);
	assert_int_equal(work(true), BALLOON_PFNS_MAX);
	assert_int_equal(b.given, BALLOON_PFNS_MAX * GUEST_PAGE);
	assert_int_equal(guest_used()->idx, 1);
}

static void reports(void **state)
{
	/* Wherever the driver has put the queue. */
	for (unsigned q = 2; q < 5; q++) {
		setup(NULL);
		use(q);
		guest_desc(AT_DESC, 0, 0x6000, 0x1000, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
		guest_desc(AT_DESC, 1, 0x7800, 0x3000, VRING_DESC_F_WRITE, 0); /* over the border, no whole pages at its ends */
		guest_offer(0);
		virtio_balloon.process(&d, q);
		work(true);
		assert_true(touched[6] && !touched[7] && touched[8] && touched[9] && !touched[10]);
		assert_int_equal(b.reported, 3 * GUEST_PAGE);
		assert_int_equal(guest_used()->idx, 1);
		/* pages to be read are no report */
		guest_desc(AT_DESC, 0, 0x6000, 0x1000, 0, 0);
		guest_offer(0);
		virtio_balloon.process(&d, q);
		assert_int_equal(work(true), 0);
		assert_int_equal(guest_used()->idx, 2);
		/* beyond memory */
		guest_desc(AT_DESC, 0, 0xf000, 0x2000, VRING_DESC_F_WRITE, 0);
		guest_offer(0);
		virtio_balloon.process(&d, q);
		assert_int_equal(work(true), 0);
		assert_true(d.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	/* without the feature it is a queue of nothing */
	setup(NULL);
	d.accepted = 0;
	use(2);
	guest_desc(AT_DESC, 0, 0x6000, 0x1000, VRING_DESC_F_WRITE, 0);
	guest_offer(0);
	virtio_balloon.process(&d, 2);
	assert_int_equal(work(true), 0);
	assert_int_equal(guest_used()->idx, 1);
}

static void reset_in_the_middle(void **state)
{
	static const uint32_t pages[] = {6, 8, 10};
	struct virtq_seg piece;

	use(INFLATE);
	b.actual = 7;
	ask(INFLATE, pages, 3);
	assert_int_equal(virtio_balloon_next(&d, &piece), BALLOON_MEMORY);
	virtio_balloon_done(&d, piece.len, true);
	b.changed = false;
	virtio_balloon.reset(&d);
	assert_true(b.changed && !b.driver && b.actual == 0);
	assert_int_equal(work(true), 0);
	assert_int_equal(guest_used()->idx, 0);

	/* of one queue (2.6.1): the buffer is forgotten, what follows is not */
	setup(NULL);
	use(INFLATE);
	ask(INFLATE, pages, 3);
	assert_int_equal(virtio_balloon_next(&d, &piece), BALLOON_MEMORY);
	virtio_balloon_done(&d, piece.len, true);
	d.queue[INFLATE] = (struct virtq){.epoch = d.queue[INFLATE].epoch + 1};
	work(true);
	assert_int_equal(guest_used()->idx, 0);
	d.queue[INFLATE] = (struct virtq){.desc = AT_DESC, .avail = AT_AVAIL, .used = AT_USED, .size = Q_SIZE, .epoch = 1};
	memset(guest_avail(), 0, sizeof(struct vring_avail));
	assert_true(virtq_enable(&d.queue[INFLATE], &guest_memory, false));
	ask(INFLATE, pages, 1);
	assert_int_equal(work(true), 1);
	assert_int_equal(guest_used()->idx, 1);
}

static void configuration(void **state)
{
	struct virtio_balloon_config c;
	uint8_t config[256], actual[4] = {5, 0, 0, 0};

	kicks = 0;
	virtio_balloon_request(&d, 77);
	assert_true(b.changed);
	virtio_balloon.config_read(&d, config);
	memcpy(&c, config, sizeof(c));
	assert_int_equal(c.num_pages, 77);
	assert_int_equal(c.actual, 0);
	for (unsigned at = 0; at <= 7; at++)
		if (at != 4)
			virtio_balloon.config_write(&d, at, actual, 1);
	virtio_balloon.config_write(&d, 0, actual, 4); /* what is wanted is not the driver's to say */
	virtio_balloon.config_write(&d, 4, actual, 2);
	assert_int_equal(b.wanted, 77);
	assert_int_equal(b.actual, 0);
	virtio_balloon.config_write(&d, 4, actual, 4);
	assert_int_equal(b.actual, 5);
	assert_int_equal(kicks, 1);
	assert_int_equal(d.offered, UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING);
	b.deflate_on_oom = true;
	virtio_balloon_attach(&d, &b);
	assert_int_equal(d.offered, UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING | UINT64_C(1) << VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}

static uint32_t rnd(void)
{
	static uint32_t x = 1;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

/* Whatever lies in the rings and lists: only whole pages of the guest are ever named, and it ends. */
static void nonsense(void **state)
{
	for (unsigned round = 0; round < 3000; round++) {
		unsigned q = rnd() % virtio_balloon.n_queues;

		setup(NULL);
		use(q);
		for (unsigned i = 0; i < Q_SIZE; i++)
			guest_desc(AT_DESC, i, rnd() % (GUEST_LEN + 0x400), rnd() % 0x9000, (uint16_t)(rnd() % 4),
				   (uint16_t)(rnd() % (Q_SIZE + 1)));
		for (unsigned i = 0; i < 0x400; i++)
			((uint32_t *)(void *)(guest + LIST))[i] = rnd() % (rnd() % 8 ? (uint32_t)PAGES + 2 : UINT32_MAX);
		for (unsigned i = 0; i < Q_SIZE; i++)
			guest_offer((uint16_t)(rnd() % (rnd() % 8 ? Q_SIZE : UINT16_MAX)));
		virtio_balloon.process(&d, q);
		work(rnd() & 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_reset_queue_is_forgotten, setup),
	    cmocka_unit_test_setup(runs, setup),
	    cmocka_unit_test_setup(deflating_changes_nothing, setup),
	    cmocka_unit_test_setup(foreign_pages, setup),
	    cmocka_unit_test_setup(long_list, setup),
	    cmocka_unit_test_setup(reports, setup),
	    cmocka_unit_test_setup(reset_in_the_middle, setup),
	    cmocka_unit_test_setup(configuration, setup),
	    cmocka_unit_test_setup(nonsense, setup),
	};

	return cmocka_run_group_tests_name("balloon", tests, NULL, NULL);
}
