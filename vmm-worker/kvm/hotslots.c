#include "kvm/hotslots.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define NEAR   16u /* blocks */
#define INSIST 8u  /* tries */

int hot_slots_init(struct hot_slots *hs, const struct guestmem *gm, int vm_fd, unsigned first_id, unsigned ids, struct err *e)
{
	uint64_t all = 0;

	if (ids > HOT_SLOTS_MAX)
		ids = HOT_SLOTS_MAX;
	*hs = (struct hot_slots){.vm_fd = vm_fd, .gm = gm, .ids = ids, .unit = HOTPLUG_ALIGN};
	if (gm->n_hot == 0)
		return 0;
	for (size_t i = 0; i < gm->n_hot; i++) {
		all += gm->hot[i].at.len.v;
		if (gm->hot[i].blocks.block_size > hs->unit)
			hs->unit = gm->hot[i].blocks.block_size;
	}
	/* All units plugged take half of the slots; the other half is for units in part. */
	while (ids && all / hs->unit > ids / 2)
		hs->unit *= 2;
	hs->slot = calloc(HOT_SLOTS_MAX, sizeof(*hs->slot));
	if (!hs->slot || ids == 0)
		return err_set(e, -ENOMEM, "no room for the memory slots of hotplug memory");
	for (unsigned i = 0; i < ids; i++)
		hs->free_id[hs->n_free++] = (uint16_t)(first_id + ids - 1 - i);
	return 0;
}

static bool scarce(const struct hot_slots *hs)
{
	return hs->n_free <= hs->ids / 4;
}

static int set(const struct hot_slots *hs, const struct hot_slot *s, uint64_t len)
{
	struct kvm_userspace_memory_region m = {
	    .slot = s->id,
	    .guest_phys_addr = s->start,
	    .memory_size = len,
	    .userspace_addr = (uintptr_t)s->host,
	};

	return ioctl(hs->vm_fd, KVM_SET_USER_MEMORY_REGION, &m) < 0 ? -errno : 0;
}

