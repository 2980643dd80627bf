/* The guest's memory as this process has it mapped: every zone once, whole, and the plan's pieces over it.
 * Only access.h turns guest addresses into pointers; nothing outside this folder uses the host addresses but kvm/slots.c. */
#pragma once
#include "base/arena.h"
#include "bulkhead/err.h"
#include "model/mem_plan.h"
#include "place/place.h"
#include "virtio/mem_blocks.h"

struct gm_piece {
	gspan_t at;
	uint8_t *host; /* host address of at.start; at.len bytes behind it belong to this piece */
	uint16_t zone;
};

#define GM_HOT_MAX 16u

/* A zone's hotplug window. Blocks are plugged and unplugged by the main thread under the device lock; whoever looks without it
 * sees each block as it was or as it is. */
struct gm_hot {
	gspan_t at;
	uint8_t *host; /* of all of the window; only plugged blocks may be touched */
	uint16_t zone;
	struct mem_blocks blocks;
};

/* An SGX EPC section: the guest's, by a KVM slot of its own, and nobody else's: access.h does not know it. */
struct gm_epc {
	gspan_t at;
	uint8_t *host;
};

struct guestmem {
	const struct mem_plan *plan; /* the caller's; must outlive this */
	uint8_t *zone_at[LIM_ZONES]; /* NULL: a zone without boot memory */
	size_t n;
	struct gm_piece piece[PLAN_PIECES_MAX]; /* ascending guest address, as in the plan */
	size_t n_hot;
	struct gm_hot hot[GM_HOT_MAX];
	size_t n_epc;
	struct gm_epc epc[LIM_EPC]; /* in the plan's order */
};

/* Maps all zones of a plan that plan_check accepted. zone_fds[i] is the object of zone i, or -1 for BACKING_ANON; they stay the
 * caller's. Binds and advises what this process itself makes (anonymous memory, private copies of files). There is no unmap: the
 * process ends instead. Main thread, before the sandbox closes. */
int guestmem_map(struct guestmem *gm, const struct mem_plan *plan, const int *zone_fds, struct err *e);

/* Populates the zones that ask for it and that this process makes, verifies where bound ones lie, and reports on them. */
int guestmem_populate(struct guestmem *gm, struct arena *a, place_progress_fn *progress, void *arg,
		      struct zone_report **ret_reports, size_t *ret_n, struct err *e);

/* true if the host address lies in a zone's or an EPC section's mapping: tells a SIGBUS on guest memory from a fault of our own.
 * Async-signal-safe.
 */
bool guestmem_owns(const struct guestmem *gm, const void *host);

/* true: this process makes the zone's pages (anonymous memory, private copies of files). */
bool gm_made_here(const struct plan_zone *z);

/* Within this folder: inaccessible address space of len bytes, congruent to `congruent` modulo align, with room around it. */
int gm_reserve(uint64_t len, uint64_t align, uint64_t congruent, uint8_t **ret_at);

/* --- hot.c --- */

/* Maps the window of a zone that has one; part of guestmem_map. */
int hot_map(struct guestmem *gm, uint16_t zone, int fd, struct err *e);
/* The window that an address lies in, plugged or not; NULL. */
const struct gm_hot *hot_find(const struct guestmem *gm, gpa_t at);
/* gm_chunk for windows. */
void *hot_chunk(const struct guestmem *gm, gpa_t at, uint64_t *len);
/* Private memory only. Pages for len bytes of the window, on the zone's nodes, all or none. Main thread, 0.2 to 0.7 ms a MiB.
 * Negative errno. */
int hot_populate(const struct gm_hot *h, uint64_t from, uint64_t len);
/* Back to the host; of shared memory whoever else has the object loses them too. Main thread. Negative errno. */
int hot_drop(const struct gm_hot *h, uint64_t from, uint64_t len, bool shared);

/* --- census.c --- */

/* Where the pages of the zones that this process makes are; memsrv knows about the others. Zeroed before the first call. */
struct gm_census {
	uint16_t zone;               /* is being counted, */
	uint64_t at;                 /* from this byte on: its boot memory, then its window */
	struct place_tally tally;    /* of it */
	struct zone_report *reports; /* one for each zone, NULL before the first call */
	size_t n;
};

/* Counts 8192 pages more, which takes a millisecond or two. 1: there are more; 0: that is all, in reports; negative errno. What
 * changes meanwhile is counted as it was or as it is. Arrays from a, which keeps them until it is over. Any time, main thread. */
int gm_census_go_on(struct gm_census *c, const struct guestmem *gm, struct arena *a, struct err *e);

/* --- giveback.c --- */

/* The guest does not need the pages of [at, at + len), which is page aligned and lies in a mapping of its memory: they go back to
 * the host, and zeros come when it touches them again. false: they stay, because the zone gives none back, not all of it is
 * memory now, or the kernel did not do it. */
bool gm_give_back(const struct guestmem *gm, void *at, uint64_t len);

/* --- epc.c --- */

/* Maps the plan's EPC sections, and populates those that ask for it; fds[i] is section i's, and stays the caller's. After
 * guestmem_map. */
int epc_map(struct guestmem *gm, const int *fds, struct err *e);
/* The id of the section whose mapping a host address lies in; NULL: none. Async-signal-safe. */
const char *epc_id_at(const struct guestmem *gm, const void *host);
