/* The CLI's end of the control protocol: one connection, one request under way. */
#pragma once
#include "wire/control.h"

#include <sys/types.h>

#define CTL_DEFAULT_SOCKET "/run/bulkhead/control.sock"

struct ctl_conn {
	int fd;
	pid_t private_broker; /* > 0: our own child, reaped by ctl_close */
	uint32_t serial;
};

/* Events that arrive while a reply is awaited. */
typedef void ctl_event_fn(void *arg, const struct ctl_event *ev);

/* Where the broker listens: the flag, else $BULKHEAD_SOCKET, else the user's own broker if it is there, else the host's. */
const char *ctl_socket_path(const char *flag);

/* Connects to a running broker. -ENOENT/-ECONNREFUSED: nobody listens there. */
int ctl_connect(const char *path, struct ctl_conn *ret, struct err *e);

/* Starts a broker of our own that serves this connection only and ends with it. */
int ctl_connect_private(struct ctl_conn *ret, bool backends, struct err *e);

/* prefix/bin/bulkhead -> prefix/libexec/bulkhead/NAME: relative, so that an installed tree can be moved. */
int ctl_program_path(const char *name, char *buf, size_t cap, struct err *e);

/* Closes the connection; with a private broker waits until it has taken everything down. */
void ctl_close(struct ctl_conn *c);

/* Sends r (its serial is chosen here) with fds, which stay the caller's, and waits for the reply. Strings of *ret live until the
 * next call on any connection. Returns 0 also when the broker refused: look at ret->code. */
int ctl_call(struct ctl_conn *c, struct ctl_request *r, const int *fds, size_t nfds, ctl_event_fn *on_event, void *arg,
	     struct ctl_reply *ret, struct err *e);

/* Waits for one event. 1: *ret holds it, 0: the broker has closed, negative errno. */
int ctl_next_event(struct ctl_conn *c, struct ctl_event *ret, struct err *e);
