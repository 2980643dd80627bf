/* One message at a time over AF_UNIX SOCK_SEQPACKET, with file descriptors (SCM_RIGHTS). Sizes and fd counts are bounded here,
 * so no room has to think about truncation: a message that does not fit is an error and its fds are closed by chan_recv. */
#pragma once
#include "bulkhead/base.h"

#define CHAN_MSG_MAX (128u * 1024u) /* bytes in one message; the kernel's default send buffer holds it */
#define CHAN_FDS_MAX 128u           /* fds in one message; the kernel's own bound is 253 */

struct chan_msg {
	size_t len;
	size_t nfds;
	int fds[CHAN_FDS_MAX]; /* owned by the message until taken with fd_take; the rest is closed by chan_msg_close */
	uint8_t data[CHAN_MSG_MAX];
};

/* Closes what nobody took. Safe to call twice, and on a zeroed message. */
void chan_msg_close(struct chan_msg *m);

/* Receives one message into *m (its old fds must be closed already). All fds arrive close-on-exec.
 * Returns 1 on a message, 0 on orderly end of the peer, negative errno otherwise:
 * -EAGAIN nothing there (non-blocking socket), -EMSGSIZE too long or too many fds (everything that arrived is closed). */
int chan_recv(int sock, struct chan_msg *m);

/* Sends one message whole; MSG_NOSIGNAL. fds stay the caller's. Returns 0 or negative errno (-EAGAIN on a full non-blocking socket). */
int chan_send(int sock, const void *data, size_t len, const int *fds, size_t nfds);
