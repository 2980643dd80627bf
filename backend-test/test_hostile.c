/* Rings with contents that a guest could write. A daemon may give the request back, ignore it, stop the ring or close the
 * connection; it must not go down, nor touch what is not the guest's. */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define F_NEXT  VRING_DESC_F_NEXT
#define F_WRITE VRING_DESC_F_WRITE
#define F_IND   VRING_DESC_F_INDIRECT
#define OK_GPA  (4 * GiB + 0x1000)

/* Descriptors from number 0 on; the head is 0. */
struct evil {
	const char *what;
	unsigned n;
	struct vring_desc d[4];
};

static const struct evil loops[] = {
    {"a descriptor whose next is itself", 1, {{OK_GPA, 16, F_NEXT, 0}}},
    {"a loop of two", 2, {{OK_GPA, 16, F_NEXT, 1}, {OK_GPA, 16, F_NEXT, 0}}},
    {"a loop of two that is writable", 2, {{OK_GPA, 16, F_NEXT | F_WRITE, 1}, {OK_GPA, 512, F_NEXT | F_WRITE, 0}}},
};
static const struct evil outside[] = {
    {"a buffer in no region", 2, {{2 * GiB, 16, F_NEXT, 1}, {2 * GiB, 512, F_WRITE, 0}}},
    {"a buffer at the last page of all addresses", 2, {{OK_GPA, 16, F_NEXT, 1}, {UINT64_MAX - 0xfff, 512, F_WRITE, 0}}},
    {"a buffer that begins in a region and ends outside",
     2,
     {{OK_GPA, 16, F_NEXT, 1}, {4 * GiB + MEM_REGION - 256, 4096, F_WRITE, 0}}},
    {"a buffer over a region's end by one byte", 2, {{OK_GPA, 16, F_NEXT, 1}, {4 * GiB + MEM_REGION - 1, 2, F_WRITE, 0}}},
    {"a user address instead of a guest's", 2, {{0x600000001000, 16, F_NEXT, 1}, {0x600000002000, 512, F_WRITE, 0}}},
};
static const struct evil wraps[] = {
    {"address and length that wrap", 2, {{OK_GPA, 16, F_NEXT, 1}, {UINT64_MAX - 15, 0x1000, F_WRITE, 0}}},
    {"a length of 4 GiB", 2, {{OK_GPA, 16, F_NEXT, 1}, {OK_GPA, 0xffffffff, F_WRITE, 0}}},
    {"lengths whose sum wraps",
     4,
     {{OK_GPA, 16, F_NEXT, 1},
      {OK_GPA, 0xfffffff0, F_NEXT | F_WRITE, 2},
      {OK_GPA, 0xfffffff0, F_NEXT | F_WRITE, 3},
      {OK_GPA, 64, F_WRITE, 0}}},
};
static const struct evil empties[] = {
    {"one empty buffer", 1, {{OK_GPA, 0, 0, 0}}},
    {"one empty buffer for writing", 1, {{OK_GPA, 0, F_WRITE, 0}}},
    {"nothing but empty buffers", 3, {{OK_GPA, 0, F_NEXT, 1}, {OK_GPA, 0, F_NEXT | F_WRITE, 2}, {OK_GPA, 0, F_WRITE, 0}}},
    {"an empty buffer at no address", 2, {{0, 0, F_NEXT, 1}, {0, 0, F_WRITE, 0}}},
};
static const struct evil shapes[] = {
    {"nothing to read, all to write", 2, {{OK_GPA, 512, F_NEXT | F_WRITE, 1}, {OK_GPA + 0x1000, 512, F_WRITE, 0}}},
    {"nothing to write", 2, {{OK_GPA, 16, F_NEXT, 1}, {OK_GPA, 512, 0, 0}}},
    {"a part to read behind one to write",
     3,
     {{OK_GPA, 16, F_NEXT, 1}, {OK_GPA + 0x1000, 512, F_NEXT | F_WRITE, 2}, {OK_GPA, 16, 0, 0}}},
    {"a header of one byte", 2, {{OK_GPA, 1, F_NEXT, 1}, {OK_GPA + 0x1000, 1, F_WRITE, 0}}},
    {"an answer of no room", 2, {{OK_GPA, 64, F_NEXT, 1}, {OK_GPA + 0x1000, 3, F_WRITE, 0}}},
    {"a next beyond the ring", 1, {{OK_GPA, 16, F_NEXT, RING_SIZE}}},
    {"a next of 65535", 1, {{OK_GPA, 16, F_NEXT, 0xffff}}},
    {"flags of all bits", 1, {{OK_GPA, 16, 0xffff, 0}}},
};
static const struct evil tables[] = {
    {"an indirect table of 17 bytes", 1, {{OK_GPA, 17, F_IND, 0}}},
    {"an indirect table of no bytes", 1, {{OK_GPA, 0, F_IND, 0}}},
    {"an indirect table of 4 GiB", 1, {{OK_GPA, 0xfffffff0, F_IND, 0}}},
    {"an indirect table outside of memory", 1, {{2 * GiB, 64, F_IND, 0}}},
    {"an indirect table over a region's end", 1, {{4 * GiB + MEM_REGION - 16, 64, F_IND, 0}}},
    {"an indirect table that goes on", 2, {{OK_GPA, 32, F_IND | F_NEXT, 1}, {OK_GPA, 16, 0, 0}}},
    {"an indirect table in itself", 1, {{0x10000, 1024, F_IND, 0}}}, /* the ring's own descriptors */
};

