/* Putting memory where the plan says: bind, advise, populate with many threads, and look where the pages are. Used by memsrv for
 * objects and by the worker for anonymous zones during its start. Calls the kernel directly (mbind, move_pages,
 * sched_setaffinity): no library, so that both stay static and small. */
#pragma once
#include "base/arena.h"
#include "bulkhead/err.h"
#include "model/mem_plan.h"
#include "wire/wire.h"

/* Applies the zone's NUMA policy to a mapping of it, before the first touch. A zone without a policy is left alone.
 * -EINVAL: a node that does not exist or that the cpuset forbids. */
int place_bind(void *at, uint64_t len, const struct plan_zone *z, struct err *e);

/* MADV_HUGEPAGE / NOHUGEPAGE, MADV_MERGEABLE, MADV_DONTDUMP, MADV_DONTFORK as the zone asks; before populating. */
int place_advise(void *at, uint64_t len, const struct plan_zone *z, struct err *e);

struct place_job {
	void *at;
	uint64_t len;
	const struct plan_zone *zone;
	uint16_t index; /* the zone's number, for progress */
};

/* Called from the thread that called place_populate, per zone at most every 100 ms and once at the end. Bytes. */
typedef void place_progress_fn(void *arg, uint16_t zone, uint64_t done, uint64_t total);

/* Populates all jobs at once, each job's threads pinned to the zone's host_cpus. threads: 0 means one per usable CPU, at most 16
 * per zone. Zones with the same host_cpus share threads; other zones have their own; all run at the same time. Small jobs are
 * done by the caller itself. At most LIM_ZONES jobs. Blocks all the while; starts threads with pthread_create and has joined them
 * when it returns. On failure names the zone and how far it came; pages already there are the caller's to drop (it owns the
 * object). */
int place_populate(const struct place_job *jobs, size_t n, unsigned threads, place_progress_fn *progress, void *arg,
		   struct err *e);

/* Running sums of a census that goes through a zone in windows. Units: the zone's pages. Zeroed before the first use. */
struct place_tally {
	uint64_t node[LIM_HOST_NODES];
	uint64_t absent;  /* not in this mapping */
	uint64_t unknown; /* in the object, but only another process has touched them: counted by whoever can know */
	bool anonymous;   /* set by the caller: the mapping has no object, so mincore tells what this process has in it */
};

/* Adds [at, at + len) of a mapping, one question per page_size bytes. Needs nothing but the mapping; any thread. */
int place_tally_add(struct place_tally *t, const void *at, uint64_t len, uint64_t page_size, struct err *e);

/* The sums as a report; its array comes from a (-ENOBUFS when that is full). */
int place_tally_report(const struct place_tally *t, uint64_t page_size, uint16_t index, struct arena *a, struct zone_report *ret,
		       struct err *e);

/* Where each page of the mapping is now, page by page (move_pages without moving). The report's arrays come from a. */
int place_census(const void *at, uint64_t len, const struct plan_zone *z, uint16_t index, struct arena *a,
		 struct zone_report *ret, struct err *e);

/* The host node on which all memory is that this process, and whoever runs under the same cpuset, may use; -1: there are several,
 * or the kernel does not say. */
int place_only_node(void);

/* A bound zone whose census shows a page on another node is an error that names zone, node and count. */
int place_verify(const struct zone_report *r, const struct plan_zone *z, struct err *e);
