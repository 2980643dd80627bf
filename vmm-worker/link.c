#include "link.h"

#include <errno.h>

int link_recv(struct link *l, struct err *e)
{
	int r = chan_recv(BROKER_FD, &l->in);

	return r < 0 ? err_sys(e, r, "the broker's message") : r;
}

int link_send(struct link *l, const struct wk_msg *m, struct err *e)
{
	size_t len;
	int r = wk_encode(m, l->out, sizeof(l->out), &len, e);

	if (r < 0)
		return r;
	r = chan_send(BROKER_FD, l->out, len, NULL, 0);
	return r < 0 ? err_sys(e, r, "message to the broker") : 0;
}

void link_failed(struct link *l, uint32_t serial, const struct err *why)
{
	struct wk_msg m = {.op = WK_FAILED, .serial = serial};

	m.u.failed.code = why->code < 0 ? why->code : -EIO;
	m.u.failed.text = why->text;
	link_send(l, &m, NULL);
}

void link_progress(void *arg, uint16_t zone, uint64_t done, uint64_t total)
{
	struct wk_msg m = {.op = WK_PROGRESS, .u.progress = {zone, done, total}};

	link_send(arg, &m, NULL);
}
