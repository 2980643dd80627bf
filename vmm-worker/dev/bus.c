#include "dev/bus.h"

#include <errno.h>
#include <string.h>

int bus_add(struct bus *b, uint64_t start, uint64_t len, bus_access_fn *access, void *dev, struct err *e)
{
	uint64_t end;
	size_t at = 0;

	if (len == 0 || !add_u64(start, len, &end))
		return err_set(e, -EINVAL, "bus: an empty or endless range at %#llx", (unsigned long long)start);
	if (b->n == BUS_RANGES_MAX)
		return err_set(e, -ENOSPC, "bus: more than %u ranges", BUS_RANGES_MAX);
	while (at < b->n && b->range[at].start < start)
		at++;
	if ((at < b->n && b->range[at].start < end) || (at > 0 && b->range[at - 1].start + b->range[at - 1].len > start))
		return err_set(e, -EEXIST, "bus: %#llx is taken", (unsigned long long)start);
	memmove(&b->range[at + 1], &b->range[at], (b->n - at) * sizeof(b->range[0]));
	b->range[at] = (struct bus_range){start, len, access, dev};
	b->n++;
	return 0;
}

enum bus_result bus_access(struct bus *b, uint64_t addr, uint8_t *data, unsigned len, bool write)
{
	size_t lo = 0, hi = b->n;

	if (!write)
		memset(data, 0xff, len);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct bus_range *r = &b->range[mid];

		if (addr < r->start) {
			hi = mid;
		} else if (addr - r->start >= r->len) {
			lo = mid + 1;
		} else if (r->len - (addr - r->start) < len) {
			break;
		} else {
			r->access(r->dev, addr - r->start, data, len, write);
			return BUS_DONE;
		}
	}
	b->unclaimed++;
	return BUS_NOBODY;
}
