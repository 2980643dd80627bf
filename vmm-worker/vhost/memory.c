/* Which memory a back-end knows: what is granted to it of boot memory, and of hotplug windows what is plugged, not a byte more.
 */
#include "vhost/device.h"

#include <assert.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

_Static_assert(PLAN_PIECES_MAX <= VU_MAP_MAX, "boot memory always fits");

static bool has_zone(const struct vhost_dev *d, uint16_t zone)
{
	return d->plan->zones >> zone & 1;
}

static void set_region(const struct vhost_dev *d, struct vu_map *m, uint16_t zone, uint64_t at, uint64_t len, uint64_t offset)
{
	*m = (struct vu_map){
	    .region = {.guest_addr = at, .size = len, .user_addr = at + VHOST_USER_BASE, .mmap_offset = offset},
	    .fd = d->host->zone_fds[zone],
	};
}

static void set_blocks(const struct vhost_dev *d, struct vu_map *m, const struct gm_hot *h, struct mem_range r)
{
	uint64_t from = r.first * h->blocks.block_size;

	set_region(d, m, h->zone, h->at.start.v + from, r.n * h->blocks.block_size, d->host->plan->zones[h->zone].size + from);
}

/* The next run of plugged blocks in [at, end). */
static bool next_run(const struct gm_hot *h, uint64_t at, uint64_t end, struct mem_range *ret)
{
	if (at < end && !mem_blocks_has(&h->blocks, at))
		at += mem_blocks_run(&h->blocks, at, end - at);
	*ret = (struct mem_range){at, mem_blocks_run(&h->blocks, at, at < end ? end - at : 0)};
	return ret->n;
}

static unsigned count_runs(const struct gm_hot *h, struct mem_range r)
{
	struct mem_range run = {r.first, 0};
	unsigned n = 0;

	while (next_run(h, run.first + run.n, r.first + r.n, &run))
		n++;
	return n;
}

static unsigned boot_regions(const struct vhost_dev *d)
{
	const struct mem_plan *plan = d->host->plan;
	unsigned n = 0;

	for (size_t i = 0; i < plan->n_pieces; i++)
		n += has_zone(d, plan->pieces[i].zone);
	return n;
}

void vhost_memory_all(struct vhost_dev *d)
{
	const struct mem_plan *plan = d->host->plan;
	const struct guestmem *gm = d->host->gm;
	unsigned n = 0;

	for (size_t i = 0; i < plan->n_pieces; i++) {
		const struct plan_piece *p = &plan->pieces[i];

		if (has_zone(d, p->zone))
			set_region(d, &d->map[n++], p->zone, p->at.start.v, p->at.len.v, p->offset);
	}
	for (size_t i = 0; i < gm->n_hot; i++) {
		const struct gm_hot *h = &gm->hot[i];
		struct mem_range run = {0, 0};

		while (has_zone(d, h->zone) && next_run(h, run.first + run.n, h->blocks.n, &run)) {
			assert(n < VU_MAP_MAX); /* vhost_memory_takes */
			set_blocks(d, &d->map[n++], h, run);
		}
	}
	d->front.n_map = n;
}

bool vhost_memory_takes(const struct vhost_dev *d, const struct gm_hot *h, struct mem_range r, bool plug, unsigned *ret_regions)
{
	const struct guestmem *gm = d->host->gm;
	unsigned n = boot_regions(d), beside;

	if (!has_zone(d, h->zone))
		return true;
	for (size_t i = 0; i < gm->n_hot; i++)
		if (has_zone(d, gm->hot[i].zone))
			n += count_runs(&gm->hot[i], (struct mem_range){0, gm->hot[i].blocks.n});
	/* How many plugged runs go on on either side: they become one with what is plugged, and are left of what is cut. */
	beside = r.first > 0 && mem_blocks_has(&h->blocks, r.first - 1) ? 1 : 0;
	beside += mem_blocks_has(&h->blocks, r.first + r.n) ? 1 : 0;
	*ret_regions = plug ? n + 1 - beside : n - count_runs(h, r) + beside;
	/* What becomes less is never refused. Who is not there has no say: when he is back it fits, or he is refused. */
	return *ret_regions <= (d->greeted ? d->front.max_map : VU_MAP_MAX) || *ret_regions < n;
}

