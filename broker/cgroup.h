/* Cgroups for back-ends, where the broker was given one of cgroup v2 to divide: by systemd (Delegate=yes in its unit) or by name
 * (--cgroup). The broker and what it starts, back-ends apart, move to a leaf of it, because the kernel divides a cgroup only
 * when no process is in it; each back-end's own is made, limited and removed by the spawner of back-ends (spawner/cgroup.c). */
#pragma once
#include "spawn.h"

struct cgroups {
	struct spawn_cgroups fds; /* owned; closed when the spawner has its copies */
	char path[400];           /* of what is divided; "": nothing is */
	char why_not[400];        /* "" if something is */
};

/* named NULL: the broker's own, if it is delegated; then the lack of one is no error, but *ret says why. Otherwise that directory
 * or a negative errno. Kills and removes what a broker that was killed has left there; waits a few seconds for one that is still
 * ending. Call before anything is forked, with all rights. */
int cgroups_enter(const char *named, struct cgroups *ret, struct err *e);
