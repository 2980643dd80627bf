/* Which blocks of a hotplug window the guest has: what virtio-mem's requests mean (virtio 1.2, 5.15.6). PURE. */
#pragma once
#include "bulkhead/base.h"

#include <linux/virtio_mem.h>

struct mem_blocks {
	uint64_t start;      /* guest-physical; a multiple of block_size */
	uint64_t block_size; /* a power of two */
	uint64_t n;          /* blocks of the window */
	uint64_t n_plugged;
	uint64_t wanted; /* how many the guest may have, at most n; less than n_plugged while it is to give some back */
	uint64_t *bits;  /* mem_blocks_words(n) of them; 1: plugged. Written by one thread, read by any */
};

struct mem_range {
	uint64_t first, n; /* blocks */
};

static inline size_t mem_blocks_words(uint64_t n)
{
	return (size_t)((n + 63) / 64);
}

/* bits: the caller's, all zero. */
void mem_blocks_init(struct mem_blocks *b, uint64_t start, uint64_t block_size, uint64_t n, uint64_t *bits);

/* Judges a request and changes nothing. VIRTIO_MEM_RESP_ACK: it may be done, *ret is what it is about (all blocks for UNPLUG_ALL)
 * and, for STATE, *ret_state the answer. NACK: not now. ERROR: never. */
uint16_t mem_blocks_judge(const struct mem_blocks *b, const struct virtio_mem_req *rq, struct mem_range *ret,
			  uint16_t *ret_state);

/* The range must lie inside. Blocks that are so already do no harm. */
void mem_blocks_set(struct mem_blocks *b, struct mem_range r, bool plugged);

bool mem_blocks_has(const struct mem_blocks *b, uint64_t block);

/* How many blocks from `from` on, at most `most`, are in the same state as the first. 0 beyond the end. */
uint64_t mem_blocks_run(const struct mem_blocks *b, uint64_t from, uint64_t most);