/* The first slot that ends behind an address. */
static size_t at_or_after(const struct hot_slots *hs, uint64_t addr)
{
	size_t lo = 0, hi = hs->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (hs->slot[mid].start + hs->slot[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int insert(struct hot_slots *hs, uint64_t start, uint64_t len, uint8_t *host)
{
	struct hot_slot s = {.start = start, .len = len, .host = host};
	size_t at = at_or_after(hs, start);
	int r;

	if (hs->n_free == 0)
		return -ENOSPC;
	s.id = hs->free_id[hs->n_free - 1];
	r = set(hs, &s, len);
	if (r < 0)
		return r;
	hs->n_free--;
	memmove(&hs->slot[at + 1], &hs->slot[at], (hs->n - at) * sizeof(s));
	hs->slot[at] = s;
	hs->n++;
	return 0;
}

static int take_out(struct hot_slots *hs, size_t at)
{
	int r = set(hs, &hs->slot[at], 0);

	if (r < 0)
		return r;
	hs->free_id[hs->n_free++] = hs->slot[at].id;
	hs->n--;
	memmove(&hs->slot[at], &hs->slot[at + 1], (hs->n - at) * sizeof(hs->slot[0]));
	return 0;
}

static uint64_t unit_start(const struct hot_slots *hs, const struct gm_hot *h, uint64_t addr)
{
	return h->at.start.v + ((addr - h->at.start.v) & ~(hs->unit - 1));
}

static uint64_t unit_end(const struct hot_slots *hs, const struct gm_hot *h, uint64_t start)
{
	uint64_t end = h->at.start.v + h->at.len.v;

	return end - start > hs->unit ? start + hs->unit : end;
}

/* Calls for the part of [start, end) in each unit. */
#define EACH_UNIT(hs, h, start, end, u, from, to)                                                                                \
	for (uint64_t u = unit_start(hs, h, start), from, to;                                                                    \
	     u < (end) &&                                                                                                        \
	     (from = u > (start) ? u : (start), to = unit_end(hs, h, u) < (end) ? unit_end(hs, h, u) : (end), true);             \
	     u = unit_end(hs, h, u))

static void bounds(const struct gm_hot *h, struct mem_range r, uint64_t *ret_start, uint64_t *ret_end)
{
	*ret_start = h->at.start.v + r.first * h->blocks.block_size;
	*ret_end = *ret_start + r.n * h->blocks.block_size;
}

/* Whether memory on both sides of an address is of one unit, and so might be in one slot. */
static bool within_unit(const struct hot_slots *hs, uint64_t addr)
{
	for (size_t i = 0; i < hs->gm->n_hot; i++) {
		const struct gm_hot *h = &hs->gm->hot[i];

		if (addr > h->at.start.v && addr - h->at.start.v < h->at.len.v)
			return unit_start(hs, h, addr) != addr;
	}
	return false;
}

/* Slot i and the one after it might be one. */
static bool joins_next(const struct hot_slots *hs, size_t i)
{
	uint64_t end = hs->slot[i].start + hs->slot[i].len;

	return i + 1 < hs->n && hs->slot[i + 1].start == end && within_unit(hs, end);
}

static bool any_join(const struct hot_slots *hs)
{
	for (size_t i = 0; i < hs->n; i++)
		if (joins_next(hs, i))
			return true;
	return false;
}

bool hot_slots_disturbs(const struct hot_slots *hs, const struct gm_hot *h, struct mem_range r, bool plug)
{
	uint64_t start, end;
	size_t first, last;

	bounds(h, r, &start, &end);
	if (!plug) {
		first = at_or_after(hs, start);
		last = at_or_after(hs, end - 1);
		return (first < hs->n && hs->slot[first].start < start) ||
		       (last < hs->n && hs->slot[last].start < end && hs->slot[last].start + hs->slot[last].len > end);
	}
	if (!scarce(hs))
		return false;
	if (any_join(hs))
		return true;
	first = at_or_after(hs, start - 1);
	last = at_or_after(hs, end);
	return (first < hs->n && hs->slot[first].start < start && within_unit(hs, start)) ||
	       (last < hs->n && hs->slot[last].start == end && within_unit(hs, end));
}

/* For what must succeed: KVM may be out of memory for a moment. No vCPU runs meanwhile, so it is a few times only. */
static int insist(struct hot_slots *hs, uint64_t start, uint64_t len, uint8_t *host)
{
	int r = -ENOMEM;

	for (unsigned i = 0; i < INSIST && r == -ENOMEM; i++)
		r = insert(hs, start, len, host);
	return r;
}

static int join_all(struct hot_slots *hs)
{
	for (size_t i = 0; i < hs->n; i++) {
		struct hot_slot first = hs->slot[i];
		uint64_t len = first.len;

		if (!joins_next(hs, i))
			continue;
		for (bool more = true; more; len += more ? hs->slot[i].len : 0) {
			more = joins_next(hs, i);
			if (take_out(hs, i) < 0)
				return -ENOTRECOVERABLE;
		}
		if (insist(hs, first.start, len, first.host) < 0)
			return -ENOTRECOVERABLE;
	}
	return 0;
}

int hot_slots_add(struct hot_slots *hs, const struct gm_hot *h, struct mem_range r)
{
	uint64_t start, end, done;
	bool tidy = scarce(hs);
	int rc = tidy ? join_all(hs) : 0;

	if (rc < 0)
		return rc;
	bounds(h, r, &start, &end);
	done = start;
	EACH_UNIT(hs, h, start, end, u, from, to)
	{
		rc = insert(hs, from, to - from, h->host + (from - h->at.start.v));
		if (rc < 0)
			break;
		done = to;
	}
	if (rc < 0) {
		/* Slots that were made here, whole. */
		for (size_t i = at_or_after(hs, start); i < hs->n && hs->slot[i].start < done;)
			if (take_out(hs, i) < 0)
				return -ENOTRECOVERABLE;
		return rc;
	}
	return tidy ? join_all(hs) : 0;
}

/* What is left of a slot on one side of a cut: near it in single blocks, because the next request is likely to be for a
 * neighbour, and a slot of just that needs no cut; further away in ever larger pieces. Whole where slots are scarce, or where KVM
 * has no memory for pieces: what is left then needs one slot, which the one that was taken out has made room for. */
static int put_back(struct hot_slots *hs, const struct gm_hot *h, uint64_t start, uint64_t end, bool cut_above)
{
	uint64_t len = h->blocks.block_size;
	bool whole = false;
	int r = 0;

	for (unsigned i = 1; start < end && r == 0; i++) {
		uint64_t n = len < end - start && !scarce(hs) && !whole ? len : end - start;
		uint64_t at = cut_above ? end - n : start;

		r = insist(hs, at, n, h->host + (at - h->at.start.v));
		if (r == -ENOMEM && !whole) {
			whole = true;
			r = 0;
			continue;
		}
		if (cut_above)
			end -= n;
		else
			start += n;
		if (i >= NEAR)
			len = i == NEAR ? len * NEAR : len * 2;
	}
	return r;
}

int hot_slots_remove(struct hot_slots *hs, const struct gm_hot *h, struct mem_range r)
{
	uint64_t start, end;

	bounds(h, r, &start, &end);
	for (size_t i = at_or_after(hs, start); i < hs->n && hs->slot[i].start < end; i = at_or_after(hs, start)) {
		struct hot_slot s = hs->slot[i];
		uint64_t s_end = s.start + s.len;
		bool left = s.start<start, right = s_end> end;

		/* A slot in the middle becomes two. */
		if (left && right && hs->n_free == 0)
			return -ENOSPC;
		if (take_out(hs, i) < 0)
			return -ENOTRECOVERABLE;
		if ((left && put_back(hs, h, s.start, start, true) < 0) || (right && put_back(hs, h, end, s_end, false) < 0))
			return -ENOTRECOVERABLE;
	}
	return 0;
}
