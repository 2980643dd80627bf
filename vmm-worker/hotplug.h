/* What virtio-mem's requests, and DIMMs that come and go, do to memory: pages first, then the slot, then the back-ends, then the
 * guest's answer; and the other way round. One change after the other, each over as many calls as its pages take, and back-ends
 * that have to be waited for. Main thread, without the device lock, which these take where they need it. */
#pragma once
#include "bulkhead/err.h"
#include "guestmem/map.h"
#include "hotpages.h"
#include "kvm/hotslots.h"
#include "virtio/mem.h"

struct machine;

/* Where a change has got to. */
enum hotplug_stage {
	STAGE_MAKE, /* pages are made: nobody sees them yet */
	STAGE_TELL, /* back-ends are told of what is in slots now, or is not any more */
	STAGE_DROP, /* pages go back: nobody sees them any more */
};

/* A run of blocks on its way. */
struct hotplug_change {
	bool there, plug;
	enum hotplug_stage stage;
	uint16_t response; /* the guest's answer when it is over */
	size_t window;
	struct mem_range range;
	uint64_t leaving; /* blocks that are not plugged any more, and whose pages the host does not have back yet */
	uint64_t until;   /* ms: then back-ends that have not followed are given up */
	bool still;       /* vCPUs are held until disks have answered all requests */
	uint64_t turn;    /* ms: then they are let go if they are held, and held again if that is still needed */
};

struct hotplug {
	struct hot_pages pages;
	struct hot_slots slots;
	size_t n;                          /* as many as guestmem has windows, in its order */
	bool acpi;                         /* one window, and it is filled with DIMMs */
	struct mem_device mem[GM_HOT_MAX]; /* virtio-mem's side; unused with ACPI */
	struct mem_job dimm_job;           /* ACPI: what is done now, and for which slot */
	uint32_t dimm_slot;
	uint32_t request[GM_HOT_MAX];  /* number of the last one */
	char refused[GM_HOT_MAX][128]; /* why the host could not give what was asked for; "": it could */
	uint64_t strayed[GM_HOT_MAX];  /* touches of what is not plugged */
	uint64_t told_at[GM_HOT_MAX];  /* ms */
	uint64_t told[GM_HOT_MAX];     /* plugged blocks */
	bool lost;                     /* KVM did not give a slot back: the machine cannot go on */
	struct hotplug_change change;
	size_t next;  /* window whose turn it is */
	bool awaited; /* vCPUs that ask wait for the answer */
};

/* How vCPUs are kept from running for a moment. Holding what is held, and releasing what is not, does no harm. */
struct hotplug_pause {
	void (*hold)(void *arg);
	void (*release)(void *arg);
	void *arg;
};

/* While the machine is built: devices for the windows that guestmem has. plug_fd stays open with the machine. */
void hotplug_init(struct machine *m, int plug_fd);
int hotplug_init_slots(struct machine *m, struct err *e);

/* Does what the guest has asked for, and what was asked of it, as far as that can be done now. Returns ms after which it wants to
 * be called again even if nothing happens, -1: never. now: ms. */
int hotplug_work(struct machine *m, const struct hotplug_pause *pause, uint64_t now);
/* For poll: what it waits for beside back-ends; an fd of -1: nothing. */
struct pollfd hotplug_interest(const struct machine *m);

/* Asks the guest of a zone to have `bytes` of its window. number: the answers to it bear it. false: there is no such window. */
bool hotplug_request(struct machine *m, uint16_t zone, uint64_t bytes, uint32_t number);

struct hotplug_news {
	uint16_t zone;
	uint32_t request;
	uint64_t wanted, plugged, idle; /* bytes; idle: plugged, but the guest has not taken it into use */
	bool driver;
	bool over; /* the request has its outcome */
	const char *refused;
	size_t n_dimms;
	uint32_t dimms[LIM_DIMMS]; /* blocks of each, oldest first */
	uint64_t denied, strayed;
};

/* vCPU threads, under the device lock: an access that no memory slot has. */
void hotplug_strayed(struct machine *m, gpa_t at);

/* From now on everything is news, so that what is counted is told too. */
void hotplug_count(struct machine *m);

/* Something to tell the broker: true once for each window that changed, at most every 50 ms while it is on its way, every 10 ms
 * otherwise. now: ms. *ret_again: ms until something may be told that is held back now, -1: nothing is. */
bool hotplug_news(struct machine *m, uint64_t now, struct hotplug_news *ret, int *ret_again);

/* --- hottell.c: back-ends hear of a change. Without the device lock --- */

/* Whether all that are there can be told of window i's range; if not, refused says why. */
bool hottell_takes(struct machine *m, size_t i, struct mem_range r, bool plug);
void hottell_begin(struct machine *m, const struct hotplug_change *c);
/* true: every back-end has followed, or is gone. now: ms. */
bool hottell_done(struct machine *m, struct hotplug_change *c, const struct hotplug_pause *pause, uint64_t now);

/* --- dimms.c: with ACPI, who asks hotplug.c for memory. Under the device lock --- */

/* The next thing to be done, also kept in dimm_job; dimms_answer says when it is. */
struct mem_job dimms_job(struct machine *m);
/* Whether the DIMM that dimm_job fills is still to come. */
bool dimms_want(const struct machine *m);
void dimms_answer(struct machine *m, uint16_t response);
/* hotplug_request and hotplug_news. */
void dimms_ask(struct machine *m, uint64_t bytes);
bool dimms_news(struct machine *m, struct hotplug_news *ret);
