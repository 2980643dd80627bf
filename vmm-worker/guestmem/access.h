/* The only road from a guest address to a pointer, always with a length. Guest memory can change under the reader at any time:
 * copy once, then check. All functions are safe on any thread; none of them ever touches a byte outside the plan's pieces. */
#pragma once
#include "bulkhead/err.h"
#include "guestmem/map.h"

/* A pointer to [at, at + len), or NULL unless the whole range lies in one piece. len 0 gives NULL. */
void *gm_ptr(const struct guestmem *gm, gpa_t at, uint64_t len);

/* The same for as much of the range as its first piece holds; *len is cut to that. NULL if at itself is no RAM. */
void *gm_chunk(const struct guestmem *gm, gpa_t at, uint64_t *len);

/* true if every byte of [at, at + len) is RAM, over any number of pieces. */
bool gm_is_ram(const struct guestmem *gm, gpa_t at, uint64_t len);

/* Copies that may cross pieces. -EFAULT, and nothing is copied, if a byte of the range is no RAM. */
int gm_read(const struct guestmem *gm, gpa_t at, void *buf, size_t len);
int gm_write(const struct guestmem *gm, gpa_t at, const void *buf, size_t len);

/* Zeroes memory that nothing was written to since this worker mapped it: loaders only. Anonymous memory is skipped, it is zero.
 */
int gm_clear_fresh(const struct guestmem *gm, gpa_t at, uint64_t len);

/* Reads exactly len bytes of a file at offset into guest memory. -EFAULT: no RAM there; -ENODATA: the file ends earlier;
 * -ENOMEM: the host has no page for it. */
int gm_load(const struct guestmem *gm, gpa_t at, int fd, uint64_t offset, uint64_t len);
