#include "guestmem/access.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct gm_piece *find(const struct guestmem *gm, gpa_t at)
{
	size_t lo = 0, hi = gm->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct gm_piece *p = &gm->piece[mid];

		if (at.v < p->at.start.v)
			hi = mid;
		else if (at.v - p->at.start.v >= p->at.len.v)
			lo = mid + 1;
		else
			return p;
	}
	return NULL;
}

void *gm_chunk(const struct guestmem *gm, gpa_t at, uint64_t *len)
{
	const struct gm_piece *p = find(gm, at);
	uint64_t offset, room;

	if (!p)
		return hot_chunk(gm, at, len);
	if (*len == 0)
		return NULL;
	offset = at.v - p->at.start.v;
	room = p->at.len.v - offset;
	if (*len > room)
		*len = room;
	return p->host + offset;
}

void *gm_ptr(const struct guestmem *gm, gpa_t at, uint64_t len)
{
	uint64_t got = len;
	void *p = gm_chunk(gm, at, &got);

	return got == len ? p : NULL;
}

bool gm_is_ram(const struct guestmem *gm, gpa_t at, uint64_t len)
{
	uint64_t end;

	if (!add_u64(at.v, len, &end))
		return false;
	while (at.v < end) {
		uint64_t n = end - at.v;

		if (!gm_chunk(gm, at, &n))
			return false;
		at.v += n;
	}
	return true;
}

int gm_read(const struct guestmem *gm, gpa_t at, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (!gm_is_ram(gm, at, len))
		return -EFAULT;
	while (len) {
		uint64_t n = len;
		const void *p = gm_chunk(gm, at, &n);

		if (!p)
			return -EFAULT; /* unplugged this moment */
		memcpy(to, p, (size_t)n);
		to += n;
		at.v += n;
		len -= (size_t)n;
	}
	return 0;
}

int gm_write(const struct guestmem *gm, gpa_t at, const void *buf, size_t len)
{
	const uint8_t *from = buf;

	if (!gm_is_ram(gm, at, len))
		return -EFAULT;
	while (len) {
		uint64_t n = len;
		void *p = gm_chunk(gm, at, &n);

		if (!p)
			return -EFAULT; /* unplugged this moment */
		memcpy(p, from, (size_t)n);
		from += n;
		at.v += n;
		len -= (size_t)n;
	}
	return 0;
}

int gm_clear_fresh(const struct guestmem *gm, gpa_t at, uint64_t len)
{
	if (!gm_is_ram(gm, at, len))
		return -EFAULT;
	while (len) {
		uint64_t n = len;
		const struct gm_piece *p = find(gm, at);
		void *to = gm_chunk(gm, at, &n);

		if (!p || !to)
			return -EFAULT;
		/* Anonymous memory of a new worker is zero already; writing zeros would only allocate it. */
		if (!p || gm->plan->zones[p->zone].backing != BACKING_ANON)
			memset(to, 0, (size_t)n);
		at.v += n;
		len -= n;
	}
	return 0;
}

int gm_load(const struct guestmem *gm, gpa_t at, int fd, uint64_t offset, uint64_t len)
{
	uint64_t end;

	if (!gm_is_ram(gm, at, len))
		return -EFAULT;
	if (!add_u64(offset, len, &end) || end > INT64_MAX)
		return -ENODATA;
	while (len) {
		uint64_t n = len;
		void *p = gm_chunk(gm, at, &n);
		ssize_t got = pread(fd, p, (size_t)n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EFAULT ? -ENOMEM : -errno;
		if (got == 0)
			return -ENODATA;
		at.v += (uint64_t)got;
		offset += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 0;
}
