/* Our side of one connection to a vhost-user back-end: greeting, starting and stopping its rings. Never waits: everything is a
 * step that sends a message and comes back when the answer is there or its time is over. Whatever a back-end does wrong ends the
 * connection, with the reason in why; a new one begins with vu_front_connect. Main thread only; knows nothing of virtio's
 * registers. */
#pragma once
#include "vhost/codec.h"

#include <poll.h>

#define VU_QUEUES_MAX     32u
#define VU_MAP_MAX        256u   /* regions of guest memory for one back-end */
#define VU_ANSWER_MS      10000u /* for an answer */
#define VU_DRAIN_MS       30000u /* for the last requests of a ring to end */
#define VU_CONFIG_CHANGES 64u    /* that a back-end may announce in a second */

enum vu_phase {
	VU_DOWN,     /* no connection */
	VU_GREETING, /* it says what it can */
	VU_IDLE,
	VU_STARTING,
	VU_RUNNING,
	VU_STOPPING,
	VU_TELLING, /* it learns of memory that came or went */
};

struct vu_ring {
	bool on;      /* part of what is started */
	bool enabled; /* it may take requests: of a network device only those that the driver has asked for */
	uint16_t size, base;
	uint64_t desc, avail, used; /* as the memory table's user addresses */
	int kick, call;             /* the device's */
};

struct vu_map {
	struct vu_region region;
	int fd; /* the machine's */
};

struct vu_front {
	/* The device's, set before the first connection. */
	unsigned n_queues;
	unsigned queues_per_unit; /* what GET_QUEUE_NUM counts: 1, or pairs */
	uint32_t config_want;     /* bytes to ask for; 0: it has none for us */
	bool config_any;          /* less is fine too */
	unsigned n_map;           /* the memory that it is to know; stays as it is while that is told */
	const struct vu_map *map;
	struct vu_ring ring[VU_QUEUES_MAX];
	uint64_t accepted; /* features, for the next start */

	/* What it said. */
	uint64_t features, protocol;
	unsigned max_map; /* regions that it takes */
	uint32_t config_len;
	uint8_t config[VU_CONFIG_MAX];
	bool config_changed; /* read again after it said so; whoever looks clears it */

	enum vu_phase phase;
	struct err why; /* of VU_DOWN */
	bool hopeless;  /* it did something after which no connection shall follow */

	/* Connection. */
	int sock, request_sock, request_peer;
	unsigned n_told; /* regions that it knows */
	struct vu_region told[VU_MAP_MAX];
	enum vu_phase after; /* of VU_TELLING */
	bool config_stale;
	/* QEMU's library keeps a record of requests in flight for whoever asks for it, but its storage daemon (7.2) does not say so. */
	bool records;
	int inflight_fd; /* kept over connections; -1: none */
	struct vu_inflight inflight;
	unsigned step, round;
	uint64_t deadline; /* ms; 0: nothing is awaited */
	bool sending, awaiting, own_errand;
	size_t out_done, in_done;
	struct vu_msg out, in;
	struct vu_hdr request_in;
	size_t request_done;
	uint64_t changes_since;
	unsigned changes;
};

void vu_front_init(struct vu_front *f);

/* Takes over the descriptors: a connected stream socket, and both ends of a pair for the back-end's requests. */
void vu_front_connect(struct vu_front *f, int sock, int request_sock, int request_peer, uint64_t now);

/* From VU_IDLE, with ring[] filled in. fresh: the guest starts anew, nothing is in flight. */
void vu_front_start(struct vu_front *f, bool fresh, uint64_t now);

/* From VU_RUNNING. Afterwards ring[].base says where each has stopped. */
void vu_front_stop(struct vu_front *f, uint64_t now);

/* map[] is what the back-end is to know from now on. From VU_IDLE; from VU_RUNNING only if nothing that it knows goes away and it
 * takes regions one by one. Ends in the same phase. */
void vu_front_tell(struct vu_front *f, uint64_t now);
bool vu_front_adds(const struct vu_front *f); /* it takes regions one by one */

/* Ends the connection. */
void vu_front_drop(struct vu_front *f, const char *why);

#define VU_FRONT_POLL 2u
/* What to wait for, and until when (ms; UINT64_MAX: no bound). */
void vu_front_poll(const struct vu_front *f, struct pollfd p[VU_FRONT_POLL]);
uint64_t vu_front_until(const struct vu_front *f);
/* p as filled in by vu_front_poll, with revents; also when nothing came, for what is overdue. */
void vu_front_work(struct vu_front *f, const struct pollfd p[VU_FRONT_POLL], uint64_t now);
