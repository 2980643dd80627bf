/* The driver's side of one split ring, written for this program alone: it can also be wrong on purpose. What the daemon writes
 * (used ring, avail_event) is copied once and checked. Needs a handler for SIGALRM
 * that does nothing (main.c). */
#pragma once
#include "memory.h"

#include <linux/virtio_ring.h>

#define RING_SIZE 64u
#define RING_ROOM 0x4000u /* bytes of memory for one */

struct buf {
	uint64_t gpa;
	uint32_t len;
	bool write; /* the device writes */
};

struct ring {
	uint32_t queue;
	const struct memory *mem;
	size_t at;           /* where it lies in the mapping */
	uint16_t avail;      /* entries made available, as the index in memory */
	uint16_t seen;       /* used entries taken */
	uint16_t next;       /* free descriptor, round and round */
	bool out[RING_SIZE]; /* heads that the device has */
	unsigned n_out;
	int kick, call;
};

struct vring_desc *ring_desc(const struct ring *r);
size_t ring_desc_at(const struct ring *r);
size_t ring_avail_at(const struct ring *r);
size_t ring_used_at(const struct ring *r);

/* An empty ring whose indices begin at base. */
int ring_make(struct ring *r, uint32_t queue, const struct memory *mem, size_t at, uint16_t base, struct err *e);
void ring_free(struct ring *r);

/* Makes a chain available; returns its head. indirect: through a table at that place of the mapping (0: none). */
uint16_t ring_add(struct ring *r, const struct buf *b, unsigned n, size_t indirect);
/* Puts any head into the available ring. */
void ring_offer(struct ring *r, uint16_t head);
void ring_set_flags(struct ring *r, uint16_t flags);
void ring_set_used_event(struct ring *r, uint16_t idx);
uint16_t ring_used_idx(const struct ring *r);

void ring_kick(struct ring *r);
/* The device called, within that time. Takes the call. */
bool ring_called(struct ring *r, int ms);
/* true if nothing comes back within that time. */
bool ring_quiet(const struct ring *r, unsigned ms);
/* Waits until n more chains came back, looks at each: its head was out, and is out no more. */
int ring_wait(struct ring *r, unsigned n, unsigned ms, struct err *e);
