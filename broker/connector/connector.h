/* Inside the connector: what its files share. Nothing here is for the broker's own code (that is ../connector.h). */
#pragma once
#include "../connector.h"

#include "chan/ticket.h"

struct question {
	uint32_t vm, device; /* come back with the answer; mean nothing here */
};

struct answer {
	uint32_t vm, device;
	char text[256]; /* "": a connection comes with it */
};

struct ticket {
	uid_t uid; /* who wrote it */
	uid_t peer;
	char path[TICKET_PATH + 1];
};

/* ticket.c: fd may be anything. -EPROTO: it is no ticket. */
int ticket_read(int fd, struct ticket *ret);

/* connector.c: the process. */
_Noreturn void connector_main(int channel);
