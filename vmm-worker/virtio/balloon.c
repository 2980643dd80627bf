#include "virtio/balloon.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define CLASS_OTHER 0x00ff00u
#define QUEUE_SIZE  128u
#define BIT(n)      (UINT64_C(1) << (n))

/* 5.5.2. Without statistics and free page hints there is no queue 2 and 3, but drivers disagree on what that means for the one
 * that reports free pages: by the letter it is 4, older ones count only queues that exist. Whichever a driver sets up is that
 * one. */
enum { INFLATE, DEFLATE, REPORT_FIRST, N_QUEUES = 5 };

static struct balloon_device *device(const struct virtio_dev *d)
{
	struct balloon_device *b;

	memcpy(&b, d->state, sizeof(b));
	return b;
}

void virtio_balloon_attach(struct virtio_dev *d, struct balloon_device *b)
{
	memcpy(d->state, &b, sizeof(b));
	/* What was given up may be touched again without a word: the page is made then. So there is no need for MUST_TELL_HOST.
	 */
	if (b->deflate_on_oom)
		d->offered |= BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	if (b->free_page_reporting)
		d->offered |= BIT(VIRTIO_BALLOON_F_REPORTING);
}

static void config_read(struct virtio_dev *d, uint8_t *config)
{
	const struct balloon_device *b = device(d);
	struct virtio_balloon_config c = {.num_pages = b->wanted, .actual = b->actual};

	memcpy(config, &c, sizeof(c));
}

/* 5.5.4: actual is the driver's to write, and its word only. */
static void config_write(struct virtio_dev *d, unsigned offset, const uint8_t *data, unsigned len)
{
	struct balloon_device *b = device(d);

	if (offset != offsetof(struct virtio_balloon_config, actual) || len != sizeof(b->actual))
		return;
	memcpy(&b->actual, data, sizeof(b->actual));
	b->changed = true;
	d->host->kick(d->host->arg); /* who tells the broker sleeps */
}

/* Pieces that touch each other become one: the guest takes pages from its lists in runs, upwards or downwards. */
static void add_page(struct balloon_job *j, uint8_t *at)
{
	struct virtq_seg *last = j->n ? &j->piece[j->n - 1] : NULL;

	if (last && at == (uint8_t *)last->at + last->len) {
		last->len += GUEST_PAGE;
	} else if (last && at + GUEST_PAGE == last->at) {
		last->at = at;
		last->len += GUEST_PAGE;
	} else {
		j->piece[j->n++] = (struct virtq_seg){at, GUEST_PAGE};
	}
}

/* Page numbers; what they name is memory, or it is nothing to us. Pages beyond BALLOON_PFNS_MAX of one request stay where they
 * are, which harms nobody. */
static void take_numbers(struct virtio_dev *d, const struct virtq_chain *c, struct balloon_job *j)
{
	struct balloon_device *b = device(d);
	uint32_t pfn[BALLOON_PFNS_MAX];
	size_t n = seg_fetch(c->readable, c->n_readable, pfn, sizeof(pfn)) / sizeof(pfn[0]);

	for (size_t i = 0; i < n; i++) {
		uint64_t len = GUEST_PAGE;
		uint8_t *at = d->host->memory.chunk(d->host->memory.arg, pfn[i] * GUEST_PAGE, &len);

		if (at && len == GUEST_PAGE)
			add_page(j, at);
		else
			b->foreign += GUEST_PAGE;
	}
}

/* 5.5.6.7: the buffers are the free pages themselves, and the queue has seen that all of it is memory. */
static void take_buffers(const struct virtq_chain *c, struct balloon_job *j)
{
	for (unsigned i = 0; i < c->n_writable; i++) {
		uintptr_t from = ((uintptr_t)c->writable[i].at + GUEST_PAGE - 1) & ~(uintptr_t)(GUEST_PAGE - 1);
		uintptr_t to = ((uintptr_t)c->writable[i].at + c->writable[i].len) & ~(uintptr_t)(GUEST_PAGE - 1);

		if (to > from)
			j->piece[j->n++] = (struct virtq_seg){(void *)from, to - from};
	}
}
_Static_assert(VIRTQ_SEGS_MAX <= BALLOON_PFNS_MAX, "room for every part of a chain");

