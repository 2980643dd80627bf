#include "vhost/intake.h"
#include "vhost/steps.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BIT(n) (UINT64_C(1) << (n))

static void close_received(struct vu_front *f)
{
	for (unsigned i = 0; i < f->in.n_fds; i++)
		fd_cleanup(&f->in.fds[i]);
	f->in.n_fds = 0;
}

/* What it has left in a connection that we cannot let go of: there will be no other one, since each would stay open, too. */
static void hang_up(struct vu_front *f, int *sock)
{
	if (vu_intake_close(sock))
		return;
	f->hopeless = true;
	err_set(&f->why, -EPROTO, "it sent descriptors that nobody asked for");
}

static void disconnect(struct vu_front *f)
{
	close_received(f);
	hang_up(f, &f->sock);
	hang_up(f, &f->request_sock);
	fd_cleanup(&f->request_peer);
	f->deadline = 0;
	f->sending = f->awaiting = f->own_errand = false;
	f->n_told = 0;
	f->phase = VU_DOWN;
}

void vu_front_drop(struct vu_front *f, const char *why)
{
	err_set(&f->why, -ECONNABORTED, "%s", why);
	disconnect(f);
}

static void broken(struct vu_front *f)
{
	disconnect(f);
}

/* The inflight region belongs to one life of the driver. It was looked at when it came: closing it waits for nobody. */
static void forget_inflight(struct vu_front *f)
{
	fd_cleanup(&f->inflight_fd);
}

static void memory_is_told(struct vu_front *f)
{
	for (unsigned i = 0; i < f->n_map; i++)
		f->told[i] = f->map[i].region;
	f->n_told = f->n_map;
}

static void finish_phase(struct vu_front *f)
{
	switch (f->phase) {
	case VU_GREETING:
		fd_cleanup(&f->request_peer); /* the back-end has it now, or does not want it */
		f->phase = VU_IDLE;
		break;
	case VU_STOPPING:
		f->phase = VU_IDLE;
		break;
	case VU_STARTING:
		memory_is_told(f);
		f->phase = VU_RUNNING;
		break;
	case VU_TELLING:
		memory_is_told(f);
		f->phase = f->after;
		break;
	case VU_DOWN:
	case VU_IDLE:
	case VU_RUNNING:
		break;
	}
	f->deadline = 0;
}

static void transmit(struct vu_front *f);

static void send_out(struct vu_front *f, uint64_t now)
{
	bool answer = vu_has_answer(f->out.hdr.request);

	if (!answer && (f->protocol & BIT(VU_PF_REPLY_ACK)) && f->out.hdr.request != VU_SET_PROTOCOL_FEATURES) {
		f->out.hdr.flags |= VU_NEED_REPLY;
		answer = true;
	}
	f->sending = true;
	f->awaiting = answer;
	f->out_done = f->in_done = 0;
	f->deadline = now + (f->out.hdr.request == VU_GET_VRING_BASE ? VU_DRAIN_MS : VU_ANSWER_MS);
	transmit(f);
}

/* Sends whatever comes next, until an answer has to be waited for. */
static void go_on(struct vu_front *f, uint64_t now)
{
	while (!f->sending && !f->awaiting) {
		const struct vu_step *s;
		unsigned n;

		if (f->own_errand) { /* CONFIG_CHANGE between phases */
			f->own_errand = false;
			f->deadline = 0;
		}
		s = vu_steps(f->phase, &n);
		if (!s) {
			if (f->phase == VU_DOWN || !f->config_stale || !(f->protocol & BIT(VU_PF_CONFIG)) || !f->config_want)
				return;
			f->config_stale = false;
			f->own_errand = true;
			vu_step_make(f, VU_GET_CONFIG, 0);
			send_out(f, now);
			continue;
		}
		if (f->step == n) {
			finish_phase(f);
			continue;
		}
		s += f->step;
		if (f->round == vu_step_rounds(f, s) || !vu_step_applies(f, s)) {
			f->step++;
			f->round = 0;
			continue;
		}
		if (vu_step_skips(f, s, f->round)) {
			f->round++;
			continue;
		}
		vu_step_make(f, s->request, f->round++);
		send_out(f, now);
	}
}

static void begin(struct vu_front *f, enum vu_phase phase, uint64_t now)
{
	f->phase = phase;
	f->step = f->round = 0;
	if (f->own_errand)
		return; /* goes on when its answer is there: step and round are set already */
	go_on(f, now);
}

void vu_front_connect(struct vu_front *f, int sock, int request_sock, int request_peer, uint64_t now)
{
	disconnect(f);
	f->sock = sock;
	f->request_sock = request_sock;
	f->request_peer = request_peer;
	f->features = f->protocol = 0;
	f->max_map = VU_REGIONS_MAX; /* until this one says more */
	f->config_stale = false;
	f->request_done = 0;
	begin(f, VU_GREETING, now);
}

/* Without the option to add them one by one, a table has room for a few. */
static bool too_many(struct vu_front *f)
{
	if (f->n_map <= f->max_map)
		return false;
	err_set(&f->why, -ENOSPC, "it takes %u regions of memory, there are %u", f->max_map, f->n_map);
	disconnect(f);
	return true;
}

void vu_front_start(struct vu_front *f, bool fresh, uint64_t now)
{
	if (fresh)
		forget_inflight(f);
	if (!too_many(f))
		begin(f, VU_STARTING, now);
}

void vu_front_tell(struct vu_front *f, uint64_t now)
{
	if (too_many(f))
		return;
	f->after = f->phase;
	begin(f, VU_TELLING, now);
}

void vu_front_stop(struct vu_front *f, uint64_t now)
{
	begin(f, VU_STOPPING, now);
}

