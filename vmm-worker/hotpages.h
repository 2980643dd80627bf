/* Pages for blocks of hotplug windows: where this process makes them, by populating; where memsrv holds the zone, by asking it on
 * a socket of its own (wire/plug.h), one request after the other. Of slots, back-ends and the guest nothing is known here. Main
 * thread. */
#pragma once
#include "guestmem/map.h"
#include "wire/plug.h"

struct hot_pages {
	int memsrv;               /* the socket; -1: every zone with a window is made here, or memsrv is lost */
	bool unheard;             /* it owes an answer, */
	bool late;                /* and was waited for in vain: nobody does again, and what it has made by then it is to drop */
	struct plug_request sent; /* the last one */
	bool behind[GM_HOT_MAX];  /* it was too slow to be told of all that went */
};

/* All or none. Negative errno: -EPIPE, -ETIMEDOUT: memsrv does not answer; otherwise the host's reason. */
int hot_pages_make(struct hot_pages *p, const struct guestmem *gm, const struct gm_hot *h, struct mem_range r);

/* The host has them back when this returns. memsrv, which counts them, hears of it while the guest goes on. Negative errno. */
int hot_pages_drop(struct hot_pages *p, const struct guestmem *gm, const struct gm_hot *h, struct mem_range r);
