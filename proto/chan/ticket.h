/* A ticket: leave to connect to a socket in somebody's name, later and as often as needed. It is one message that its writer has
 * left in a socket pair (SOCK_SEQPACKET) of his own, with SCM_CREDENTIALS: the kernel says who wrote it, so whoever passes it on
 * can neither change it nor write one in another's name. It is only looked at, never taken out. */
#pragma once
#include "bulkhead/base.h"

#define TICKET_MAGIC UINT64_C(0x314b4954444c4b42) /* "BKLDTIK1": nothing else that we say begins like that */
#define TICKET_PATH  4095u

struct ticket_head { /* the path follows: absolute, without a terminator */
	uint64_t magic;
	uint32_t peer; /* uid of the process that listened there when this was written */
	uint32_t zero;
};
_Static_assert(sizeof(struct ticket_head) == 16, "no holes");
