/* The objects behind a VM's memory zones, from creation to the sealed fd that is given away. One thread; place's helpers aside.
 */
#pragma once
#include "model/mem_plan.h"
#include "place/place.h"

struct zone {
	const struct plan_zone *plan;
	uint16_t index;
	int fd;       /* owned; -1 for an anonymous zone, which is the worker's affair */
	void *map;    /* boot memory, while it is being set up; NULL otherwise */
	bool reports; /* its pages were put there by us and are counted */
	/* plug.c; made is NULL without a hotplug window */
	uint64_t *made; /* one bit for each block that is there */
	uint64_t n_blocks, n_made;
	uint64_t allowed; /* bytes of the window that may be there */
};

struct zones {
	size_t n;      /* as many as the plan has, in its order */
	int only_node; /* the one host node that their pages can be on; -1: there are several */
	struct zone z[LIM_ZONES];
};

/* Empty zones for a plan that was checked; the plan must outlive them. */
void zones_init(struct zones *zs, const struct mem_plan *plan);

/* Closes and unmaps everything: afterwards the host has all of it back that was not given away. */
void zones_free(struct zones *zs);

/* The fd of a file zone, as granted: a regular file, long enough, with the access that the zone needs and no more. Owned by *z on
 * success, by the caller otherwise. */
int zone_accept_file(struct zone *z, int fd, struct err *e);

/* Makes the zone's object (nothing for files and anonymous zones) and fixes its size. */
int zone_create(struct zone *z, struct err *e);

/* Maps boot memory, which for huge pages takes the reservation, and tells the kernel where and how it wants to be. */
int zone_map(struct zone *z, struct err *e);

/* Populates all zones that want it at once. */
int zones_populate(struct zones *zs, place_progress_fn *progress, void *arg, struct err *e);

/* Counts what was populated, page by page, and refuses a bound zone with a page elsewhere. reports: room for zs->n. */
int zones_verify(struct zones *zs, struct arena *a, struct zone_report *reports, size_t *ret_n, struct err *e);

/* No holder of the fd can change the object's size from here on. Files of others cannot be sealed and are not. */
int zone_seal(struct zone *z, struct err *e);

/* Gives the mapping up. Pages, reservation and the policy of an ordinary memfd belong to the object and stay. */
void zone_unmap(struct zone *z);

/* census.c: counts as of now, of all zones that are objects of ours. reports: room for zs->n. Returns how many were filled. */
size_t zones_query(const struct zones *zs, struct arena *a, struct zone_report *reports);