/* After a kick: lets it work, then hangs up like a VMM that has seen enough. */
static enum verdict settle(struct run *r, struct session *s, const char *what)
{
	int rc;

	trying(r, "%s", what);
	ring_kick(session_io_ring(s));
	ring_quiet(session_io_ring(s), 60);
	rc = link_barrier(&s->l, &r->e);
	return rc == -ETIMEDOUT ? fail(r, "%s: %s", what, r->e.text) : PASS;
}

static enum verdict all(struct run *r, const struct evil *l, size_t n, uint64_t features)
{
	for (size_t i = 0; i < n; i++) {
		CLEANUP(session_close) struct session s;
		struct ring *ring;

		if (open_session(r, &s, &(struct want){.features = features}) < 0)
			return lost(r);
		ring = session_io_ring(&s);
		memcpy(ring_desc(ring), l[i].d, l[i].n * sizeof(l[i].d[0]));
		ring_offer(ring, 0);
		if (settle(r, &s, l[i].what) != PASS)
			return FAIL;
	}
	return pass(r, "%zu of them survived", n);
}

static enum verdict loop(struct run *r)
{
	return all(r, loops, ARRAY_LEN(loops), 0);
}

static enum verdict not_memory(struct run *r)
{
	return all(r, outside, ARRAY_LEN(outside), 0);
}

static enum verdict wrapping(struct run *r)
{
	return all(r, wraps, ARRAY_LEN(wraps), 0);
}

static enum verdict empty(struct run *r)
{
	return all(r, empties, ARRAY_LEN(empties), 0);
}

static enum verdict shape(struct run *r)
{
	return all(r, shapes, ARRAY_LEN(shapes), 0);
}

static enum verdict indirect(struct run *r)
{
	return all(r, tables, ARRAY_LEN(tables), BIT(VIRTIO_INDIRECT));
}

static enum verdict indirect_long(struct run *r)
{
	/* More descriptors than the queue has entries: forbidden, and a trap for arrays of that size. In a loop at the end, too.
	 */
	for (unsigned k = 0; k < 2; k++) {
		CLEANUP(session_close) struct session s;
		const unsigned n = 4096;
		struct vring_desc *t;

		if (open_session(r, &s, &(struct want){.features = BIT(VIRTIO_INDIRECT)}) < 0)
			return lost(r);
		t = (struct vring_desc *)(s.mem.map + MEM_REGION + 0x100000);
		for (unsigned i = 0; i < n; i++)
			t[i] = (struct vring_desc){OK_GPA, 1, (uint16_t)(F_NEXT | (i > 100 ? F_WRITE : 0)), (uint16_t)(i + 1)};
		if (k == 0)
			t[n - 1].flags = F_WRITE;
		else
			t[n - 1].next = 0;
		ring_desc(session_io_ring(&s))[0] = (struct vring_desc){4 * GiB + 0x100000, n * sizeof(*t), F_IND, 0};
		ring_offer(session_io_ring(&s), 0);
		if (settle(r, &s, k ? "a loop of 4096 descriptors in a table" : "a chain of 4096 descriptors in a table") != PASS)
			return FAIL;
	}
	return pass(r, "survived");
}

