#include "guestmem/map.h"

#include <errno.h>
#include <sys/mman.h>

#define MAP_ALIGN (2 * MiB)

bool gm_made_here(const struct plan_zone *z)
{
	return z->backing == BACKING_ANON || z->backing == BACKING_FILE_PRIVATE;
}

/* What the mapping's address must be congruent to, so that host huge pages and KVM's large mappings fall on the same boundaries
 * in host and guest address space. */
static uint64_t first_gpa(const struct mem_plan *plan, uint16_t zone)
{
	for (size_t i = 0; i < plan->n_pieces; i++)
		if (plan->pieces[i].zone == zone)
			return plan->pieces[i].at.start.v - plan->pieces[i].offset;
	return 0;
}

/* Address space for one zone with inaccessible room in front of and behind it: a length that was computed wrongly ends in a fault
 * of this process and not in another zone. */
int gm_reserve(uint64_t len, uint64_t align, uint64_t congruent, uint8_t **ret_at)
{
	uint64_t room, at;
	uint8_t *p;

	if (!add_u64(len, 2 * align, &room))
		return -EOVERFLOW;
	p = mmap(NULL, (size_t)room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	at = ((uintptr_t)p & ~(align - 1)) + (congruent & (align - 1));
	if (at <= (uintptr_t)p)
		at += align;
	*ret_at = (uint8_t *)(uintptr_t)at;
	return 0;
}

static int map_zone(const struct plan_zone *z, uint64_t congruent, int fd, uint8_t **ret_at, struct err *e)
{
	uint64_t align = z->page_size > MAP_ALIGN ? z->page_size : MAP_ALIGN;
	bool shared = !gm_made_here(z);
	int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE);
	uint8_t *at = NULL;
	int r;

	if (z->backing == BACKING_ANON)
		flags |= MAP_ANONYMOUS;
	if (!z->reserve)
		flags |= MAP_NORESERVE;
	r = gm_reserve(z->size, align, congruent, &at);
	if (r < 0)
		return err_sys(e, r, "zone %s: no room for %llu MiB in the worker's address space", z->id,
			       (unsigned long long)(z->size / MiB));
	if (mmap(at, (size_t)z->size, PROT_READ | PROT_WRITE, flags, z->backing == BACKING_ANON ? -1 : fd, 0) == MAP_FAILED)
		return err_sys(e, -errno, "zone %s: cannot map %llu MiB", z->id, (unsigned long long)(z->size / MiB));
	r = place_advise(at, z->size, z, e);
	if (r < 0)
		return r;
	/* A shared object carries the policy that memsrv gave it. */
	if (gm_made_here(z)) {
		r = place_bind(at, z->size, z, e);
		if (r < 0)
			return r;
	}
	*ret_at = at;
	return 0;
}

int guestmem_map(struct guestmem *gm, const struct mem_plan *plan, const int *zone_fds, struct err *e)
{
	gm->plan = plan;
	gm->n_hot = 0;
	for (uint16_t i = 0; i < plan->n_zones; i++) {
		int r;

		gm->zone_at[i] = NULL;
		r = 0;
		if (plan->zones[i].size)
			r = map_zone(&plan->zones[i], first_gpa(plan, i), zone_fds[i], &gm->zone_at[i], e);
		if (r == 0 && plan->zones[i].hotplug_size && gm->n_hot < GM_HOT_MAX)
			r = hot_map(gm, i, zone_fds[i], e);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < plan->n_pieces; i++) {
		const struct plan_piece *p = &plan->pieces[i];

		gm->piece[i] = (struct gm_piece){p->at, gm->zone_at[p->zone] + p->offset, p->zone};
	}
	gm->n = plan->n_pieces;
	return 0;
}

int guestmem_populate(struct guestmem *gm, struct arena *a, place_progress_fn *progress, void *arg,
		      struct zone_report **ret_reports, size_t *ret_n, struct err *e)
{
	struct place_job jobs[LIM_ZONES];
	struct zone_report *reports;
	size_t n = 0;
	int r;

	for (uint16_t i = 0; i < gm->plan->n_zones; i++) {
		const struct plan_zone *z = &gm->plan->zones[i];

		/* The kernel knows no reservation of a small page but the page itself. */
		if (gm->zone_at[i] && gm_made_here(z) && (z->prefault || z->reserve))
			jobs[n++] = (struct place_job){gm->zone_at[i], z->size, z, i};
	}
	*ret_reports = NULL;
	*ret_n = 0;
	if (n == 0)
		return 0;
	r = place_populate(jobs, n, 0, progress, arg, e);
	if (r < 0)
		return r;
	reports = arena_array(a, n, sizeof(*reports));
	if (!reports)
		return err_set(e, -ENOBUFS, "no room for the report on %zu zones", n);
	for (size_t i = 0; i < n; i++) {
		r = place_census(jobs[i].at, jobs[i].len, jobs[i].zone, jobs[i].index, a, &reports[i], e);
		if (r == 0)
			r = place_verify(&reports[i], jobs[i].zone, e);
		if (r < 0)
			return r;
	}
	*ret_reports = reports;
	*ret_n = n;
	return 0;
}

bool guestmem_owns(const struct guestmem *gm, const void *host)
{
	for (size_t i = 0; i < gm->n; i++) {
		const struct gm_piece *p = &gm->piece[i];

		if ((const uint8_t *)host >= p->host && (uint64_t)((const uint8_t *)host - p->host) < p->at.len.v)
			return true;
	}
	for (size_t i = 0; i < gm->n_hot; i++) {
		const struct gm_hot *h = &gm->hot[i];

		if ((const uint8_t *)host >= h->host && (uint64_t)((const uint8_t *)host - h->host) < h->at.len.v)
			return true;
	}
	return epc_id_at(gm, host) != NULL;
}
