#include "ticket.h"

#include "bulkhead/fd.h"
#include "chan/ticket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int absolute(const char *path, char *buf, size_t len)
{
	char cwd[TICKET_PATH + 1];

	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	if (snprintf(buf, len, "%s%s%s", path[0] == '/' ? "" : cwd, path[0] == '/' ? "" : "/", path) >= (int)len)
		return -ENAMETOOLONG;
	return 0;
}

int ticket_write(const char *path, int connection)
{
	CLEANUP(fd_cleanup) int fd = -1;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct ticket_head head = {0};
	char full[TICKET_PATH + 1];
	struct iovec iov[] = {{&head, sizeof(head)}, {full, 0}};
	int r = absolute(path, full, sizeof(full));

	if (r < 0)
		return r;
	iov[1].iov_len = strlen(full);
	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	head.peer = peer.uid;
	fd = memfd_create(TICKET_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (writev(fd, iov, 2) != (ssize_t)(sizeof(head) + iov[1].iov_len))
		return -EIO; /* it is memory: that cannot happen for lack of room */
	if (fcntl(fd, F_ADD_SEALS, TICKET_SEALS) < 0)
		return -errno;
	return fd_take(&fd);
}
