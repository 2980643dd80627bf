/* Giving rights away, as visible lines in each program's main():
 *
 *	lockdown_enter(PROCESS_WORKER, &e)              the spawner kept its promise; the set-up filter is on
 *	... receive, map, create ...
 *	lockdown_census(fds, n, &e)                     exactly these descriptors are open, no other
 *	lockdown_filter(FILTER_WORKER_VCPU, &e)         in each vCPU thread, as its last act before KVM_RUN
 *	lockdown_filter(FILTER_WORKER_MAIN, &e)         in every other thread
 *
 * What each process may have is rights.table; what each filter allows is NAME.policy. Both are turned into C by gen.c at build
 * time. There is no way to run without: no flag, no environment variable, no build option. Every failure here is final: the
 * caller says the text (if it still has somebody to say it to) and exits. No function here opens a file. */
#pragma once
#include "bulkhead/err.h"
#include "policy/rights.gen.h" /* PROCESS_x and FILTER_x: from rights.table */

/* First thing in main(). Checks, against this process's entry in rights.table: no capability in any set (effective, permitted,
 * inheritable, bounding, ambient), no_new_privs, the uid and gid, the resource limits, the descriptors. Makes the process
 * undumpable and its parent's death deadly. Then puts the entry's first filter on. One thread only.
 * The broker and the spawner have nobody above them to promise anything: they call shed.h first, and this then checks it.
 * 0 or a negative errno: -EPERM a promise was not kept, -EBADF an unexpected or missing descriptor (number in the text). */
int lockdown_enter(const struct process_rights *p, struct err *e);

/* Every open descriptor must be in expected and every one of expected (ascending or not, -1 ignored) must be open. Looks at the
 * whole table below the descriptor limit with one poll(2), and closes what that cannot see: O_PATH descriptors, and what might be
 * above the limit. -EBADF names the first offender. */
int lockdown_census(const int *expected, size_t n, struct err *e);

/* Installs one more filter on the calling thread. Filters only ever add up: a call must be allowed by the new one and by all
 * before it, so a set-up filter contains everything that the later ones need, plus seccomp(2). */
int lockdown_filter(const struct filter *f, struct err *e);
