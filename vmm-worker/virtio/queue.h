/* The device's side of a split virtqueue (virtio 1.2, 2.7). Everything in it belongs to the guest, which may change it while it
 * is read: each field is copied once, then checked, and only the copy is used. Whatever a guest writes there, every loop ends and
 * no byte outside guest memory is touched. PURE: guest memory comes through a function of the caller's. */
#pragma once
#include "bulkhead/base.h"

#define VIRTQ_SIZE_MAX 256u
#define VIRTQ_SEGS_MAX 320u /* of one chain: a descriptor for every entry, and some that lie across the border of two zones */

/* As gm_chunk: a pointer to as much of [at, at + *len) as lies together, *len cut to that; NULL if there is no memory. */
typedef void *virtq_memory_fn(const void *arg, uint64_t at, uint64_t *len);

/* A part of a buffer that lies together in this process. */
struct virtq_seg {
	void *at;
	size_t len;
};

struct virtq_memory {
	virtq_memory_fn *chunk;
	const void *arg;
};

struct virtq {
	/* What the driver set up; constant while enabled. */
	uint64_t desc, avail, used; /* guest addresses */
	uint16_t size;              /* a power of two */
	bool enabled, event_idx;
	unsigned epoch; /* changes with every reset: a buffer of an earlier one is nobody's any more */
	/* Where we are. */
	uint16_t next_avail, next_used;
	uint16_t signalled; /* next_used when it was last asked whether the driver wants an interrupt */
	bool signalled_valid;
	bool broken; /* the driver wrote nonsense: nothing more until it resets the device */
};

/* One request. readable: what the driver has written for us; writable: where the answer goes. */
struct virtq_chain {
	uint16_t head;
	unsigned n_readable, n_writable;
	uint64_t readable_len, writable_len;
	struct virtq_seg readable[VIRTQ_SEGS_MAX], writable[VIRTQ_SEGS_MAX];
};

/* false: the addresses are not aligned as 2.7 demands, the size is no power of two, or it is not all memory. */
bool virtq_enable(struct virtq *q, const struct virtq_memory *mem, bool event_idx);

/* The next request. 1: *ret is it; 0: there is none; -EPROTO: the queue is broken, now or already. */
int virtq_pop(struct virtq *q, const struct virtq_memory *mem, struct virtq_chain *ret);

/* Puts the chain of the last pop back: it will be the next one again. Only while nothing was popped or pushed since. */
void virtq_unpop(struct virtq *q);

/* Gives a chain back with the number of bytes written to it. */
void virtq_push(struct virtq *q, const struct virtq_memory *mem, uint16_t head, uint32_t written);

/* Does the driver want an interrupt for what was pushed since the last call (2.7.7)? Not for nothing. */
bool virtq_wants_interrupt(struct virtq *q, const struct virtq_memory *mem);

/* After a pop that found nothing: asks the driver to notify. true: a request has come meanwhile, pop again. */
bool virtq_ask_notify(struct virtq *q, const struct virtq_memory *mem);

/* Copies between a buffer and segments, from their start; returns how many bytes that were. */
size_t seg_fill(const struct virtq_seg *seg, unsigned n, const void *from, size_t len);
size_t seg_fetch(const struct virtq_seg *seg, unsigned n, void *to, size_t len);
