#include "link.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 253u /* of one message: SCM_MAX_FD */

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* > 0: ready. */
static int await(int fd, short events, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now = now_ms();
		int r = poll(&p, 1, now >= deadline ? 0 : (int)(deadline - now));

		if (r != 0 && !(r < 0 && errno == EINTR))
			return r;
		if (r == 0 && now >= deadline)
			return 0;
	}
}

int link_open(struct link *l, const char *path, unsigned ms, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	CLEANUP(fd_cleanup) int s = -1;
	struct ucred who;
	socklen_t len = sizeof(who);
	uint64_t deadline = now_ms() + ms;

	*l = LINK_NONE;
	l->ms = ms;
	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: names of sockets have at most %zu bytes", path, sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, path);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s < 0)
		return err_sys(e, -errno, "socket");
	/* A full backlog is EAGAIN, and nothing can be waited for: look again. */
	while (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return err_sys(e, -errno, "%s", path);
		if (now_ms() >= deadline)
			return err_set(e, -ETIMEDOUT, "%s: nobody accepts connections", path);
		poll(NULL, 0, 5);
	}
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
		l->peer = who.pid;
	l->sock = fd_take(&s);
	return 0;
}

void link_close(struct link *l)
{
	fd_cleanup(&l->sock);
	fd_cleanup(&l->requests);
}

int link_send(struct link *l, const void *data, size_t len, const int *fds, unsigned n_fds, struct err *e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control;
	uint64_t deadline = now_ms() + l->ms;
	size_t done = 0;

	while (done < len) {
		struct iovec iov = {(uint8_t *)(uintptr_t)data + done, len - done};
		struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;

		if (n_fds && done == 0) {
			struct cmsghdr *c;

			memset(&control, 0, sizeof(control));
			h.msg_control = control.room;
			h.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
			c = CMSG_FIRSTHDR(&h);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
			memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
		}
		n = sendmsg(l->sock, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN && await(l->sock, POLLOUT, deadline) <= 0)
			return err_set(e, -ETIMEDOUT, "it reads nothing for %u ms", l->ms);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_set(e, errno == EPIPE || errno == ECONNRESET ? -ECONNRESET : -errno,
				       "it closed the connection");
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

static int receive(struct link *l, void *buf, size_t len, int *ret_fd, uint32_t request, uint64_t deadline, struct err *e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	size_t done = 0;

	while (done < len) {
		struct iovec iov = {(uint8_t *)buf + done, len - done};
		struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
		struct cmsghdr *c;
		ssize_t n;
		int r = await(l->sock, POLLIN, deadline);

		if (r == 0)
			return err_set(e, -ETIMEDOUT, "it did not answer request %u within %u ms", request, l->ms);
		if (ret_fd) {
			h.msg_control = control.room;
			h.msg_controllen = CMSG_LEN(sizeof(int));
		}
		n = recvmsg(l->sock, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return err_set(e, -ECONNRESET, "it closed the connection instead of answering request %u", request);
		c = ret_fd ? CMSG_FIRSTHDR(&h) : NULL;
		if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			int fd;

			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			/* What is no memory stays open until we end: closing somebody's file can wait for him. */
			if (fcntl(fd, F_GETFD) >= 0 && fcntl(fd, F_GET_SEALS) < 0)
				return err_set(e, -EPROTO, "the descriptor in its answer to request %u is no memfd", request);
			fd_cleanup(ret_fd);
			*ret_fd = fd;
		}
		if (h.msg_flags & MSG_CTRUNC)
			return err_set(e, -EPROTO, "its answer to request %u brings descriptors that nobody asked for", request);
		done += (size_t)n;
	}
	return 0;
}

int link_answer(struct link *l, uint32_t request, struct vu_msg *ret, struct err *e)
{
	uint64_t deadline = now_ms() + l->ms;
	CLEANUP(fd_cleanup) int fd = -1;
	int *want = request == VU_GET_INFLIGHT_FD ? &fd : NULL;
	int r = receive(l, &ret->hdr, sizeof(ret->hdr), want, request, deadline, e);

	ret->n_fds = 0;
	if (r == 0)
		r = vu_check_answer_header(&ret->hdr, request, e);
	if (r == 0)
		r = receive(l, ret->payload, ret->hdr.size, want, request, deadline, e);
	if (r == 0) {
		ret->n_fds = fd >= 0;
		r = vu_check_answer(ret, e);
	}
	ret->n_fds = 0;
	if (r == 0 && fd >= 0) {
		ret->n_fds = 1;
		ret->fds[0] = fd_take(&fd);
	}
	return r;
}

int link_answer_raw(struct link *l, struct vu_msg *ret, struct err *e)
{
	uint64_t deadline = now_ms() + l->ms;
	int r = receive(l, &ret->hdr, sizeof(ret->hdr), NULL, 0, deadline, e);

	ret->n_fds = 0;
	if (r == 0 && ret->hdr.size > VU_PAYLOAD_MAX)
		return err_set(e, -EPROTO, "its answer to request %u has %u bytes", ret->hdr.request, ret->hdr.size);
	return r < 0 ? r : receive(l, ret->payload, ret->hdr.size, NULL, ret->hdr.request, deadline, e);
}

int link_say(struct link *l, const struct vu_msg *m, struct err *e)
{
	return link_send(l, m, vu_len(m), m->fds, m->n_fds, e);
}

int link_ask(struct link *l, struct vu_msg *m, struct vu_msg *ret, struct err *e)
{
	struct vu_msg answer;
	bool own = vu_has_answer(m->hdr.request), waits = own || (l->acks && m->hdr.request != VU_SET_PROTOCOL_FEATURES);
	int r;

	if (waits && !own)
		m->hdr.flags |= VU_NEED_REPLY;
	r = link_say(l, m, e);
	if (r == 0 && waits)
		r = link_answer(l, m->hdr.request, &answer, e);
	if (r == 0 && waits && !own && vu_get_u64(&answer) != 0)
		return err_set(e, -EREMOTEIO, "it refused request %u", m->hdr.request);
	if (r == 0 && ret)
		*ret = answer;
	return r;
}

int link_ask_u64(struct link *l, uint32_t request, uint64_t *ret, struct err *e)
{
	struct vu_msg m, answer;
	int r;

	vu_put(&m, request, NULL, 0);
	r = link_ask(l, &m, &answer, e);
	if (r == 0)
		*ret = vu_get_u64(&answer);
	return r;
}

int link_tell(struct link *l, struct vu_msg *m, struct err *e)
{
	return link_ask(l, m, NULL, e);
}

int link_tell_u64(struct link *l, uint32_t request, uint64_t v, struct err *e)
{
	struct vu_msg m;

	vu_put_u64(&m, request, v);
	return link_tell(l, &m, e);
}

int link_tell_state(struct link *l, uint32_t request, uint32_t queue, uint32_t num, struct err *e)
{
	struct vu_msg m;

	vu_put_state(&m, request, queue, num);
	return link_tell(l, &m, e);
}

int link_barrier(struct link *l, struct err *e)
{
	uint64_t v;

	return link_ask_u64(l, VU_GET_FEATURES, &v, e);
}

bool link_silent(struct link *l, int ms)
{
	return await(l->sock, POLLIN, now_ms() + (uint64_t)ms) == 0;
}

void link_drain(const struct link *l, unsigned ms)
{
	int unread = 1;

	for (uint64_t end = now_ms() + ms; ioctl(l->sock, SIOCOUTQ, &unread) == 0 && unread && now_ms() < end;)
		poll(NULL, 0, 1);
}
