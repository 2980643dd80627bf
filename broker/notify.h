/* systemd's two small protocols, by their documentation (sd_listen_fds(3), sd_notify(3)): no library. */
#pragma once
#include "bulkhead/err.h"

/* The listening socket that systemd passed: its number (3), -ENOENT if it passed none, -EINVAL with text if it passed something
 * else than one SOCK_SEQPACKET listening socket. */
int notify_listen_fd(struct err *e);

/* Connects to $NOTIFY_SOCKET; the socket, owned by the caller, or -1 when nobody wants to know. */
int notify_connect(void);

/* "READY=1", "STOPPING=1". Quietly nothing on -1. */
void notify_say(int sock, const char *what);
