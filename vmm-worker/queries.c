#include "queries.h"

#include <string.h>

bool queries_add(struct queries *q, uint32_t serial)
{
	if (q->n == QUERIES_MAX)
		return false;
	q->serial[q->n++] = serial;
	return true;
}

size_t queries_work(struct queries *q, const struct guestmem *gm, struct arena *a, struct wk_reports *ret)
{
	struct err e = {0};
	int r;

	if (q->n == 0)
		return 0;
	if (q->counted == 0) {
		q->counted = q->n;
		q->census = (struct gm_census){0};
		q->arena_used = a->used;
	}
	r = gm_census_go_on(&q->census, gm, a, &e);
	if (r > 0)
		return 0;
	*ret = r < 0 ? (struct wk_reports){0} : (struct wk_reports){.n = q->census.n, .reports = q->census.reports};
	return q->counted;
}

void queries_answered(struct queries *q, struct arena *a)
{
	a->used = q->arena_used;
	q->n -= q->counted;
	memmove(q->serial, q->serial + q->counted, q->n * sizeof(q->serial[0]));
	q->counted = 0;
}
