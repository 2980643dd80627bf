/* Small things that every room needs: sizes, checked arithmetic, cleanup. No system calls, no state. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KiB (UINT64_C(1) << 10)
#define MiB (UINT64_C(1) << 20)
#define GiB (UINT64_C(1) << 30)
#define TiB (UINT64_C(1) << 40)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Checked arithmetic on anything a guest, a peer or a user can choose. true: *ret_sum is valid. false: it would have
 * overflowed and *ret_sum is untouched. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
	uint64_t r;

	if (__builtin_add_overflow(a, b, &r))
		return false;
	*ret_sum = r;
	return true;
}

static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *ret_product)
{
	uint64_t r;

	if (__builtin_mul_overflow(a, b, &r))
		return false;
	*ret_product = r;
	return true;
}

static inline bool is_pow2(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* align must be a power of two; false on overflow. */
static inline bool align_up_u64(uint64_t v, uint64_t align, uint64_t *ret_aligned)
{
	uint64_t r;

	if (!add_u64(v, align - 1, &r))
		return false;
	*ret_aligned = r & ~(align - 1);
	return true;
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
	return (v & (align - 1)) == 0;
}
