/* Counting pages in turns: 0.2 us a page is a second for 20 GiB, and nobody is to wait for that. */
#include "guestmem/map.h"

#include <errno.h>

#define TURN_PAGES 8192u

struct part {
	const uint8_t *at;
	uint64_t len, page_size;
};

static const struct gm_hot *window_of(const struct guestmem *gm, uint16_t zone)
{
	for (size_t i = 0; i < gm->n_hot; i++)
		if (gm->hot[i].zone == zone)
			return &gm->hot[i];
	return NULL;
}

/* What comes next of the zone, at most so many pages, and goes to where it begins. Of a window only what is plugged: there is
 * nothing elsewhere, and it may be large. false: that was all. */
static bool next_part(struct gm_census *c, const struct guestmem *gm, uint64_t pages, struct part *ret)
{
	const struct plan_zone *z = &gm->plan->zones[c->zone];
	const struct gm_hot *h = window_of(gm, c->zone);
	uint64_t block, n;

	if (c->at < z->size) {
		*ret = (struct part){gm->zone_at[c->zone] + c->at, z->size - c->at, z->page_size};
	} else {
		if (!h)
			return false;
		block = (c->at - z->size) / h->blocks.block_size;
		n = mem_blocks_run(&h->blocks, block, h->blocks.n);
		if (!mem_blocks_has(&h->blocks, block)) {
			block += n;
			n = mem_blocks_run(&h->blocks, block, h->blocks.n);
			c->at = z->size + block * h->blocks.block_size;
		}
		*ret =
		    (struct part){h->host + (c->at - z->size), z->size + (block + n) * h->blocks.block_size - c->at, GUEST_PAGE};
	}
	if (ret->len > pages * ret->page_size)
		ret->len = pages * ret->page_size;
	return ret->len;
}

/* place_census would start threads and ask for policies, which the sandbox no longer allows; this is its plain way. */
int gm_census_go_on(struct gm_census *c, const struct guestmem *gm, struct arena *a, struct err *e)
{
	uint64_t pages = TURN_PAGES;

	if (!c->reports)
		c->reports = arena_array(a, gm->plan->n_zones, sizeof(*c->reports));
	if (!c->reports)
		return err_set(e, -ENOBUFS, "no room for the reports on zones");
	for (; c->zone < gm->plan->n_zones; c->zone++) {
		const struct plan_zone *z = &gm->plan->zones[c->zone];
		struct part part;
		int r;

		if (!gm_made_here(z))
			continue;
		c->tally.anonymous = z->backing == BACKING_ANON;
		while (next_part(c, gm, pages, &part)) {
			r = place_tally_add(&c->tally, part.at, part.len, part.page_size, e);
			if (r < 0)
				return r;
			c->at += part.len;
			pages -= part.len / part.page_size;
			if (pages == 0)
				return 1;
		}
		r = place_tally_report(&c->tally, z->page_size, c->zone, a, &c->reports[c->n], e);
		if (r < 0)
			return r;
		c->n++;
		c->at = 0;
		c->tally = (struct place_tally){0};
	}
	return 0;
}
