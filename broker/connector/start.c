/* The broker's side. */
#include "connector.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int connector_next(const struct connector *c, struct connected *ret)
{
	static struct chan_msg m;
	struct answer a;
	int r = chan_recv(c->channel, &m);

	if (r == -EAGAIN)
		return 0;
	if (r <= 0 || m.len != sizeof(a)) {
		chan_msg_close(&m);
		return -EPIPE;
	}
	memcpy(&a, m.data, sizeof(a));
	a.text[sizeof(a.text) - 1] = 0;
	for (char *s = a.text; *s; s++) /* it quotes a name that a client chose, and goes into the log */
		if (*s < ' ' || *s > '~')
			*s = '?';
	*ret = (struct connected){.vm = a.vm, .device = a.device, .fd = m.nfds == 1 ? fd_take(&m.fds[0]) : -1};
	memcpy(ret->text, a.text, sizeof(ret->text));
	chan_msg_close(&m);
	return 1;
}

int connector_start(struct connector *ret, struct err *e)
{
	CLEANUP(fd_cleanup) int mine = -1, theirs = -1;
	struct connector c;
	struct connected hello;
	int r;

	r = chan_pair(0, &mine, &theirs, e);
	if (r < 0)
		return r;
	c.channel = mine;
	c.pid = fork();
	if (c.pid < 0)
		return err_sys(e, -errno, "fork of the connector");
	if (c.pid == 0)
		connector_main(theirs);
	fd_cleanup(&theirs);
	r = connector_next(&c, &hello);
	if (r <= 0 || hello.text[0])
		return err_set(e, -EPIPE, "the connector cannot start: %s", r > 0 ? hello.text : "it is gone");
	if (fcntl(mine, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(e, -errno, "channel of the connector");
	fd_take(&mine);
	*ret = c;
	return 0;
}

int connector_ask(const struct connector *c, uint32_t vm, uint32_t device, int ticket)
{
	const struct question q = {.vm = vm, .device = device};

	return chan_send(c->channel, &q, sizeof(q), &ticket, 1);
}
