#include "console.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved_termios; /* of the one terminal that this process has */

int console_open(struct console *c, int *ret_peer, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_sys(e, -errno, "socketpair for the console");
	*c = (struct console){.sock = pair[0], .stdin_open = true};
	*ret_peer = pair[1];
	return 0;
}

void console_start(struct console *c)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved_termios) < 0)
		return;
	t = saved_termios;
	cfmakeraw(&t);
	t.c_oflag |= OPOST; /* output keeps its line ends: the guest's own \r\n is not doubled by that */
	if (tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0)
		c->raw = true;
}

void console_close(struct console *c)
{
	if (c->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_termios);
	c->raw = false;
	fd_cleanup(&c->sock);
}

static void write_all(const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t w = write(STDOUT_FILENO, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0 && errno == EAGAIN) {
			struct pollfd pf = {STDOUT_FILENO, POLLOUT, 0};

			poll(&pf, 1, -1);
			continue;
		}
		if (w < 0)
			return; /* nobody reads our output any more; SIGPIPE has its say by default */
		p += w;
		n -= (size_t)w;
	}
}

/* true: there may be more. */
static bool pump_out(struct console *c)
{
	uint8_t buf[16384];
	ssize_t n = recv(c->sock, buf, sizeof(buf), 0);

	if (n > 0) {
		write_all(buf, (size_t)n);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		fd_cleanup(&c->sock); /* the VM's end is gone: the control channel tells why */
	return false;
}

static void pump_in(struct console *c)
{
	ssize_t n = read(STDIN_FILENO, c->in + c->in_len, sizeof(c->in) - c->in_len);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		c->stdin_open = false;
		return;
	}
	if (c->raw) {
		uint8_t *esc = memchr(c->in + c->in_len, CONSOLE_ESCAPE, (size_t)n);

		if (esc) {
			c->detached = true;
			n = esc - (c->in + c->in_len);
		}
	}
	c->in_len += (size_t)n;
}

static void flush_in(struct console *c)
{
	ssize_t n = send(c->sock, c->in, c->in_len, MSG_NOSIGNAL);

	if (n <= 0)
		return;
	memmove(c->in, c->in + n, c->in_len - (size_t)n);
	c->in_len -= (size_t)n;
}

int console_poll(struct console *c, int other_fd, int timeout_ms, bool *ret_other)
{
	struct pollfd p[3] = {
	    {.fd = c->sock, .events = (short)(POLLIN | (c->in_len ? POLLOUT : 0))},
	    {.fd = c->stdin_open && c->in_len < sizeof(c->in) ? STDIN_FILENO : -1, .events = POLLIN},
	    {.fd = other_fd, .events = POLLIN},
	};
	struct timespec t = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	if (ppoll(p, 3, timeout_ms < 0 ? NULL : &t, c->wait_mask) < 0)
		return -errno;
	if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
		pump_out(c);
	if (p[1].revents)
		pump_in(c);
	if (c->in_len && c->sock >= 0)
		flush_in(c);
	*ret_other = p[2].revents != 0;
	return 0;
}

void console_drain(struct console *c)
{
	while (c->sock >= 0 && pump_out(c))
		;
}
