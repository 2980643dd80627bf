/* Requests in flight, kept in shared memory that outlives the daemon. A daemon's death in the middle of its work cannot be
 * arranged from here; what it leaves behind can: the region is written as a daemon that died would have left it, and the next
 * connection has to make the right of it. The region is read and written by system calls: it is the daemon's, who could cut it.
 */
#include "run.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct region {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
};
_Static_assert(sizeof(struct region) == 16, "vhost-user.rst, QueueRegionSplit");

struct state {
	uint8_t inflight, padding[5];
	uint16_t next;
	uint64_t counter;
};
_Static_assert(sizeof(struct state) == 16, "vhost-user.rst, DescStateSplit");

static int get_region(struct run *r, struct session *s, struct vu_inflight *ret, int *ret_fd)
{
	struct vu_inflight want = {.num_queues = (uint16_t)s->n_rings, .queue_size = RING_SIZE};
	struct vu_msg m, answer;
	int rc;

	vu_put(&m, VU_GET_INFLIGHT_FD, &want, sizeof(want));
	rc = link_ask(&s->l, &m, &answer, &r->e);
	if (rc < 0)
		return rc;
	*ret_fd = answer.fds[0];
	*ret = vu_get_inflight(&answer);
	return 0;
}

static int set_region(struct run *r, struct session *s, const struct vu_inflight *i, int fd)
{
	struct vu_msg m;

	vu_put(&m, VU_SET_INFLIGHT_FD, i, sizeof(*i));
	m.fds[m.n_fds++] = fd;
	return link_tell(&s->l, &m, &r->e);
}

/* A device whose requests are tracked; *fd -1: a new region is asked for, otherwise that one is used on. */
static int open_tracked(struct run *r, struct session *s, struct vu_inflight *i, int *fd, uint16_t base)
{
	static const struct want plain;
	int rc = session_greet(&r->d, r->kind, s, &plain, r->ms, &r->e);

	if (rc == 0)
		rc = session_memory(s, &r->e);
	if (rc == 0 && *fd < 0)
		rc = get_region(r, s, i, fd);
	if (rc == 0)
		rc = set_region(r, s, i, *fd);
	for (unsigned k = 0; k < s->n_rings && rc == 0; k++)
		rc = ring_make(&s->ring[k], k, &s->mem, 0x10000 + k * RING_ROOM, base, &r->e);
	return rc;
}

static enum verdict region(struct run *r)
{
	CLEANUP(session_close) struct session s;
	CLEANUP(fd_cleanup) int fd = -1;
	struct vu_inflight i;
	struct stat st;
	uint64_t need;

	if (greet(r, &s, NULL) < 0 || get_region(r, &s, &i, &fd) < 0)
		return broke(r, "GET_INFLIGHT_FD");
	need = s.n_rings * (sizeof(struct region) + RING_SIZE * sizeof(struct state));
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size < i.mmap_offset + i.mmap_size)
		return fail(r, "its region has %" PRIu64 " bytes from %" PRIu64 ", its descriptor fewer", i.mmap_size,
			    i.mmap_offset);
	if (i.mmap_size < need)
		return fail(r, "its region has %" PRIu64 " bytes, %u queues of %u need %" PRIu64, i.mmap_size, s.n_rings,
			    RING_SIZE, need);
	if (i.num_queues != s.n_rings || i.queue_size != RING_SIZE)
		return fail(r, "asked for %u queues of %u it says %u of %u", s.n_rings, RING_SIZE, i.num_queues, i.queue_size);
	return pass(r, "%" PRIu64 " bytes", i.mmap_size);
}

/* Where the state of the ring with requests begins: queues lie one behind the other, each padded as the daemon likes, so it is
 * found from the size that one queue has. */
static off_t region_at(const struct session *s, const struct vu_inflight *i)
{
	return (off_t)(i->mmap_offset + i->mmap_size / s->n_rings * s->kind->io);
}

static int mark(int fd, off_t at, uint16_t head, uint64_t counter)
{
	struct state st = {.inflight = 1, .counter = counter};

	return pwrite(fd, &st, sizeof(st), at + (off_t)(sizeof(struct region) + head * sizeof(st))) == sizeof(st) ? 0 : -EIO;
}

/* How many are marked. */
static int marked(int fd, off_t at)
{
	int n = 0;

	for (unsigned i = 0; i < RING_SIZE; i++) {
		struct state st;

		if (pread(fd, &st, sizeof(st), at + (off_t)(sizeof(struct region) + i * sizeof(st))) != sizeof(st))
			return -EIO;
		n += st.inflight == 1;
	}
	return n;
}

/* The used ring gets one entry more, as by the life before. */
static void was_done(struct ring *r, uint16_t head)
{
	struct vring_used_elem el = {head, 1};
	uint8_t *used = r->mem->map + ring_used_at(r);

	memcpy(used + 4 + (r->seen % RING_SIZE) * sizeof(el), &el, sizeof(el));
	r->seen++;
	memcpy(used + 2, &r->seen, sizeof(r->seen));
	r->out[head] = false;
	r->n_out--;
}

/* 6 requests were done, then A, B and C taken and D not yet. Either B was done out of its turn: A and C are due, then D; who
 * starts at the used index would do B again and never A. Or (batch) A was done, and the death came before its mark was taken
 * away; C and D are new. */
static enum verdict redo(struct run *r, bool batch)
{
	CLEANUP(session_close) struct session s;
	CLEANUP(fd_cleanup) int fd = -1;
	struct vu_inflight i = {0};
	enum { A, B, C, D, N };
	struct region q;
	struct ring *ring;
	uint16_t head[N], base;
	off_t at;
	int left;

