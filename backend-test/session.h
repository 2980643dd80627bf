/* A device as a driver and its VMM would set it up: connection, memory, rings, and requests of the device's type. */
#pragma once
#include "daemon.h"
#include "link.h"
#include "ring.h"

#define VIRTIO_VERSION_1 32u
#define VIRTIO_INDIRECT  28u
#define VIRTIO_EVENT_IDX 29u
#define SESSION_RINGS    2u
#define SLOTS            32u
#define SLOT_SIZE        0x2000u
#define INDIRECT_AT      0x80000u /* tables, one for each slot */
#define REQUEST_BUFS     3u

struct session;

/* What a type of device needs, and one harmless request that any of its devices answers. */
struct kind {
	const char *name;
	uint32_t id;
	unsigned n_rings, io; /* rings to set up, and which one takes requests */
	unsigned units;       /* rings that one of GET_QUEUE_NUM counts */
	const char *request_text;
	int (*prepare)(struct session *s, struct err *e); /* NULL: nothing */
	unsigned (*request)(struct session *s, unsigned slot, struct buf *ret);
	int (*check)(struct session *s, unsigned slot, struct err *e);
};

extern const struct kind kinds[];
extern const unsigned n_kinds;

struct want {
	uint64_t features; /* beside VERSION_1, if they are offered */
	uint64_t refuse;   /* features not to accept */
	uint64_t without;  /* protocol features not to agree on */
	uint16_t base;     /* where the rings begin */
	uint32_t queue;    /* first ring's number, for devices of one ring */
};

struct session {
	struct link l;
	struct memory mem;
	const struct kind *kind; /* NULL: a type whose requests are not known here */
	unsigned n_rings;
	struct ring ring[SESSION_RINGS];
	uint64_t offered, features, protocol_offered, protocol;
	size_t slots; /* where requests' buffers lie in the mapping */
	uint64_t unique;
};

/* Everything that is agreed on before memory and rings. */
int session_greet(struct daemon *d, const struct kind *kind, struct session *s, const struct want *w, unsigned ms, struct err *e);
int session_memory(struct session *s, struct err *e);
/* Rings start at their own indices. */
int session_ring(struct session *s, struct ring *r, struct err *e);
int session_rings(struct session *s, struct err *e);
/* All three, and what the type wants said first. */
int session_open(struct daemon *d, const struct kind *kind, struct session *s, const struct want *w, unsigned ms, struct err *e);
void session_close(struct session *s);

struct ring *session_io_ring(struct session *s);
uint8_t *session_slot(const struct session *s, unsigned slot);
uint64_t session_slot_gpa(const struct session *s, unsigned slot);
/* n at most SLOTS requests at once, all answered and right. */
int session_io(struct session *s, unsigned n, bool indirect, struct err *e);
/* The same in two halves. */
void session_submit(struct session *s, unsigned n, bool indirect);
int session_complete(struct session *s, unsigned n, struct err *e);
/* Stops a ring; where it has stopped. */
int session_stop(struct session *s, const struct ring *r, uint16_t *ret_base, struct err *e);
int session_set_addr(struct session *s, const struct ring *r, struct err *e);
