/* What bulkhead-backend and bulkhead-backend-fs do alike: take the broker's request, make the one connection, put descriptors
 * where the program expects them. One thread. */
#pragma once
#include "bulkhead/err.h"
#include "wire/backend.h"

#define BACKEND_FD_BROKER 3 /* the channel, until the program has it for its words */

/* The request, with the one descriptor that comes with it; nothing of either is believed yet. 1: they are there, the descriptor
 * is the caller's; 0: the broker has left. */
int start_receive(struct backend_start *ret_start, int *ret_fd, struct err *e);
/* A listening socket, because these programs take no other, and the only connection that will ever be made to it: its name is the
 * kernel's choice, in a network namespace that nobody else is in. Both are the caller's. */
int start_sockets(int *ret_listener, int *ret_connection, struct err *e);
/* Words go to descriptor 2 from now on, the listener becomes number listener_at, file has to be file_at already, and nothing
 * above the listener is left open. Those of ours came in the order in which they were made, so none is overwritten before it has
 * moved. */
int start_place(int file, int file_at, int listener, int listener_at, struct err *e);
/* Words for an execve that has failed with errno: which package has the program, and what else could be done. */
int start_missing(const char *program, const char *package, const char *instead, struct err *e);
/* Says it to the broker, which takes what comes for words. Returns the exit status. */
int start_fail(const struct err *e);