/* Deflating needs nothing of us. */
static void take(struct virtio_dev *d, unsigned queue, const struct virtq_chain *c)
{
	struct balloon_job *j = &device(d)->job;

	j->there = true;
	j->queue = (uint16_t)queue;
	j->head = c->head;
	j->epoch = d->queue[queue].epoch;
	j->n = j->at = 0;
	if (queue == INFLATE)
		take_numbers(d, c, j);
	else if (queue >= REPORT_FIRST && (d->accepted & BIT(VIRTIO_BALLOON_F_REPORTING)))
		take_buffers(c, j);
}

/* A queue that was reset meanwhile has forgotten the buffer. */
static void finish(struct virtio_dev *d)
{
	struct balloon_job *j = &device(d)->job;

	j->there = false;
	if (!virtio_is_live(d) || d->queue[j->queue].epoch != j->epoch)
		return;
	virtio_push(d, j->queue, j->head, 0);
	virtio_done(d, j->queue);
}

static bool next_request(struct virtio_dev *d)
{
	struct balloon_device *b = device(d);
	struct virtq_chain c;

	for (unsigned i = 0; i < N_QUEUES; i++) {
		unsigned q = (b->next_queue + i) % N_QUEUES;

		if (!d->queue[q].enabled || !virtio_is_live(d))
			continue;
		if (!virtio_pop(d, q, &c) && (!virtio_is_live(d) || virtio_done(d, q) || !virtio_pop(d, q, &c)))
			continue;
		take(d, q, &c);
		b->next_queue = (q + 1) % N_QUEUES;
		return true;
	}
	return false;
}

enum balloon_next virtio_balloon_next(struct virtio_dev *d, struct virtq_seg *ret)
{
	struct balloon_device *b = device(d);
	struct balloon_job *j = &b->job;

	/* 2.6.1: what a queue held that was reset is the driver's again. */
	if (j->there && d->queue[j->queue].epoch != j->epoch)
		j->there = false;
	if (!j->there && (!b->look || !next_request(d))) {
		b->look = false;
		return BALLOON_IDLE;
	}
	if (j->at == j->n) {
		finish(d);
		return BALLOON_GOES_ON;
	}
	/* Up to the next border of a large page, which goes back whole or not at all. */
	*ret = j->piece[j->at];
	if (ret->len > BALLOON_STEP - (uintptr_t)ret->at % BALLOON_STEP)
		ret->len = BALLOON_STEP - (uintptr_t)ret->at % BALLOON_STEP;
	return BALLOON_MEMORY;
}

void virtio_balloon_done(struct virtio_dev *d, size_t len, bool given)
{
	struct balloon_device *b = device(d);
	struct balloon_job *j = &b->job;
	struct virtq_seg *p = &j->piece[j->at];

	*(!given ? &b->kept : j->queue == INFLATE ? &b->given : &b->reported) += len;
	p->at = (uint8_t *)p->at + len;
	p->len -= len;
	if (p->len == 0 && ++j->at == j->n)
		finish(d);
}

void virtio_balloon_request(struct virtio_dev *d, uint32_t pages)
{
	device(d)->wanted = pages;
	device(d)->changed = true;
	virtio_config_changed(d);
}

static void process(struct virtio_dev *d, unsigned queue)
{
	struct balloon_device *b = device(d);

	b->look = true;
	b->changed |= !b->driver;
	b->driver = true;
}

/* Nothing of it is waited for any more, and a new driver's balloon is empty. */
static void reset(struct virtio_dev *d)
{
	struct balloon_device *b = device(d);

	if (!b)
		return; /* the transport's first one */
	b->job.there = b->look = false;
	b->changed |= b->driver || b->actual;
	b->driver = false;
	b->actual = 0;
}

const struct virtio_type virtio_balloon = {
    .name = "virtio-balloon",
    .id = VIRTIO_ID_BALLOON,
    .class_code = CLASS_OTHER,
    .n_queues = N_QUEUES,
    .queue_size = QUEUE_SIZE,
    .config_len = offsetof(struct virtio_balloon_config, free_page_hint_cmd_id), /* what no feature adds to */
    .reset = reset,
    .config_read = config_read,
    .config_write = config_write,
    .process = process,
};
