/* Pumps bytes between the user's terminal and the socket that carries a VM's serial line. The worker gets the socket's other end
 * and never the terminal itself. */
#pragma once
#include "bulkhead/err.h"

#include <signal.h>

struct console {
	int sock; /* our end, non-blocking */
	bool raw; /* the terminal was switched and must be restored */
	bool stdin_open;
	sigset_t *wait_mask; /* signals blocked outside of waiting; NULL: nothing changes. The caller's */
	bool detached;       /* the user typed the escape key */
	size_t in_len;       /* typed, not yet taken by the guest */
	uint8_t in[4096];
};

#define CONSOLE_ESCAPE 0x1d /* ctrl-] */

/* Makes the pair; *ret_peer is the end for the worker, the caller's to send and close. */
int console_open(struct console *c, int *ret_peer, struct err *e);
/* Switches a terminal on stdin to raw mode, once the VM is there to type to. */
void console_start(struct console *c);
/* Restores the terminal and closes. Idempotent. */
void console_close(struct console *c);

/* Waits for the console or for other_fd (-1: none) and moves what can be moved. other_fd's readiness goes to *ret_other.
 * timeout_ms < 0: for ever. Returns 0, or -EINTR after a signal. */
int console_poll(struct console *c, int other_fd, int timeout_ms, bool *ret_other);

/* Writes out what the guest has said and the socket still holds, after the VM ended. */
void console_drain(struct console *c);
