/* One message at a time over AF_UNIX SOCK_SEQPACKET, with file descriptors (SCM_RIGHTS). Sizes and fd counts are bounded here,
 * so no room has to think about truncation: a message that does not fit is an error. Nothing is ever closed here: who closes what
 * a stranger sent may have to wait for the stranger, and has to choose where to do that. */
#pragma once
#include "bulkhead/base.h"

#define CHAN_MSG_MAX    (128u * 1024u) /* bytes in one message; the kernel's default send buffer holds it */
#define CHAN_FDS_MAX    160u           /* fds in one message */
#define CHAN_FDS_KERNEL 253u           /* the kernel's own bound (SCM_MAX_FD): what may arrive before we can say no */

struct chan_msg {
	size_t len;
	size_t nfds;
	int fds[CHAN_FDS_KERNEL]; /* owned by the message until taken with fd_take; the rest is closed by chan_msg_close */
	uint8_t data[CHAN_MSG_MAX];
};

/* Closes what nobody took. Safe to call twice, and on a zeroed message. */
void chan_msg_close(struct chan_msg *m);

/* Receives one message into *m (its old fds must be closed already). All fds arrive close-on-exec.
 * Returns 1 on a message, 0 on the end of the peer or an empty message, negative errno otherwise: -EAGAIN nothing there
 * (non-blocking socket), -EMSGSIZE too long or too many fds. Whatever it returns, fds that have arrived are in *m and the
 * caller's to close. */
int chan_recv(int sock, struct chan_msg *m);

/* Sends one message whole; MSG_NOSIGNAL. fds stay the caller's. Returns 0 or negative errno (-EAGAIN on a full non-blocking
 * socket). */
int chan_send(int sock, const void *data, size_t len, const int *fds, size_t nfds);

/* Both ends of a new channel, close-on-exec, the caller's. flags: 0 or SOCK_NONBLOCK. */
struct err;
int chan_pair(int flags, int *ret_a, int *ret_b, struct err *e);
