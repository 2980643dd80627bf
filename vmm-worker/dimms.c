/* Memory that grows by DIMMs. What is to be added is staged first, all of it: pages and KVM slots. Then the guest is told; if the
 * host runs out on the way, it never hears of it. What the guest has ejected is out of its sight at once, and is taken away here.
 */
#include "machine.h"

#include <stdio.h>
#include <string.h>

#define WINDOW 0u /* there is only one */

void dimms_ask(struct machine *m, uint64_t bytes)
{
	struct dimms *d = &m->dimms;
	uint64_t blocks = bytes / d->block, all = m->gm.hot[WINDOW].blocks.n;

	d->refused = !dimms_request(d, blocks < all ? blocks : all);
	if (d->refused) {
		snprintf(m->hotplug.refused[WINDOW], sizeof(m->hotplug.refused[WINDOW]),
			 "memory slots go as a whole, newest first, and no slot ends at this size");
		return;
	}
	for (uint32_t i = 0; i < LIM_DIMMS; i++)
		if (d->slot[i].remove_event)
			return ged_raise(&m->ged, PLAT_GED_MEMORY);
}

/* Where a DIMM of so many blocks can be: the first hole of the window that takes it whole, otherwise the largest. */
static struct mem_range hole(const struct mem_blocks *b, uint64_t want)
{
	struct mem_range best = {0};

	for (uint64_t at = 0, n; at < b->n && best.n < want; at += n) {
		n = mem_blocks_run(b, at, b->n - at);
		if (!mem_blocks_has(b, at) && n > best.n)
			best = (struct mem_range){at, n < want ? n : want};
	}
	return best;
}

static void give_up(struct machine *m, const char *why)
{
	if (why)
		snprintf(m->hotplug.refused[WINDOW], sizeof(m->hotplug.refused[WINDOW]), "%s", why);
	dimms_unstage(&m->dimms);
	m->dimms.wanted = dimms_given(&m->dimms);
	m->dimms.changed = true;
}

static struct mem_job job(struct machine *m, uint16_t type, uint32_t slot, uint64_t first, uint64_t n)
{
	m->hotplug.dimm_slot = slot;
	m->hotplug.dimm_job = (struct mem_job){.there = true, .type = type, .range = {first, n}};
	return m->hotplug.dimm_job;
}

/* A DIMM is filled block by block, so that nobody waits long for this thread. */
struct mem_job dimms_job(struct machine *m)
{
	struct dimms *d = &m->dimms;
	uint32_t slot;

	for (;;) {
		struct mem_range r;

		if (dimms_leaving(d, &slot)) {
			if (d->slot[slot].there)
				return job(m, VIRTIO_MEM_REQ_UNPLUG, slot, d->slot[slot].first, d->slot[slot].there);
			dimms_left(d, slot, true);
			continue;
		}
		if (dimms_unfinished(d, &slot))
			return job(m, VIRTIO_MEM_REQ_PLUG, slot, d->slot[slot].first + d->slot[slot].there, 1);
		if (dimms_given(d) >= d->wanted)
			break;
		r = hole(&m->gm.hot[WINDOW].blocks, d->wanted - dimms_given(d));
		if (r.n == 0 || !dimms_stage(d, r.first, r.n))
			give_up(m, "no memory slot is left for it");
	}
	if (dimms_show(d))
		ged_raise(&m->ged, PLAT_GED_MEMORY);
	return (struct mem_job){0};
}

bool dimms_want(const struct machine *m)
{
	return m->dimms.slot[m->hotplug.dimm_slot].state == DIMM_STAGED;
}

void dimms_answer(struct machine *m, uint16_t response)
{
	const struct mem_job *j = &m->hotplug.dimm_job;
	bool done = response == VIRTIO_MEM_RESP_ACK;

	if (j->type == VIRTIO_MEM_REQ_UNPLUG)
		dimms_left(&m->dimms, m->hotplug.dimm_slot, done);
	else if (done)
		dimms_filled(&m->dimms, m->hotplug.dimm_slot, j->range.n);
	else if (dimms_want(m)) /* otherwise something else has been asked for meanwhile, which may fit */
		give_up(m, NULL);
}

bool dimms_news(struct machine *m, struct hotplug_news *ret)
{
	char *text = m->hotplug.refused[WINDOW];
	struct dimms *d = &m->dimms;
	bool found = d->changed;

	d->changed = false;
	if (found) {
		/* What was not begun is over, whatever the guest owes an answer to from before. */
		bool over = d->refused || (!dimms_pending(d) && dimms_given(d) >= d->wanted);

		if (over) {
			if (!*text || d->own_ejects)
				dimms_explain(d, text, sizeof(m->hotplug.refused[WINDOW]));
			d->wanted = dimms_given(d);
			d->refused = false;
		}
		*ret = (struct hotplug_news){.zone = m->gm.hot[WINDOW].zone,
					     .request = m->hotplug.request[WINDOW],
					     .wanted = d->wanted * d->block,
					     .plugged = dimms_there(d) * d->block,
					     .idle = dimms_idle(d) * d->block,
					     .driver = d->looked,
					     .over = over,
					     .refused = text,
					     .denied = d->nonsense,
					     .strayed = m->hotplug.strayed[WINDOW]};
		ret->n_dimms = dimms_list(d, ret->dimms);
	}
	return found;
}
