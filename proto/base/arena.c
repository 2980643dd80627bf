#include "base/arena.h"

#include <string.h>

void *arena_alloc(struct arena *a, size_t size)
{
	uintptr_t base = (uintptr_t)a->buf;
	uint64_t at, end;

	if (!align_up_u64(base + a->used, 16, &at) || !add_u64(at - base, size, &end) || end > a->cap)
		return NULL;
	a->used = (size_t)end;
	memset((void *)(uintptr_t)at, 0, size);
	return (void *)(uintptr_t)at;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	uint64_t total;

	return mul_u64(n, size, &total) ? arena_alloc(a, (size_t)total) : NULL;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	size_t n = strnlen(s, len);
	char *r = arena_alloc(a, n + 1);

	if (r)
		memcpy(r, s, n);
	return r;
}
