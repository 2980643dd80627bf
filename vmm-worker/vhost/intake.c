#include "vhost/intake.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

/* A byte out of band may bring some, too: a look at the bytes in the band passes over it, and taking those drops it. */
static bool has_urgent(int sock)
{
	uint8_t byte;

	return recv(sock, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Room for one descriptor (not CMSG_SPACE, into which two would fit), or none. */
union room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static ssize_t take(int sock, void *to, size_t len, int flags, int *ret_fd, bool *ret_more)
{
	union room room;
	struct iovec iov = {to, len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;
	ssize_t n;

	if (ret_fd) {
		h.msg_control = room.bytes;
		h.msg_controllen = CMSG_LEN(sizeof(int));
	}
	do
		n = recvmsg(sock, &h, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = ret_fd && n > 0 ? CMSG_FIRSTHDR(&h) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	*ret_more = h.msg_flags & MSG_CTRUNC;
	return n;
}

/* How many bytes can be taken in. Where one descriptor may come, this is a copy of it, which is not the last one: but its file
 * may have a say in its closing all the same, unless it is shared memory. Then it stays open. */
static ssize_t look(int sock, void *to, size_t len, bool with_fd)
{
	bool more = false;
	int copy = -1;
	ssize_t n;

	if (has_urgent(sock))
		return -EBADMSG;
	n = take(sock, to, len, MSG_PEEK, with_fd ? &copy : NULL, &more);
	if (copy >= 0 && fcntl(copy, F_GET_SEALS) < 0)
		return -EBADMSG;
	fd_cleanup(&copy);
	return n > 0 && more ? -EBADMSG : n;
}

ssize_t vu_intake(int sock, void *to, size_t len, int *ret_fd)
{
	bool more = false;
	ssize_t n = look(sock, to, len, ret_fd);

	/* As many as were looked at, not one that came after that. */
	return n > 0 ? take(sock, to, (size_t)n, 0, ret_fd, &more) : n;
}

bool vu_intake_close(int *sock)
{
	uint8_t unread[4096];
	ssize_t n;

	if (*sock < 0)
		return true;
	shutdown(*sock, SHUT_RD); /* from here on nothing comes into its queue */
	do
		n = vu_intake(*sock, unread, sizeof(unread), NULL);
	while (n > 0);
	if (n == -EBADMSG)
		*sock = -1;
	else
		fd_cleanup(sock);
	return n != -EBADMSG;
}