	if (open_tracked(r, &s, &i, &fd, 0) < 0 || session_rings(&s, &r->e) < 0 || session_io(&s, 6, false, &r->e) < 0)
		return broke(r, "a device with tracked requests");
	at = region_at(&s, &i);
	left = marked(fd, at);
	if (left != 0)
		return left < 0 ? fail(r, "the region cannot be read")
				: fail(r, "%d requests are marked in flight when none is", left);
	session_close(&s);

	/* The next life; its memory is new, as the rings' contents are. */
	if (open_tracked(r, &s, &i, &fd, 6) < 0)
		return broke(r, "the next connection");
	ring = session_io_ring(&s);
	for (unsigned k = 0; k < N; k++) {
		struct buf b[REQUEST_BUFS];
		unsigned n = r->kind->request(&s, k, b);

		head[k] = ring_add(ring, b, n, 0);
	}
	if (pread(fd, &q, sizeof(q), at) != sizeof(q))
		return fail(r, "the region cannot be read");
	q.used_idx = batch ? 6 : 7; /* in the batch, the used index is one further than the region knows */
	q.last_batch_head = head[batch ? A : B];
	was_done(ring, head[batch ? A : B]);
	if (pwrite(fd, &q, sizeof(q), at) != sizeof(q) || mark(fd, at, head[batch ? B : C], 101) < 0 ||
	    mark(fd, at, head[A], 100) < 0)
		return fail(r, "the region cannot be written");
	if (session_rings(&s, &r->e) < 0)
		return broke(r, "starting rings with requests in flight");
	ring_kick(ring);
	if (ring_wait(ring, N - 1, r->ms, &r->e) < 0)
		return broke(r, "requests that were in flight, and those behind them");
	for (unsigned k = 0; k < N; k++)
		if (k != (batch ? A : B) && r->kind->check(&s, k, &r->e) < 0)
			return broke(r, "a request that was in flight");
	if (session_stop(&s, ring, &base, &r->e) < 0)
		return broke(r, "GET_VRING_BASE");
	if (ring_used_idx(ring) != ring->seen)
		return fail(r, "%u requests more came back than were there: done twice",
			    (unsigned)(uint16_t)(ring_used_idx(ring) - ring->seen));
	if (base != ring->avail)
		return fail(r, "the ring stopped at %u, GET_VRING_BASE says %u", ring->avail, base);
	left = marked(fd, at);
	if (left != 0)
		return fail(r, "%d requests are still marked in flight when all are done", left);
	return pass(r, batch ? "what was done is not done again" : "each done once, in any order");
}

static enum verdict redo_two(struct run *r)
{
	if (r->kind->prepare)
		return not_applicable(r, "the type needs a request before all others");
	return redo(r, false);
}

static enum verdict last_batch(struct run *r)
{
	if (r->kind->prepare)
		return not_applicable(r, "the type needs a request before all others");
	return redo(r, true);
}

static enum verdict wrong_region(struct run *r)
{
	CLEANUP(session_close) struct session s;
	CLEANUP(fd_cleanup) int fd = -1;
	struct vu_inflight i, bad;
	enum reaction a = ANSWERS;

	for (unsigned k = 0; k < 4; k++) {
		struct vu_msg m;

		if (greet(r, &s, NULL) < 0 || session_memory(&s, &r->e) < 0)
			return broke(r, "greeting");
		if (fd < 0 && get_region(r, &s, &i, &fd) < 0)
			return broke(r, "GET_INFLIGHT_FD");
		bad = i;
		bad.mmap_size = k == 0 ? 16 : k == 1 ? UINT64_MAX : i.mmap_size;
		bad.mmap_offset = k == 2 ? UINT64_MAX - 0xfff : i.mmap_offset;
		bad.queue_size = k == 3 ? 0xffff : i.queue_size;
		bad.num_queues = k == 3 ? 0xffff : i.num_queues;
		vu_put(&m, VU_SET_INFLIGHT_FD, &bad, sizeof(bad));
		m.fds[m.n_fds++] = fd;
		a = provoke(r, &s, &m);
		if (a == SILENT)
			return fail(r, "went silent");
		session_close(&s);
	}
	return pass(r, "the last one: %s", reaction_word(a));
}

#define INFLIGHT_SPEC "vhost-user, Inflight I/O tracking"

static const struct test table[] = {
    {"inflight.region", NEED_INFLIGHT, "GET_INFLIGHT_FD", INFLIGHT_SPEC,
     "The region has room for the state of each descriptor of each queue.",
     "keeps the descriptor for the next connection and looks at nothing but that it is a memfd", region},
    {"inflight.redo", NEED_INFLIGHT | NEED_IO,
     "a region that a daemon left with two requests in flight and one between them done, and one request behind", INFLIGHT_SPEC,
     "At reconnect inflight descriptors are resubmitted in the order of their counters, then the available ring is gone on with.",
     "the guest loses a request, or has it done twice: with a disk, corruption", redo_two},
    {"inflight.last_batch", NEED_INFLIGHT | NEED_IO, "the same, left between the used index and taking the mark away",
     INFLIGHT_SPEC, "If used_idx differs from the ring's, the inflight of last_batch_head's list is cleared first.",
     "the guest has a request done twice and its descriptor given back twice", last_batch},
    {"inflight.wrong", NEED_INFLIGHT | THEN_IO, "SET_INFLIGHT_FD with sizes and offsets that cannot be", INFLIGHT_SPEC,
     "mmap_size, mmap_offset, num queues and queue size come from the front-end.", "sends what the daemon gave", wrong_region},
};
const struct tests inflight_tests = {table, ARRAY_LEN(table)};
