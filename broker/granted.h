/* Descriptors that a client sent: looked at before they are believed. The broker never opens a file for a client, so a client can
 * only hand over what it may use itself. */
#pragma once
#include "broker.h"

/* A kernel or initramfs: a regular file or a sealed memfd, readable, in an allowed directory, of a size that makes sense. */
int granted_image(const struct options *o, int fd, const char *what, struct err *e);
/* The file behind a zone: regular, long enough, readable or, for a shared zone, writable too. */
int granted_zone_file(const struct options *o, int fd, const struct plan_zone *z, struct err *e);
/* Where --serial file= and --console file= go: a regular file opened for appending only. */
int granted_output(const struct options *o, int fd, const char *what, struct err *e);
/* A disk's image, for a back-end of the broker's. */
int granted_disk(const struct options *o, int fd, const char *id, bool readonly, struct err *e);
/* A directory, for a back-end of the broker's: open for reading, which its client has thereby shown to be allowed. *ret: whose it
 * is. */
int granted_directory(const struct options *o, int fd, const char *id, struct spawn_owner *ret, struct err *e);
/* Leave to connect to a back-end again (chan/ticket.h); whether it is good is the connector's to say. */
int granted_ticket(int fd, struct err *e);
/* A serial line, a connection: one end of a Unix stream socket. */
int granted_socket(int fd, const char *what, struct err *e);
