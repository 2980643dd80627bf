/* Stands where the spawner stands: starts one of our sandboxed programs with the rights that policy/rights.table gives it, less
 * the namespaces (those are the spawner's own test). Needs root, for the uid of a VM's own. Whatever goes wrong on this side ends
 * the test. */
#pragma once
#include "policy/lockdown.h"

#include <sys/types.h>

/* program: path. uid: one of a VM's own. Returns the child; *ret_channel is our end of its descriptor 3. */
pid_t child_start(const char *program, const struct process_rights *rights, uid_t uid, int *ret_channel);

/* Ends the test with errno's words unless ok. */
void child_must(bool ok, const char *what);
