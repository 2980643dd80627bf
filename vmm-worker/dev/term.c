#include "dev/term.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void term_init(struct term *t, enum serial_mode mode, int file_fd)
{
	t->mode = mode;
	t->fd = -1;
	t->file_fd = file_fd;
	t->written = t->sent = 0;
	t->stuck = false;
}

void term_flush(struct term *t)
{
	if (t->written - t->sent > TERM_BACKLOG)
		t->sent = t->written - TERM_BACKLOG;
	t->stuck = false;
	while (t->fd >= 0 && t->sent < t->written) {
		size_t from = (size_t)(t->sent % TERM_BACKLOG), len = (size_t)(t->written - t->sent);
		ssize_t n;

		if (len > TERM_BACKLOG - from)
			len = TERM_BACKLOG - from;
		n = send(t->fd, t->backlog + from, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			/* A dead peer is found and detached by the main thread, which sees the hang-up. */
			t->stuck = errno == EAGAIN;
			return;
		}
		t->sent += (uint64_t)n;
	}
}

static void write_file(const struct term *t, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t r = write(t->file_fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return;
		p += r;
		n -= (size_t)r;
	}
}

void term_write(struct term *t, const uint8_t *p, size_t n)
{
	if (t->mode == SERIAL_FILE) {
		write_file(t, p, n);
		return;
	}
	if (t->mode == SERIAL_NULL || t->mode == SERIAL_OFF)
		return;
	while (n) {
		size_t at = (size_t)(t->written % TERM_BACKLOG), len = n < TERM_BACKLOG - at ? n : TERM_BACKLOG - at;

		memcpy(t->backlog + at, p, len);
		t->written += len;
		p += len;
		n -= len;
		if (t->fd >= 0 && !t->stuck)
			term_flush(t);
	}
}

void term_attach(struct term *t, int fd)
{
	fd_cleanup(&t->fd);
	t->fd = fd;
	t->stuck = false;
	t->sent = t->written > TERM_BACKLOG ? t->written - TERM_BACKLOG : 0;
	term_flush(t);
}

ssize_t term_read(struct term *t, uint8_t *buf, size_t n)
{
	ssize_t r;

	do
		r = recv(t->fd, buf, n, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		return 0;
	if (r <= 0) {
		term_attach(t, -1);
		return -1;
	}
	return r;
}
