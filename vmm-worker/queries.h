/* The broker asks where pages are. Counting them goes on in turns of the main thread, and an answer goes when it is whole. */
#pragma once
#include "guestmem/map.h"
#include "wire/worker.h"

#define QUERIES_MAX 8u

/* Zeroed before the first use. */
struct queries {
	uint32_t serial[QUERIES_MAX]; /* oldest first */
	size_t n;
	size_t counted; /* of them the census under way answers so many; 0: there is none */
	struct gm_census census;
	size_t arena_used; /* before it */
};

/* One more, which a census answers that begins later. false: there are too many. */
bool queries_add(struct queries *q, uint32_t serial);

/* Counts for a turn. How many of q->serial, oldest first, have their answer now: in *ret, in memory of a. Then queries_answered
 * is to be called before anything else. A census that fails is answered with what there is: nothing. */
size_t queries_work(struct queries *q, const struct guestmem *gm, struct arena *a, struct wk_reports *ret);
void queries_answered(struct queries *q, struct arena *a);
