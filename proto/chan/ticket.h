/* A ticket: leave to connect to a socket in somebody's name, later and as often as needed. It is a memfd. Whose it is, the kernel
 * says: its owner is who made it, and only CAP_CHOWN over both could make it another's. What it was made for is its name, which
 * nobody can change, so that no memfd that was made for something else is one. And what it says stays, by its seals. So whoever
 * passes it on can neither alter it nor make one in another's name, and to read it is to wait for nobody: it is the reader's copy
 * that is looked at, and a file system of somebody else's has no part in it. */
#pragma once
#include "bulkhead/base.h"

#include <fcntl.h>

#define TICKET_NAME  "bulkhead-ticket-1"
#define TICKET_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define TICKET_PATH  4095u

struct ticket_head {   /* the path follows, to the end: absolute, without a terminator */
	uint32_t peer; /* uid of the process that listened there when this was written */
	uint32_t zero;
};
_Static_assert(sizeof(struct ticket_head) == 8, "no holes");
