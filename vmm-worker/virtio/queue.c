#include "virtio/queue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

/* 2.7: alignment, and what is behind the rings proper. With event_idx each ring is followed by one more field. */
#define DESC_ALIGN  16u
#define AVAIL_ALIGN 2u
#define USED_ALIGN  4u
#define EVENT_LEN   2u

static uint64_t desc_len(uint16_t size)
{
	return sizeof(struct vring_desc) * (uint64_t)size;
}

static uint64_t avail_len(uint16_t size)
{
	return offsetof(struct vring_avail, ring) + sizeof(uint16_t) * (uint64_t)size + EVENT_LEN;
}

static uint64_t used_len(uint16_t size)
{
	return offsetof(struct vring_used, ring) + sizeof(struct vring_used_elem) * (uint64_t)size + EVENT_LEN;
}

/* All of it in one piece, or nothing. */
static void *whole(const struct virtq_memory *mem, uint64_t at, uint64_t len)
{
	uint64_t got = len;
	void *p = mem->chunk(mem->arg, at, &got);

	return p && got == len ? p : NULL;
}

static int broken(struct virtq *q)
{
	q->broken = true;
	return -EPROTO;
}

bool virtq_enable(struct virtq *q, const struct virtq_memory *mem, bool event_idx)
{
	if (!is_pow2(q->size) || q->size > VIRTQ_SIZE_MAX || !is_aligned(q->desc, DESC_ALIGN) ||
	    !is_aligned(q->avail, AVAIL_ALIGN) || !is_aligned(q->used, USED_ALIGN))
		return false;
	if (!whole(mem, q->desc, desc_len(q->size)) || !whole(mem, q->avail, avail_len(q->size)) ||
	    !whole(mem, q->used, used_len(q->size)))
		return false;
	q->event_idx = event_idx;
	q->next_avail = q->next_used = q->signalled = 0;
	q->signalled_valid = q->broken = false;
	q->enabled = true;
	return true;
}

static bool add_segment(struct virtq_chain *c, const struct virtq_memory *mem, const struct vring_desc *d)
{
	bool write = d->flags & VRING_DESC_F_WRITE;
	struct virtq_seg *seg = write ? c->writable : c->readable;
	unsigned *n = write ? &c->n_writable : &c->n_readable;
	uint64_t at = d->addr, len = d->len, end;

	/* 2.7.4.2: what the device reads comes first. */
	if ((!write && c->n_writable) || !add_u64(at, len, &end))
		return false;
	while (len) {
		uint64_t got = len;
		void *p = mem->chunk(mem->arg, at, &got);

		if (!p || got == 0 || *n == VIRTQ_SEGS_MAX)
			return false;
		seg[(*n)++] = (struct virtq_seg){p, (size_t)got};
		at += got;
		len -= got;
	}
	*(write ? &c->writable_len : &c->readable_len) += d->len;
	return true;
}

/* Follows descriptors from `first` in a table of n. *budget bounds the whole chain, so that a loop ends. */
static bool follow(struct virtq_chain *c, const struct virtq_memory *mem, uint64_t table, uint32_t n, uint32_t first,
		   uint32_t *budget, bool indirect)
{
	for (uint32_t i = first;;) {
		struct vring_desc d;
		const void *p = i < n ? whole(mem, table + (uint64_t)i * sizeof(d), sizeof(d)) : NULL;

		if (!p || *budget == 0)
			return false;
		--*budget;
		memcpy(&d, p, sizeof(d));
		if (d.flags & VRING_DESC_F_INDIRECT) {
			uint64_t end;

			/* 2.7.5.3: a table of its own, not inside another one, and the chain ends with it */
			if (indirect || (d.flags & VRING_DESC_F_NEXT) || d.len == 0 || d.len % sizeof(d) ||
			    !add_u64(d.addr, d.len, &end))
				return false;
			return follow(c, mem, d.addr, d.len / (uint32_t)sizeof(d), 0, budget, true);
		}
		if (!add_segment(c, mem, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		i = d.next;
	}
}

static bool read_avail_idx(const struct virtq *q, const struct virtq_memory *mem, uint16_t *ret)
{
	const struct vring_avail *avail = whole(mem, q->avail, avail_len(q->size));

	if (!avail)
		return false;
	*ret = __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE);
	return true;
}

int virtq_pop(struct virtq *q, const struct virtq_memory *mem, struct virtq_chain *ret)
{
	const struct vring_avail *avail;
	uint32_t budget = q->size + 1u; /* an indirect descriptor, and as many as the queue has in its table */
	uint16_t idx, head;

	if (!q->enabled)
		return 0;
	if (q->broken || !read_avail_idx(q, mem, &idx))
		return broken(q);
	if (idx == q->next_avail)
		return 0;
	if ((uint16_t)(idx - q->next_avail) > q->size)
		return broken(q);
	avail = whole(mem, q->avail, avail_len(q->size));
	if (!avail)
		return broken(q);
	head = __atomic_load_n(&avail->ring[q->next_avail & (q->size - 1)], __ATOMIC_RELAXED);
	ret->head = head;
	ret->n_readable = ret->n_writable = 0;
	ret->readable_len = ret->writable_len = 0;
	if (!follow(ret, mem, q->desc, q->size, head, &budget, false))
		return broken(q);
	q->next_avail++;
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	q->next_avail--;
}

void virtq_push(struct virtq *q, const struct virtq_memory *mem, uint16_t head, uint32_t written)
{
	struct vring_used *used = q->broken ? NULL : whole(mem, q->used, used_len(q->size));

	if (!used) {
		broken(q);
		return;
	}
	used->ring[q->next_used & (q->size - 1)] = (struct vring_used_elem){head, written};
	q->next_used++;
	__atomic_store_n(&used->idx, q->next_used, __ATOMIC_RELEASE);
}

bool virtq_wants_interrupt(struct virtq *q, const struct virtq_memory *mem)
{
	const struct vring_avail *avail = q->enabled && !q->broken ? whole(mem, q->avail, avail_len(q->size)) : NULL;
	uint16_t old = q->signalled, event;
	bool valid = q->signalled_valid;

	if (!avail || q->next_used == old)
		return false;
	q->signalled = q->next_used;
	/* The new index of the used ring must be visible before we look at what the driver wants to be told. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(__atomic_load_n(&avail->flags, __ATOMIC_RELAXED) & VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(&avail->ring[q->size], __ATOMIC_RELAXED); /* used_event lies behind the ring */
	q->signalled_valid = true;
	return !valid || vring_need_event(event, q->next_used, old);
}

bool virtq_ask_notify(struct virtq *q, const struct virtq_memory *mem)
{
	struct vring_used *used = q->enabled && !q->broken ? whole(mem, q->used, used_len(q->size)) : NULL;
	uint16_t idx;

	if (!used)
		return false;
	if (q->event_idx) { /* avail_event lies behind the ring */
		void *event = &used->ring[q->size];

		__atomic_store_n((uint16_t *)event, q->next_avail, __ATOMIC_RELAXED);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return read_avail_idx(q, mem, &idx) && idx != q->next_avail;
}

size_t seg_fill(const struct virtq_seg *seg, unsigned n, const void *from, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = seg[i].len < len - done ? seg[i].len : len - done;

		memcpy(seg[i].at, (const uint8_t *)from + done, part);
		done += part;
	}
	return done;
}

size_t seg_fetch(const struct virtq_seg *seg, unsigned n, void *to, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = seg[i].len < len - done ? seg[i].len : len - done;

		memcpy((uint8_t *)to + done, seg[i].at, part);
		done += part;
	}
	return done;
}