static enum verdict indirect_unasked(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct buf b[REQUEST_BUFS];
	struct ring *ring;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	ring_add(ring, b, r->kind->request(&s, 0, b), INDIRECT_AT);
	return settle(r, &s, "an indirect table although the feature was not accepted") == PASS ? pass(r, "survived") : FAIL;
}

static enum verdict full_chain(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *ring;
	struct vring_desc *d;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	d = ring_desc(ring);
	for (unsigned i = 0; i < RING_SIZE; i++)
		d[i] = (struct vring_desc){
		    OK_GPA + i * 64, 1, (uint16_t)((i + 1 < RING_SIZE ? F_NEXT : 0) | (i > 40 ? F_WRITE : 0)), (uint16_t)(i + 1)};
	ring_offer(ring, 0);
	return settle(r, &s, "a chain of all 64 descriptors") == PASS ? pass(r, "survived") : FAIL;
}

static enum verdict index_jump(struct run *r)
{
	static const uint16_t jumps[] = {RING_SIZE + 1, 1000, 0x7fff, 0x8000, 0xffff};

	for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
		CLEANUP(session_close) struct session s;
		struct ring *ring;
		char what[64];

		if (open_session(r, &s, NULL) < 0)
			return lost(r);
		ring = session_io_ring(&s);
		ring->avail = (uint16_t)(ring->avail + jumps[i] - 1);
		ring_offer(ring, 0);
		snprintf(what, sizeof(what), "an available index %u ahead", jumps[i]);
		if (settle(r, &s, what) != PASS)
			return FAIL;
	}
	return pass(r, "%zu jumps survived", ARRAY_LEN(jumps));
}

static enum verdict heads(struct run *r)
{
	static const uint16_t tries[] = {RING_SIZE, 0x7fff, 0xffff};

	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		CLEANUP(session_close) struct session s;
		char what[64];

		if (open_session(r, &s, NULL) < 0)
			return lost(r);
		ring_offer(session_io_ring(&s), tries[i]);
		snprintf(what, sizeof(what), "a head of %u in a ring of %u", tries[i], RING_SIZE);
		if (settle(r, &s, what) != PASS)
			return FAIL;
	}
	return pass(r, "survived");
}

static enum verdict same_head(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct buf b[REQUEST_BUFS];
	struct ring *ring;
	uint16_t head;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	head = ring_add(ring, b, r->kind->request(&s, 0, b), 0);
	for (unsigned i = 0; i < RING_SIZE - 1; i++)
		ring_offer(ring, head);
	return settle(r, &s, "the same head 64 times") == PASS ? pass(r, "survived") : FAIL;
}

static enum verdict changing(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *ring;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	for (unsigned round = 0; round < 40; round++) {
		struct buf b[REQUEST_BUFS];
		uint16_t head = ring_add(ring, b, r->kind->request(&s, 0, b), 0);

		/* Under the daemon's eyes: what it checked is no longer what it uses. The kick comes in the middle, in a good or a bad state. */
		for (unsigned k = 0; k < 4000; k++) {
			volatile struct vring_desc *d = &ring_desc(ring)[head];

			d->addr = k % 2 ? 2 * GiB : OK_GPA;
			d->len = k % 2 ? 0xffffffff : 16;
			d->next = (uint16_t)(k % 3 ? RING_SIZE + 5 : (head + 1) % RING_SIZE);
			if (k == 2000 + round)
				ring_kick(ring);
		}
		ring_called(ring, 2);
	}
	return settle(r, &s, "descriptors that change while they are read") == PASS ? pass(r, "40 requests survived") : FAIL;
}

static enum verdict contents(struct run *r)
{
	uint64_t x = 88172645463325252;

