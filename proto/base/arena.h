/* A bounded bump allocator over a buffer that the caller owns: whatever a peer sends, decoding it can use no more than that.
 * Freeing is resetting. Not thread-safe: one arena, one thread. */
#pragma once
#include "bulkhead/base.h"

struct arena {
	uint8_t *buf;
	size_t cap;
	size_t used;
};

static inline struct arena arena_over(void *buf, size_t cap)
{
	return (struct arena){buf, cap, 0};
}

/* 16-byte aligned, zeroed; NULL when the arena is full (the caller answers -ENOBUFS). */
void *arena_alloc(struct arena *a, size_t size);
/* n elements of size bytes each, overflow-checked. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* A terminated copy of at most len bytes of s. */
char *arena_strndup(struct arena *a, const char *s, size_t len);
