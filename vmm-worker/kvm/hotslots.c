#include "kvm/hotslots.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int hot_slots_init(struct hot_slots *hs, const struct guestmem *gm, int vm_fd, unsigned first_id, unsigned ids, struct err *e)
{
	uint64_t all = 0;

	*hs = (struct hot_slots){.vm_fd = vm_fd, .unit = HOTPLUG_ALIGN};
	if (gm->n_hot == 0)
		return 0;
	if (ids > HOT_SLOTS_MAX)
		ids = HOT_SLOTS_MAX;
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

/* Bytes of [start, end) that are in slots, and how many slots that are. */
static uint64_t covered(const struct hot_slots *hs, uint64_t start, uint64_t end, size_t *ret_slots)
{
	uint64_t sum = 0;

	*ret_slots = 0;
	for (size_t i = at_or_after(hs, start); i < hs->n && hs->slot[i].start < end; i++) {
		sum += hs->slot[i].len;
		++*ret_slots;
	}
	return sum;
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

bool hot_slots_disturbs(const struct hot_slots *hs, const struct gm_hot *h, struct mem_range r, bool plug)
{
	uint64_t start, end;

	bounds(h, r, &start, &end);
	if (!plug) {
		size_t first = at_or_after(hs, start), last = at_or_after(hs, end - 1);

		return (first < hs->n && hs->slot[first].start < start) ||
		       (last < hs->n && hs->slot[last].start < end && hs->slot[last].start + hs->slot[last].len > end);
	}
	EACH_UNIT(hs, h, start, end, u, from, to)
	{
		uint64_t u_end = unit_end(hs, h, u);
		size_t slots;

		if (to - from < u_end - u && covered(hs, u, u_end, &slots) + (to - from) == u_end - u)
			return true;
	}
	return false;
}

/* A unit that is plugged as a whole takes one slot instead of many. */
static int merge(struct hot_slots *hs, const struct gm_hot *h, uint64_t u, uint64_t u_end)
{
	size_t at = at_or_after(hs, u), slots;

	if (covered(hs, u, u_end, &slots) != u_end - u || slots < 2)
		return 0;
	while (slots--)
		if (take_out(hs, at) < 0)
			return -ENOTRECOVERABLE;
	return insert(hs, u, u_end - u, h->host + (u - h->at.start.v)) < 0 ? -ENOTRECOVERABLE : 0;
}

int hot_slots_add(struct hot_slots *hs, const struct gm_hot *h, struct mem_range r)
{
	uint64_t start, end, done;
	int rc = 0;

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
	for (uint64_t u = unit_start(hs, h, start); rc == 0 && u < end; u = unit_end(hs, h, u))
		rc = merge(hs, h, u, unit_end(hs, h, u));
	return rc;
}

/* What is left of a slot on one side of a cut. In pieces, each twice as long as the one nearer to the cut: the next cut is likely
 * to be close by, and then concerns a short slot. Whole where slots are scarce. */
static int put_back(struct hot_slots *hs, const struct gm_hot *h, uint64_t start, uint64_t end, bool cut_above)
{
	uint64_t len = h->blocks.block_size;
	int r = 0;

	while (start < end && r == 0) {
		uint64_t n = len < end - start && hs->n_free > HOT_SLOTS_MAX / 4 ? len : end - start;
		uint64_t at = cut_above ? end - n : start;

		r = insert(hs, at, n, h->host + (at - h->at.start.v));
		if (cut_above)
			end -= n;
		else
			start += n;
		len *= 2;
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
