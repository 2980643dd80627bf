/* What this host has: the kernel's own text under /sys and /proc turned into struct host_facts. Used by the broker for every
 * create, and by the CLI for `plan` and `check-host`. Opens, reads and closes files of the kernel; keeps nothing open; any
 * thread. */
#pragma once
#include "bulkhead/err.h"
#include "model/host_facts.h"

#define HOST_ROOT_REAL (-1)

/* Reads everything. root: HOST_ROOT_REAL, or a directory that stands for "/" (tests feed a made-up tree; then the address bits
 * come from its proc/cpuinfo and not from this machine's CPUID). A missing file costs the fact it holds; only what no plan can do
 * without is an error: CPUs and memory (-ENOENT), more than 64 nodes (-E2BIG), text that cannot be the kernel's (-EINVAL). */
int host_facts_read(int root, struct host_facts *ret, struct err *e);

/* Reads again what changes by itself: free memory, total and free huge pages. For facts from host_facts_read of the same root.
 * spoken_for is the kernel's word alone afterwards. A fraction of the full cost (10 files on a host with one node, 5 for each node
 * on others). *f is untouched on failure. */
int host_facts_refresh(int root, struct host_facts *f, struct err *e);
