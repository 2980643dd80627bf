#include "talk.h"

#include <errno.h>
#include <poll.h>

static int wait_for(short events)
{
	struct pollfd p = {.fd = BROKER_FD, .events = events};

	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int talk_recv(struct talk *t, struct err *e)
{
	int r;

	while ((r = chan_recv(BROKER_FD, &t->in)) == -EAGAIN) {
		r = wait_for(POLLIN);
		if (r < 0)
			break;
	}
	return r < 0 ? err_sys(e, r, "the channel to the broker") : r;
}

int talk_wait(int plug, bool *ret_broker, bool *ret_worker, struct err *e)
{
	struct pollfd p[2] = {{.fd = BROKER_FD, .events = POLLIN}, {.fd = plug, .events = POLLIN}};

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return err_sys(e, -errno, "waiting for the broker");
	*ret_broker = p[0].revents;
	*ret_worker = p[1].revents;
	return 0;
}

int talk_send(struct talk *t, const struct ms_msg *m, const int *fds, size_t nfds, struct err *e)
{
	size_t len;
	int r;

	r = ms_encode(m, t->out, sizeof(t->out), &len, e);
	if (r < 0)
		return r;
	while ((r = chan_send(BROKER_FD, t->out, len, fds, nfds)) == -EAGAIN) {
		r = wait_for(POLLOUT);
		if (r < 0)
			break;
	}
	return r < 0 ? err_sys(e, r, "the channel to the broker") : 0;
}

void talk_failed(struct talk *t, const struct err *why)
{
	struct ms_msg m = {.op = MS_FAILED, .serial = t->serial, .u.failed = {why->code, why->text}};

	talk_send(t, &m, NULL, 0, NULL);
}

void talk_progress(void *arg, uint16_t zone, uint64_t done, uint64_t total)
{
	struct ms_msg m = {.op = MS_PROGRESS, .u.progress = {zone, done, total}};
	struct talk *t = arg;
	size_t len;

	if (ms_encode(&m, t->out, sizeof(t->out), &len, NULL) == 0)
		chan_send(BROKER_FD, t->out, len, NULL, 0);
}
