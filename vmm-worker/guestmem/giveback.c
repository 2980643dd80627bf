/* Pages that the guest has no use for. */
#include "guestmem/map.h"

#include <sys/mman.h>

/* The zone that all of [at, at + len) is memory of, as the guest has it now; NULL: of none, or not all of it. */
static const struct plan_zone *zone_of(const struct guestmem *gm, const uint8_t *at, uint64_t len)
{
	for (size_t i = 0; i < gm->n; i++) {
		const struct gm_piece *p = &gm->piece[i];

		if (at >= p->host && (uint64_t)(at - p->host) < p->at.len.v)
			return len <= p->at.len.v - (uint64_t)(at - p->host) ? &gm->plan->zones[p->zone] : NULL;
	}
	for (size_t i = 0; i < gm->n_hot; i++) {
		const struct gm_hot *h = &gm->hot[i];
		uint64_t got = len;

		if (at < h->host || (uint64_t)(at - h->host) >= h->at.len.v)
			continue;
		if (!hot_chunk(gm, gpa(h->at.start.v + (uint64_t)(at - h->host)), &got) || got != len)
			return NULL;
		return &gm->plan->zones[h->zone];
	}
	return NULL;
}

bool gm_give_back(const struct guestmem *gm, void *at, uint64_t len)
{
	const struct plan_zone *z = zone_of(gm, at, len);

	/* DONTNEED of a shared mapping would only let go of it here: the object, and whoever else has it, kept the page. */
	return z && plan_zone_gives(z) &&
	       madvise(at, (size_t)len, z->backing == BACKING_MEMFD ? MADV_REMOVE : MADV_DONTNEED) == 0;
}
