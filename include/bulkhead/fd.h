/* An owned file descriptor is a plain int with CLEANUP(fd_cleanup); -1 is "none". fd_take moves ownership out. */
#pragma once
#include "bulkhead/base.h"

void fd_cleanup(int *fd); /* closes *fd if it is one and sets it to -1; keeps errno */

static inline int fd_take(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}
