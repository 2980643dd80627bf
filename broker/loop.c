#include "loop.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32

int loop_init(struct loop *l, struct err *e)
{
	*l = (struct loop){.epfd = epoll_create1(EPOLL_CLOEXEC)};
	return l->epfd < 0 ? err_sys(e, -errno, "epoll_create1") : 0;
}

int loop_add(struct loop *l, struct source *s, int fd, uint32_t events, source_fn *fn, struct err *e)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return err_sys(e, -errno, "epoll_ctl");
	*s = (struct source){fd, events, fn};
	return 0;
}

void loop_want(struct loop *l, struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (!s->fn || s->events == events)
		return;
	s->events = events;
	epoll_ctl(l->epfd, EPOLL_CTL_MOD, s->fd, &ev);
}

int loop_remove(struct loop *l, struct source *s)
{
	int fd = s->fd;

	if (!s->fn)
		return -1;
	/* Explicitly, because somebody else may hold the same open file, and epoll follows the file. */
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL);
	/* A worker's exit may have been seen at once with the end of its channel: that must not be taken for the end of the next one's. */
	for (int i = 0; i < l->n_ready; i++)
		if (l->ready[i].data.ptr == s)
			l->ready[i].data.ptr = NULL;
	*s = (struct source){.fd = -1};
	return fd;
}

void loop_drop(struct loop *l, struct source *s)
{
	int fd = loop_remove(l, s);

	if (fd >= 0)
		close(fd);
}

int loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event ev[BATCH];
	int n = epoll_wait(l->epfd, ev, BATCH, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->ready = ev;
	l->n_ready = n;
	for (int i = 0; i < n; i++) {
		struct source *s = ev[i].data.ptr;

		if (s) /* not removed by an earlier handler */
			s->fn(s, ev[i].events);
	}
	l->ready = NULL;
	l->n_ready = 0;
	return 0;
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + 1;
}
