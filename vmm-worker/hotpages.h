/* Pages for blocks of hotplug windows: where this process makes them, by populating; where memsrv holds the zone, by asking it on
 * a socket of its own (wire/plug.h), one request after the other. Of slots, back-ends and the guest nothing is known here. One
 * range at a time, over as many calls as it takes, none of which takes long or waits for memsrv. Main thread. */
#pragma once
#include "guestmem/map.h"
#include "wire/plug.h"

#include <poll.h>

struct hot_pages {
	const struct guestmem *gm;
	int memsrv;               /* the socket; -1: every zone with a window is made here, or memsrv is lost */
	bool unheard;             /* it owes an answer, */
	bool late;                /* and was waited for in vain: nobody does again, and what it has made by then it is to drop */
	struct plug_request sent; /* the last one */
	uint64_t until;           /* ms: as long as its answer is waited for; 0: nobody waits */
	bool behind[GM_HOT_MAX];  /* it was too slow to be told of all that went */
	uint64_t turn_end;        /* us: whoever works on, does one step more */

	/* The range under way. */
	const struct gm_hot *h;
	uint64_t from, len; /* bytes of the window */
	uint64_t done;      /* of them */
	bool make;
	bool asked;       /* memsrv, about this range, and it has not answered */
	bool catching_up; /* memsrv is told of all that is not plugged, before it is asked again */
	bool caught_up;   /* that was done for this range */
	uint64_t caught;  /* up to this block of the window */
	int why;          /* not all of it could be made: what was goes back */
	int kept;         /* this process could not drop all */
	int unpaid;       /* nor what was put off before it */

	/* Made ahead by memsrv, of a guest that asks for block after block: nobody's yet. */
	const struct gm_hot *ahead;     /* NULL: none */
	uint64_t ahead_from, ahead_len; /* bytes of the window */
	uint64_t ahead_until;           /* ms */
	uint64_t extra;                 /* bytes that are to be made ahead with the range under way */
	const struct gm_hot *last;      /* the last range that was to be made by memsrv, */
	uint64_t last_end, last_at;     /* where it ended, and us: when */

	/* Put off: pages of this process' own that go back together. */
	const struct gm_hot *owed;    /* NULL: none */
	uint64_t owed_from, owed_len; /* bytes of the window */
	uint64_t owed_until;          /* ms */
};

/* plug_fd: to memsrv, or -1; from now on owned by this. gm must outlive it. */
void hot_pages_init(struct hot_pages *p, const struct guestmem *gm, int plug_fd);

/* Until the next call of this, hot_pages_work goes on for some ms in all, however often it is called. */
void hot_pages_turn(struct hot_pages *p);

/* Begin with a range of blocks; nothing else may be under way. Then hot_pages_work is to be called until it is done. */
void hot_pages_drop(struct hot_pages *p, const struct gm_hot *h, struct mem_range r);
/* more: blocks right behind the range that are not plugged, and that the guest may well ask for next. To wake memsrv and to hear
 * it takes nearly as long as some blocks do, so of a guest that asks for one after the other it makes a few ahead. They go back
 * some ms after the last request at the latest, if hot_pages_settle is called when it says. */
void hot_pages_make(struct hot_pages *p, const struct gm_hot *h, struct mem_range r, uint64_t more);

/* Bytes that were made ahead in a window; and they go back now. */
uint64_t hot_pages_ahead(const struct hot_pages *p, const struct gm_hot *h);
void hot_pages_give_up(struct hot_pages *p);

/* Each time that pages go, every CPU that runs a vCPU is interrupted. A guest that unplugs block after block need not wait for
 * that: true: these go back with the next ones, a few MiB of them, and a few ms later at most if hot_pages_settle is called when
 * it says; before anything else is begun with the window at any rate. false: hot_pages_drop is to be called. now: ms. */
bool hot_pages_put_off(struct hot_pages *p, const struct gm_hot *h, struct mem_range r, uint64_t now);
/* How much of a window that is, bytes. */
uint64_t hot_pages_owed(const struct hot_pages *p, const struct gm_hot *h);
/* What was put off, or made ahead, goes back now, if it is time. Returns ms until it will be time; -1: there is none. */
int hot_pages_settle(struct hot_pages *p, uint64_t now);

/* -EINPROGRESS: it is to be called again, when hot_pages_wait says. 0: done; what was dropped the host has back, and memsrv,
 * which counts it, hears of it while the guest goes on. Any other: what was to be made was not, and what there was of it has gone
 * back; what was to be dropped has perhaps not. -EPIPE, -ETIMEDOUT: memsrv does not answer; -ECANCELED: it was not wanted any
 * more. wanted: whether what is being made still is. now: ms. */
int hot_pages_work(struct hot_pages *p, bool wanted, uint64_t now);

/* While hot_pages_work says -EINPROGRESS: ms after which it wants to be called even if what hot_pages_interest is for has not
 * happened. */
int hot_pages_wait(const struct hot_pages *p, uint64_t now);
/* For poll; its fd is -1 while memsrv is not waited for. */
struct pollfd hot_pages_interest(const struct hot_pages *p);
