#include "plug.h"

#include "wire/plug.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int plug_prepare(struct zone *z, struct err *e)
{
	const struct plan_zone *p = z->plan;
	void *at;
	int r;

	if (p->hotplug_size == 0 || (p->backing != BACKING_MEMFD && p->backing != BACKING_HUGETLB))
		return 0;
	z->n_blocks = p->hotplug.len.v / p->block_size;
	z->made = calloc((size_t)((z->n_blocks + 63) / 64), sizeof(*z->made));
	if (!z->made)
		return err_set(e, -ENOMEM, "zone %s: no room for the list of its blocks", p->id);
	z->allowed = p->hotplugged_size;
	/* Also tells now, and not with the first plug, if that cannot be. An ordinary memfd keeps the policy. */
	at = mmap(NULL, p->hotplug.len.v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, z->fd, (off_t)p->size);
	if (at == MAP_FAILED)
		return err_sys(e, -errno, "zone %s: cannot map its hotplug window", p->id);
	r = place_bind(at, p->hotplug.len.v, p, e);
	munmap(at, p->hotplug.len.v);
	return r;
}

static bool has(const struct zone *z, uint64_t block)
{
	return z->made[block / 64] >> block % 64 & 1;
}

uint64_t plug_run(const struct zone *z, uint64_t from, bool *ret_made)
{
	uint64_t n = 0;

	*ret_made = from < z->n_blocks && has(z, from);
	while (from + n < z->n_blocks && has(z, from + n) == *ret_made)
		n++;
	return n;
}

static void note(struct zone *z, uint64_t first, uint64_t n, bool made)
{
	for (uint64_t i = first; i < first + n; i++) {
		if (has(z, i) == made)
			continue;
		z->made[i / 64] ^= UINT64_C(1) << i % 64;
		z->n_made += made ? 1 : (uint64_t)-1;
	}
}

static int punch(const struct zone *z, uint64_t offset, uint64_t len)
{
	while (fallocate(z->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(z->plan->size + offset), (off_t)len) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Through a mapping with the zone's policy: a hugetlb memfd keeps none. */
static int populate(const struct zone *z, uint64_t offset, uint64_t len)
{
	const struct plan_zone *p = z->plan;
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, z->fd, (off_t)(p->size + offset));
	int r;

	if (at == MAP_FAILED)
		return -errno;
	r = place_bind(at, len, p, NULL);
	if (r == 0 && p->thp)
		madvise(at, len, MADV_HUGEPAGE); /* permission, not a promise */
	while (r == 0 && madvise(at, len, MADV_POPULATE_WRITE) < 0)
		if (errno != EAGAIN && errno != EINTR)
			r = -errno;
	munmap(at, len);
	return r;
}

static int make(struct zone *z, uint64_t offset, uint64_t len)
{
	const struct plan_zone *p = z->plan;
	int r = 0;

	/* Taking the pages is enough: the kernel clears each when it is first touched. Only a mapping can ask for large ones. */
	if (p->backing == BACKING_HUGETLB || p->thp)
		r = populate(z, offset, len);
	else
		while (fallocate(z->fd, 0, (off_t)(p->size + offset), (off_t)len) < 0)
			if (errno != EINTR) {
				r = -errno;
				break;
			}
	if (r < 0)
		punch(z, offset, len);
	return r;
}

static struct zone *find(struct zones *zs, uint16_t zone)
{
	return zone < zs->n && zs->z[zone].made ? &zs->z[zone] : NULL;
}

int plug_allow(struct zones *zs, uint16_t zone, uint64_t bytes)
{
	struct zone *z = find(zs, zone);

	if (!z || bytes > z->plan->hotplug_size)
		return -EINVAL;
	z->allowed = bytes;
	return 0;
}

void plug_reset(struct zones *zs)
{
	for (size_t i = 0; i < zs->n; i++) {
		struct zone *z = &zs->z[i];

		if (!z->made || z->n_made == 0)
			continue;
		punch(z, 0, z->plan->hotplug.len.v);
		note(z, 0, z->n_blocks, false);
	}
}

static int judge_and_do(struct zones *zs, const struct plug_request *rq)
{
	struct zone *z = find(zs, rq->zone);
	uint64_t block, first, n;
	bool made;
	int r;

	if (!z)
		return -ENOENT;
	block = z->plan->block_size;
	if (rq->zero || rq->len == 0 || !is_aligned(rq->offset | rq->len, block) || rq->offset > z->n_blocks * block ||
	    rq->len > z->n_blocks * block - rq->offset)
		return -EINVAL;
	first = rq->offset / block;
	n = rq->len / block;
	switch (rq->op) {
	case PLUG_MAKE:
		if (plug_run(z, first, &made) < n || made)
			return -EEXIST;
		if (z->n_made * block > z->allowed || rq->len > z->allowed - z->n_made * block)
			return -EDQUOT;
		r = make(z, rq->offset, rq->len);
		break;
	case PLUG_DROP:
		r = punch(z, rq->offset, rq->len);
		break;
	default:
		return -EINVAL;
	}
	if (r == 0)
		note(z, first, n, rq->op == PLUG_MAKE);
	return r;
}

bool plug_drops(int fd)
{
	struct plug_request rq;
	struct iovec in = {&rq, sizeof(rq)};
	struct msghdr ask = {.msg_iov = &in, .msg_iovlen = 1};

	return recvmsg(fd, &ask, MSG_PEEK | MSG_DONTWAIT) == sizeof(rq) && rq.op == PLUG_DROP;
}

bool plug_serve(struct zones *zs, int fd)
{
	struct plug_request rq;
	struct plug_answer a = {0};
	struct iovec in = {&rq, sizeof(rq)}, out = {&a, sizeof(a)};
	struct msghdr ask = {.msg_iov = &in, .msg_iovlen = 1}, answer = {.msg_iov = &out, .msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &ask, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	/* Descriptors are not taken: there is no room for them in msg_control, so the kernel drops them. */
	if (n != sizeof(rq) || ask.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return false;
	a.code = judge_and_do(zs, &rq);
	return sendmsg(fd, &answer, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(a);
}
