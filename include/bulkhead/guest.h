/* Guest-physical addresses as types of their own, so that the compiler refuses to mix them with host numbers.
 * All units are bytes. */
#pragma once
#include "bulkhead/base.h"

typedef struct {
	uint64_t v;
} gpa_t; /* a guest-physical address */

typedef struct {
	uint64_t v;
} glen_t; /* a length in guest-physical space */

typedef struct {
	gpa_t start;
	glen_t len;
} gspan_t; /* [start, start + len); len 0 is an empty span */

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

static inline glen_t glen(uint64_t v)
{
	return (glen_t){v};
}

static inline gspan_t gspan(uint64_t start, uint64_t len)
{
	return (gspan_t){{start}, {len}};
}

/* The first address behind the span; false if the span wraps around 2^64. */
static inline bool gspan_end(gspan_t s, uint64_t *ret_end)
{
	return add_u64(s.start.v, s.len.v, ret_end);
}

/* true if [at, at + len) lies wholly inside s; a wrapping range never does. */
static inline bool gspan_contains(gspan_t s, gpa_t at, glen_t len)
{
	uint64_t end, s_end;

	if (!add_u64(at.v, len.v, &end) || !gspan_end(s, &s_end))
		return false;
	return at.v >= s.start.v && end <= s_end;
}

static inline bool gspan_overlaps(gspan_t a, gspan_t b)
{
	uint64_t a_end, b_end;

	if (a.len.v == 0 || b.len.v == 0)
		return false;
	if (!gspan_end(a, &a_end) || !gspan_end(b, &b_end))
		return true;
	return a.start.v < b_end && b.start.v < a_end;
}
