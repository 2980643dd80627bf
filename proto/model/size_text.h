/* Sizes and small strings as people write them. PURE. */
#pragma once
#include "bulkhead/base.h"

#include <stdio.h>

struct size_text {
	char s[32];
};

/* "512M" when v is a whole number of a suffix's unit, the plain byte count otherwise. Use as size_text(v).s in the same
 * expression. */
struct size_text size_text(uint64_t v);

/* A short string being put together; what does not fit is cut. */
struct txt {
	char s[256];
};

/* Replaces *t; returns t->s, so that it can stand as an argument. */
const char *txt_set(struct txt *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void txt_add(struct txt *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends the members of a bit set as "0-3,7"; bits is the number of bits in w. */
void txt_add_set(struct txt *t, const uint64_t *w, uint32_t bits);
