/* A set of small numbers (host nodes, host CPUs), in the layout that mbind and sched_setaffinity take. */
#pragma once
#include "model/limits.h"

#include <string.h>

#define NODESET_BITS LIM_HOST_NODES

struct nodeset {
	uint64_t w[NODESET_BITS / 64];
};

static inline bool nodeset_has(const struct nodeset *s, uint32_t i)
{
	return i < NODESET_BITS && ((s->w[i / 64] >> (i % 64)) & 1);
}

static inline void nodeset_add(struct nodeset *s, uint32_t i)
{
	if (i < NODESET_BITS)
		s->w[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline bool nodeset_empty(const struct nodeset *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->w); i++)
		if (s->w[i])
			return false;
	return true;
}

static inline unsigned nodeset_count(const struct nodeset *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(s->w); i++)
		n += (unsigned)__builtin_popcountll(s->w[i]);
	return n;
}

/* The lowest member >= from, or -1. `for (int i = nodeset_next(s, 0); i >= 0; i = nodeset_next(s, i + 1))` */
static inline int nodeset_next(const struct nodeset *s, int from)
{
	for (int i = from; i < (int)NODESET_BITS; i++)
		if (nodeset_has(s, (uint32_t)i))
			return i;
	return -1;
}
