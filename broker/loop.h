/* The broker's event loop: level-triggered epoll over sources that are part of larger objects. One thread. */
#pragma once
#include "bulkhead/err.h"

#include <sys/epoll.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct source;
/* events: EPOLLx. A handler must cope with being called when nothing is there. */
typedef void source_fn(struct source *s, uint32_t events);

/* A zeroed source is none; loop_add makes it one. fd is owned from then on. */
struct source {
	int fd; /* valid while fn is set */
	uint32_t events;
	source_fn *fn; /* NULL: not in the loop */
};

struct loop {
	int epfd;
	/* What is ready and whose handlers have not been called yet, while loop_once runs. */
	struct epoll_event *ready;
	int n_ready;
};

int loop_init(struct loop *l, struct err *e);
/* On failure fd stays the caller's. */
int loop_add(struct loop *l, struct source *s, int fd, uint32_t events, source_fn *fn, struct err *e);
/* What to wait for from now on; EPOLLHUP and EPOLLERR always come. */
void loop_want(struct loop *l, struct source *s, uint32_t events);
/* Takes it out and gives its fd back (-1: it is not in the loop). What was seen of that fd is forgotten: its handler is not called for it
 * any more, even if another fd takes its place at once. */
int loop_remove(struct loop *l, struct source *s);
/* loop_remove, and closes fd. Safe on a source that is not in the loop. */
void loop_drop(struct loop *l, struct source *s);
/* Waits at most timeout_ms (-1: for ever) and calls the handlers of what is ready. 0 or negative errno. */
int loop_once(struct loop *l, int timeout_ms);

/* CLOCK_MONOTONIC in milliseconds; never 0. */
uint64_t now_ms(void);
