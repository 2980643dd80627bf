/* Who was promised which pages. Between "your memory fits" and "your memory is there" a VM's pages are neither free nor used in
 * the kernel's own counts; the ledger keeps several VMs that are created at the same moment from being promised the same ones.
 * PURE: facts about the host are handed in, fresh for every question. */
#pragma once
#include "model/mem_plan.h"

#define LEDGER_TAKES 128u
#define LEDGER_ANY UINT16_MAX

struct ledger {
	unsigned in_flight; /* VMs whose memory is being made */
	/* Free pages as they were when nothing was in flight, less every promise made since: exact for our own VMs however far
	 * each has come with populating. What others on this host have taken meanwhile is taken off, too; what they give back is
	 * seen as far as it is more than all of flying. Meaningless while in_flight is 0. */
	struct host_facts left;
	struct host_facts flying; /* in the place of free pages: what was promised to VMs in flight */
	/* The same for the host as a whole, by host_purse. What may come from any node is counted here and on no node: which one
	 * it comes from is the kernel's choice. */
	uint64_t all_left[HOST_PURSES], all_flying[HOST_PURSES];
};

/* What one VM was promised: bytes off a node's free pages of one size. */
struct promise {
	bool made;
	bool in_flight;
	size_t n;
	struct {
		uint16_t node; /* index into host_facts.nodes, or LEDGER_ANY */
		uint64_t page_size, bytes;
	} take[LEDGER_TAKES];
};

/* Promises the plan's guaranteed pages, or says who lacks what: zone, node, page size, needed, free, remedy (-ENOMEM). *ret is
 * untouched then. now: facts of this moment. */
int ledger_promise(struct ledger *l, const struct host_facts *now, const struct mem_plan *plan, struct promise *ret,
		   struct err *e);

/* Could they be promised now? Promises nothing. */
int ledger_would(const struct ledger *l, const struct host_facts *now, const struct mem_plan *plan, struct err *e);

/* Takes the plan's guaranteed pages off f's free ones, as far as there are any. */
void ledger_less(struct host_facts *f, const struct mem_plan *plan);

/* The memory is there: from now on the kernel's counts have it. */
void ledger_kept(struct ledger *l, struct promise *p);

/* The memory has been given back, or never came. Safe on a promise that was not made, and twice. */
void ledger_returned(struct ledger *l, struct promise *p);
