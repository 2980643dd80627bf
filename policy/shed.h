/* Taking rights away from oneself: the broker and the spawner, which nobody above them has confined. Order in main():
 * shed_limits, shed_capabilities, shed_paths, then lockdown_enter checks and puts the filter on. */
#pragma once
#include "bulkhead/err.h"
#include "policy/rights.gen.h"

/* The entry's resource limits (soft and hard; a lower inherited limit stays). */
int shed_limits(const struct process_rights *p, struct err *e);

/* Keeps the capabilities in keep (bits, a subset of what it has) as effective and permitted; all else goes from all five sets,
 * and no_new_privs is set. The bounding set stays for callers who may not change it; with no_new_privs it has no meaning. */
int shed_capabilities(uint64_t keep, struct err *e);

struct shed_path {
	const char *path;
	bool write; /* a file: opened for writing too. A directory: names below may be removed, and nothing below opened */
};

/* Landlock: from now on files are opened below these paths only. A path that does not exist is left out. 0: on; 1: this kernel
 * has no Landlock (the caller says so in its isolation text if it matters); negative errno otherwise. Needs no_new_privs. */
int shed_paths(const struct shed_path *paths, size_t n, struct err *e);