static bool in_table(const struct vhost_dev *d, uint64_t at, uint64_t len)
{
	for (unsigned i = 0; i < d->front.n_map; i++) {
		const struct vu_region *r = &d->map[i].region;

		if (at < r->guest_addr + r->size && r->guest_addr < at + len)
			return true;
	}
	return false;
}

/* Plugged blocks that the table lacks are added to it as they are, if they are few enough and nothing else is to change. */
static bool add_only(struct vhost_dev *d)
{
	const struct gm_hot *h = d->changed.h;
	struct mem_range r = d->changed.range;
	unsigned n = d->front.n_map;

	if (!d->changed.plug || !vu_front_adds(&d->front) || n >= d->front.max_map ||
	    in_table(d, h->at.start.v + r.first * h->blocks.block_size, r.n * h->blocks.block_size))
		return false;
	set_blocks(d, &d->map[n], h, r);
	d->front.n_map = n + 1;
	return true;
}

void vhost_memory_changed(struct vhost_dev *d, const struct gm_hot *h, struct mem_range r, bool plug)
{
	if (!has_zone(d, h->zone))
		return;
	d->changed.there = true;
	d->changed.h = h;
	d->changed.range = r;
	d->changed.plug = plug;
	vhost_sync(d);
}

bool vhost_memory_is_told(const struct vhost_dev *d)
{
	switch (d->front.phase) {
	case VU_DOWN:
	case VU_GREETING:
		return true; /* it knows of nothing, and will be told all */
	case VU_STARTING:
	case VU_TELLING:
		return false;
	case VU_IDLE:
	case VU_RUNNING:
	case VU_STOPPING:
		break;
	}
	return !d->changed.there;
}

void vhost_memory_give_up(struct vhost_dev *d)
{
	vu_front_drop(&d->front, "it does not follow a change of the guest's memory in time");
	vhost_sync(d);
}

/* --- quiet rings --- */

static const uint16_t *index_at(const struct vhost_dev *d, uint64_t at)
{
	uint64_t len = sizeof(uint16_t);
	const uint16_t *idx = d->v.host->memory.chunk(d->v.host->memory.arg, at, &len);

	return len == sizeof(uint16_t) ? idx : NULL;
}

/* Every request that the driver has made is answered. */
static bool has_answered(const struct vhost_dev *d)
{
	for (unsigned i = 0; i < d->plan->n_queues; i++) {
		const struct virtq *q = &d->v.queue[i];
		const uint16_t *avail = index_at(d, q->avail + offsetof(struct vring_avail, idx));
		const uint16_t *used = index_at(d, q->used + offsetof(struct vring_used, idx));

		if (d->front.ring[i].on && avail && used &&
		    __atomic_load_n(avail, __ATOMIC_ACQUIRE) != __atomic_load_n(used, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}

bool vhost_drains(const struct vhost_dev *d)
{
	return d->drain == VHOST_DRAINING || d->drain == VHOST_DRAINED;
}

void vhost_drain(struct vhost_dev *d)
{
	if (d->drain != VHOST_DRAINING)
		return;
	if (has_answered(d)) {
		d->drain = VHOST_DRAINED;
		vhost_sync(d);
	} else if (!d->nudged) {
		d->nudged = true;
		vhost_kick(d); /* a vCPU may have been stopped between a request and its doorbell */
	}
}

/* A disk's back-end answers every request if there are no new ones. That matters: QEMU's of Debian 12 stops a ring with requests
 * in flight, and falls over the first one that ends afterwards. */
static bool must_drain(const struct vhost_dev *d)
{
	return d->plan->virtio_id == VIRTIO_ID_BLOCK && d->drain != VHOST_DRAINED;
}

bool vhost_memory_tell(struct vhost_dev *d)
{
	switch (d->front.phase) {
	case VU_IDLE: /* rings stand still */
		vhost_memory_all(d);
		d->changed.there = false;
		if (d->front.n_told)
			vu_front_tell(&d->front, vhost_now());
		break;
	case VU_RUNNING:
		if (add_only(d)) {
			d->changed.there = false;
			vu_front_tell(&d->front, vhost_now());
		} else if (must_drain(d)) {
			d->drain = VHOST_DRAINING;
			d->nudged = false;
		} else {
			return true;
		}
		break;
	case VU_DOWN:
	case VU_GREETING:
	case VU_STARTING:
	case VU_STOPPING:
	case VU_TELLING:
		break;
	}
	return false;
}
