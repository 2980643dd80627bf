/* TAP and the host's counters, for memsrv_harness*.c. */
#pragma once
#include "memsrv_peer.h"

extern const char *program; /* bulkhead-memsrv */

/* One TAP line. Returns cond. */
bool ok(bool cond, const char *fmt, ...) PRINTF_LIKE(2, 3);
void note(const char *fmt, ...) PRINTF_LIKE(1, 2);
void skip(const char *name, const char *why);

/* A number from a file of /sys. */
uint64_t sysfs_number(const char *path);

struct pool {
	uint64_t page_size;
	char total[96], free[96], reserved[96];
};

/* Makes at least that many pages free; false if the host cannot (then nothing was changed for good). Undone at exit, however that
 * comes. */
bool pool_open(struct pool *p, uint64_t page_size, uint64_t pages);

struct plan_zone zone(const char *id, enum backing backing, uint64_t size);

/* Starts, sends a plan of these zones, waits for the answer. true: MS_ZONES came. */
bool ask(struct peer *p, const struct plan_zone *zones, size_t n, const struct fd_tag *tags, const int *fds, size_t nfds);

/* Ends it; true if it exited by itself with that status. */
bool ended(struct peer *p, int exit_status);

/* ended(p, 1) after an MS_FAILED whose text contains all of these (NULL-terminated). */
bool refused(struct peer *p, const char *const *words);

uint64_t resident(int fd);

void test_memfd(void);
void test_hugetlb(void);
void test_files(void);
void test_nodes(void);
void test_ends(void);