static void transmit(struct vu_front *f)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VU_REGIONS_MAX)];
	} control;
	struct iovec iov = {(uint8_t *)&f->out + f->out_done, vu_len(&f->out) - f->out_done};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (f->out.n_fds && f->out_done == 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		h.msg_control = control.room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * f->out.n_fds);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * f->out.n_fds);
		memcpy(CMSG_DATA(c), f->out.fds, sizeof(int) * f->out.n_fds);
	}
	n = sendmsg(f->sock, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ETOOMANYREFS))
		return;
	if (n < 0) {
		err_sys(&f->why, -errno, "it does not take messages");
		broken(f);
		return;
	}
	f->out_done += (size_t)n;
	if (f->out_done == vu_len(&f->out))
		f->sending = false;
}

/* Reads up to `want` bytes in all; a descriptor may come where the answer brings one. 1: all there; 0: not yet; negative:
 * broken. */
static int receive(struct vu_front *f, size_t want, bool with_fd)
{
	int fd = -1;
	ssize_t n;

	if (want == f->in_done)
		return 1;
	n = vu_intake(f->sock, (uint8_t *)&f->in + f->in_done, want - f->in_done, with_fd && !f->in.n_fds ? &fd : NULL);
	if (n == -EAGAIN)
		return 0;
	if (n == -EBADMSG)
		return err_set(&f->why, -EPROTO, "it sent descriptors that nobody asked for");
	if (n < 0)
		return err_sys(&f->why, (int)n, "the connection broke");
	if (n == 0)
		return err_set(&f->why, -ECONNRESET, "it closed the connection");
	if (fd >= 0)
		f->in.fds[f->in.n_fds++] = fd;
	f->in_done += (size_t)n;
	return f->in_done == want;
}

static void on_answer(struct vu_front *f, uint64_t now)
{
	uint32_t request = f->out.hdr.request;
	int r;

	if (!f->awaiting || f->sending) {
		err_set(&f->why, -EPROTO, "it spoke or hung up without being asked");
		broken(f);
		return;
	}
	if (f->in_done == 0)
		f->in.n_fds = 0;
	r = f->in_done < sizeof(f->in.hdr) ? receive(f, sizeof(f->in.hdr), request == VU_GET_INFLIGHT_FD) : 1;
	if (r == 1)
		r = vu_check_answer_header(&f->in.hdr, request, &f->why) < 0
			? -EPROTO
			: receive(f, vu_len(&f->in), request == VU_GET_INFLIGHT_FD);
	if (r == 0)
		return;
	if (r == 1)
		r = vu_check_answer(&f->in, &f->why);
	if (r == 0) {
		f->awaiting = false;
		r = vu_step_take(f);
	}
	close_received(f);
	if (r < 0)
		broken(f);
	else
		go_on(f, now);
}

static bool acknowledge_change(struct vu_front *f)
{
	struct vu_msg m;

	vu_put_u64(&m, VU_BACKEND_CONFIG_CHANGE, 0);
	m.hdr.flags |= VU_REPLY;
	return send(f->request_sock, &m, vu_len(&m), MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)vu_len(&m);
}

static void on_request(struct vu_front *f, uint64_t now)
{
	ssize_t n = vu_intake(f->request_sock, (uint8_t *)&f->request_in + f->request_done,
			      sizeof(f->request_in) - f->request_done, NULL);

	if (n == -EAGAIN)
		return;
	if (n == -EBADMSG)
		return broken(f); /* for the reason that hanging up finds */
	if (n <= 0)               /* it does not want to ask us anything any more, which is its right */
		return hang_up(f, &f->request_sock);
	f->request_done += (size_t)n;
	if (f->request_done < sizeof(f->request_in))
		return;
	f->request_done = 0;
	if (now > f->changes_since + 1000) {
		f->changes_since = now;
		f->changes = 0;
	}
	if (vu_check_request_header(&f->request_in, &f->why) < 0) {
		broken(f);
	} else if (++f->changes > VU_CONFIG_CHANGES) {
		err_set(&f->why, -EPROTO, "it announced %u changes of its configuration within a second", f->changes);
		broken(f);
	} else if ((f->request_in.flags & VU_NEED_REPLY) && !acknowledge_change(f)) {
		err_set(&f->why, -EPROTO, "it does not take answers");
		broken(f);
	} else {
		f->config_stale = true;
		go_on(f, now);
	}
}

void vu_front_poll(const struct vu_front *f, struct pollfd p[VU_FRONT_POLL])
{
	p[0] = (struct pollfd){.fd = f->sock, .events = (short)(POLLIN | (f->sending ? POLLOUT : 0))};
	p[1] = (struct pollfd){.fd = f->request_sock, .events = POLLIN};
}

uint64_t vu_front_until(const struct vu_front *f)
{
	return f->deadline ? f->deadline : UINT64_MAX;
}

void vu_front_work(struct vu_front *f, const struct pollfd p[VU_FRONT_POLL], uint64_t now)
{
	if (f->phase != VU_DOWN && f->sending && p[0].fd == f->sock && (p[0].revents & POLLOUT)) {
		transmit(f);
		if (f->phase != VU_DOWN)
			go_on(f, now);
	}
	if (f->phase != VU_DOWN && p[0].fd == f->sock && (p[0].revents & (POLLIN | POLLHUP | POLLERR)))
		on_answer(f, now);
	if (f->phase != VU_DOWN && p[1].fd >= 0 && p[1].fd == f->request_sock && p[1].revents)
		on_request(f, now);
	if (f->phase != VU_DOWN && f->deadline && now >= f->deadline) {
		err_set(&f->why, -ETIMEDOUT, "it did not answer request %u in time", f->out.hdr.request);
		broken(f);
	}
}
