/* Memory as a guest would have it: one sealed memfd, shown to the daemon as regions whose guest addresses, user addresses and
 * file offsets all differ, so that a daemon that confuses two of them does not get away with it. */
#pragma once
#include "bulkhead/err.h"
#include "bulkhead/abi/vhost_user.h"

#define MEM_REGION  (4 * MiB)
#define MEM_REGIONS 3u /* the third is for tests that add and remove */

struct memory {
	int fd;
	uint8_t *map; /* all regions, one behind the other */
	struct vu_region region[MEM_REGIONS];
};

int memory_make(struct memory *m, struct err *e);
void memory_free(struct memory *m);

/* Guest and user address of a place in the mapping. */
uint64_t memory_gpa(const struct memory *m, size_t at);
uint64_t memory_user(const struct memory *m, size_t at);
