/* The control socket of a daemon. */
#pragma once
#include "bulkhead/err.h"

#include <sys/types.h>

#define LISTEN_GROUP_NONE ((gid_t)-1)

/* Binds and listens at path; -EADDRINUSE when a live broker answers there. A socket that a killed broker left behind is replaced.
 * mode and group apply before anybody can connect. The descriptor is the caller's. */
int listen_at(const char *path, mode_t mode, gid_t group, struct err *e);
