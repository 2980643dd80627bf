#include "ticket.h"

#include "bulkhead/fd.h"
#include "chan/ticket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(struct ucred))];
};

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
	CLEANUP(fd_cleanup) int mine = -1, theirs = -1;
	struct ucred me = {.pid = getpid(), .uid = getuid(), .gid = getgid()}, peer;
	socklen_t len = sizeof(peer);
	struct ticket_head head = {.magic = TICKET_MAGIC};
	char full[TICKET_PATH + 1];
	struct iovec iov[] = {{&head, sizeof(head)}, {full, 0}};
	union control control = {0};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	int pair[2], r = absolute(path, full, sizeof(full));

	if (r < 0)
		return r;
	iov[1].iov_len = strlen(full);
	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	mine = pair[0];
	theirs = pair[1];
	head.peer = peer.uid;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(me));
	memcpy(CMSG_DATA(c), &me, sizeof(me));
	if (sendmsg(mine, &h, MSG_NOSIGNAL) < 0)
		return -errno;
	return fd_take(&theirs);
}
