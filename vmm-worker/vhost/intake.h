/* Taking in what a vhost-user back-end sends, and hanging up on it. With any message it can hand over descriptors, and whoever
 * lets go of a descriptor last may have to wait for whoever made it: a socket that lingers, a file of a FUSE daemon that does not
 * answer. The kernel makes us let go as soon as we take a message in without room for them, or close a connection that still
 * holds some. So every message is looked at first (MSG_PEEK shows that there are some and takes nothing out), and one that brings
 * what nobody asked for stays where it is, in a connection that stays open until this process ends. Main thread only; never
 * waits. */
#pragma once
#include "bulkhead/base.h"

#include <sys/types.h>

/* At most len bytes. ret_fd NULL: no descriptor may come with them; otherwise one may, of shared memory, the caller's from then
 * on, and *ret_fd stays as it is if none does.
 * Returns how many bytes, 0 at the end of the connection, or negative errno: -EAGAIN nothing there, -EBADMSG it brings what it
 * must not, and everything stays in the queue. */
ssize_t vu_intake(int sock, void *to, size_t len, int *ret_fd);

/* Closes *sock; it becomes -1 in any case (nothing happens if it is that already). false: descriptors are left in its queue, so
 * it stays open for good. */
bool vu_intake_close(int *sock);