	for (unsigned i = 0; i < 40; i++) {
		CLEANUP(session_close) struct session s;
		struct buf b[REQUEST_BUFS];
		unsigned n;

		if (open_session(r, &s, NULL) < 0)
			return lost(r);
		for (unsigned k = 0; k < 16; k++) {
			n = r->kind->request(&s, k, b);
			for (unsigned j = k % 2 ? 8 : 0; j < 0x80; j++) { /* every other one keeps its type or opcode */
				x ^= x << 13;
				x ^= x >> 7;
				x ^= x << 17;
				if (!(x & 0x30) || j >= 0x40)
					session_slot(&s, k)[j] = (uint8_t)(x >> 9);
			}
			if (r->kind->id == 2 && !r->may_write) { /* nothing that writes: reads, unknown ones */
				static const uint32_t harmless[] = {0, 4, 8, 9, 10, 0x80000000, 0x7ffffff0};

				memcpy(session_slot(&s, k), &harmless[(x >> 20) % ARRAY_LEN(harmless)], 4);
			}
			if (r->kind->id == 26) { /* nothing that changes a directory: read, open, look up, unknown ones */
				static const uint32_t harmless[] = {1, 3, 14, 15, 17, 27, 28, 36, 100, 0x7fffffff};

				memcpy(session_slot(&s, k) + 4, &harmless[(x >> 20) % ARRAY_LEN(harmless)], 4);
			}
			b[0].len = (uint32_t)(x >> 30) % 0x60;
			ring_add(session_io_ring(&s), b, n, 0);
		}
		if (settle(r, &s, "requests with noise in their headers") != PASS)
			return FAIL;
	}
	return pass(r, "640 requests survived");
}

#define RINGS "virtio 1.2, 2.7 Split Virtqueues"
#define TRUST "A guest writes what it likes into its memory: what is read there is copied once and checked before it is used."
#define OURS                                                                                                                     \
	"loses this device, with the reason in its events, and connects again; a daemon that several guests share takes them "   \
	"all along"
#define EVIL NEED_IO | THEN_IO

static const struct test table[] = {
    {"hostile.loop", EVIL, "descriptor chains that are loops", RINGS, "A driver must not create a loop; " TRUST, OURS, loop},
    {"hostile.outside", EVIL, "buffers outside of memory, in part or in whole", RINGS, TRUST, OURS, not_memory},
    {"hostile.wrap", EVIL, "lengths and sums that wrap", RINGS, TRUST, OURS, wrapping},
    {"hostile.empty", EVIL, "buffers of length 0", RINGS, "Length 0 is not forbidden by itself. " TRUST, OURS, empty},
    {"hostile.shape", EVIL, "chains of the wrong shape, next beyond the ring", RINGS, TRUST, OURS, shape},
    {"hostile.indirect", EVIL | NEED_INDIRECT, "indirect tables of wrong size or place, nested",
     "virtio 1.2, 2.7.5.3 Indirect Descriptors",
     "A driver must not set INDIRECT within a table, nor INDIRECT and NEXT together. " TRUST, OURS, indirect},
    {"hostile.indirect_long", EVIL | NEED_INDIRECT, "a table with 4096 descriptors", "virtio 1.2, 2.7.5.3 Indirect Descriptors",
     "A driver must not create a chain longer than the queue size. " TRUST, OURS, indirect_long},
    {"hostile.indirect_unasked", EVIL, "an indirect table although the feature was not accepted",
     "virtio 1.2, 2.7.5.3 Indirect Descriptors", TRUST, OURS, indirect_unasked},
    {"hostile.full_chain", EVIL, "one chain of all the ring's descriptors", RINGS, TRUST, OURS, full_chain},
    {"hostile.index_jump", EVIL, "an available index that jumps", "virtio 1.2, 2.7.6 The Virtqueue Available Ring", TRUST, OURS,
     index_jump},
    {"hostile.heads", EVIL, "heads beyond the ring", "virtio 1.2, 2.7.6 The Virtqueue Available Ring", TRUST, OURS, heads},
    {"hostile.same_head", EVIL, "one head 64 times at once", "virtio 1.2, 2.7.6 The Virtqueue Available Ring", TRUST, OURS,
     same_head},
    {"hostile.changing", EVIL, "descriptors that change while they are read", RINGS, TRUST, OURS, changing},
    {"hostile.contents", EVIL, "requests with noise in their headers", "virtio 1.2, 5 Device Types", TRUST, OURS, contents},
};
const struct tests hostile_tests = {table, ARRAY_LEN(table)};
