/* Who answers at which port or address. Filled while the machine is built, only read afterwards. Every access runs under the
 * machine's device lock, so device code never locks. */
#pragma once
#include "bulkhead/err.h"

enum bus_result {
	BUS_DONE,
	BUS_NOBODY, /* no device there; data is all ones on a read */
};

/* One access of a guest, len 1, 2, 4 or 8 bytes at offset from the range's start, never across its end. Write: data is what the
 * guest wrote. Read: data is all ones and the device overwrites what it knows. Devices keep no pointer to it. */
typedef void bus_access_fn(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write);

struct bus_range {
	uint64_t start, len;
	bus_access_fn *access;
	void *dev;
};

#define BUS_RANGES_MAX 256u /* two windows for each of 96 segments, and the platform */

struct bus {
	size_t n;
	struct bus_range range[BUS_RANGES_MAX]; /* ascending */
	uint64_t unclaimed;                     /* accesses that nobody answered */
};

/* -EEXIST: overlaps a range that is there; -ENOSPC. Main thread, before the vCPUs start. */
int bus_add(struct bus *b, uint64_t start, uint64_t len, bus_access_fn *access, void *dev, struct err *e);

/* An access that crosses the border of a range belongs to nobody. Under the device lock. */
enum bus_result bus_access(struct bus *b, uint64_t addr, uint8_t *data, unsigned len, bool write);
