#include "connector.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(struct ucred))];
};

int ticket_read(int fd, struct ticket *ret)
{
	struct ticket_head head = {0};
	struct ucred from = {0};
	struct ticket t;
	struct iovec iov[] = {{&head, sizeof(head)}, {t.path, sizeof(t.path)}};
	union control control = {0};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	int on = 1, domain = 0, type = 0;
	socklen_t len = sizeof(int);
	struct cmsghdr *c;
	ssize_t n;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    domain != AF_UNIX || type != SOCK_SEQPACKET || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -EPROTO;
	n = recvmsg(fd, &h, MSG_PEEK | MSG_DONTWAIT);
	c = n < 0 ? NULL : CMSG_FIRSTHDR(&h);
	if (n <= (ssize_t)sizeof(head) || (size_t)n >= sizeof(head) + sizeof(t.path) ||
	    (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || !c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
	    c->cmsg_len != CMSG_LEN(sizeof(from)))
		return -EPROTO;
	memcpy(&from, CMSG_DATA(c), sizeof(from));
	t.path[(size_t)n - sizeof(head)] = 0;
	/* Without a writer that we can see, the kernel says pid 0. */
	if (head.magic != TICKET_MAGIC || head.zero || from.pid <= 0 || t.path[0] != '/' ||
	    strlen(t.path) != (size_t)n - sizeof(head))
		return -EPROTO;
	t.pid = from.pid;
	t.uid = from.uid;
	t.peer = head.peer;
	*ret = t;
	return 0;
}
