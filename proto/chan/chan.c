#include "chan/chan.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

void chan_msg_close(struct chan_msg *m)
{
	for (size_t i = 0; i < m->nfds; i++)
		fd_cleanup(&m->fds[i]);
	m->nfds = 0;
}

/* Takes over every fd that the kernel has installed for us, also those beyond our bound: they are open either way. */
static void collect_fds(struct msghdr *h, struct chan_msg *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && m->nfds < CHAN_FDS_KERNEL; i++)
			memcpy(&m->fds[m->nfds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
}

int chan_recv(int sock, struct chan_msg *m)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * CHAN_FDS_KERNEL)];
	} control;
	struct iovec iov = {m->data, sizeof(m->data)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	ssize_t n;

	m->len = 0;
	m->nfds = 0;
	do
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	collect_fds(&h, m);
	if (m->nfds > CHAN_FDS_MAX || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EMSGSIZE;
	if (n == 0) /* end of the peer; an empty message is not part of any protocol here and ends it just as well */
		return 0;
	m->len = (size_t)n;
	return 1;
}

int chan_send(int sock, const void *data, size_t len, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * CHAN_FDS_MAX)];
	} control;
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (len == 0 || len > CHAN_MSG_MAX || nfds > CHAN_FDS_MAX)
		return -EMSGSIZE;
	if (nfds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		h.msg_control = control.room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(sock, &h, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
