#include "closer.h"

#include "log.h"
#include "loop.h"

#include "bulkhead/fd.h"
#include "policy/lockdown.h"
#include "policy/rights.gen.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_SIZE  (32 * KiB)
#define PATIENCE_MS 1000u /* ordinary closing takes microseconds */

struct closer_job {
	struct closer_job *next;
	int fd;
	uid_t whose;
};

static void *lane_thread(void *arg)
{
	static const struct linger off = {0};
	struct closer_lane *l = arg;
	struct err e = {0};

	if (lockdown_filter(FILTER_BROKER_CLOSER, &e) < 0) {
		log_line("%s", e.text);
		_exit(EXIT_FAILURE);
	}
	pthread_mutex_lock(&l->c->lock);
	l->c->confined++;
	pthread_cond_signal(&l->c->started);
	for (;;) {
		struct closer_job *j = l->head;

		if (!j) {
			pthread_cond_wait(&l->more, &l->c->lock);
			continue;
		}
		l->since = now_ms();
		pthread_mutex_unlock(&l->c->lock);
		/* The cheapest way to make us wait, a socket that lingers, is taken away at once; anything but a socket refuses
		 * this. */
		setsockopt(j->fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
		close(j->fd);
		pthread_mutex_lock(&l->c->lock);
		l->head = j->next;
		if (!l->head)
			l->tail = NULL;
		l->since = now_ms();
		j->next = l->c->done;
		l->c->done = j;
	}
	return NULL;
}

int closer_start(struct closer *c, struct err *e)
{
	pthread_attr_t attr;
	int r = 0;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->started, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (size_t i = 0; r == 0 && i < CLOSER_LANES; i++) {
		pthread_t t;

		c->lane[i].c = c;
		pthread_cond_init(&c->lane[i].more, NULL);
		r = -pthread_create(&t, &attr, lane_thread, &c->lane[i]);
	}
	pthread_attr_destroy(&attr);
	c->threads = r == 0;
	pthread_mutex_lock(&c->lock);
	while (c->threads && c->confined < CLOSER_LANES)
		pthread_cond_wait(&c->started, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return r < 0 ? err_sys(e, r, "threads that close descriptors") : 0;
}

static unsigned length(const struct closer_lane *l)
{
	unsigned n = 0;

	for (const struct closer_job *j = l->head; j; j = j->next)
		n++;
	return n;
}

/* Where that user waits already; else an idle lane; else, when as many users as there are lanes jam them, the shortest. */
static struct closer_lane *lane_for(struct closer *c, uid_t whose)
{
	struct closer_lane *best = &c->lane[1];

	if (whose == 0)
		return &c->lane[0];
	for (size_t i = 1; i < CLOSER_LANES; i++)
		if (c->lane[i].head && c->lane[i].whose == whose)
			return &c->lane[i];
	for (size_t i = 1; i < CLOSER_LANES; i++) {
		if (!c->lane[i].head)
			return &c->lane[i];
		if (length(&c->lane[i]) < length(best))
			best = &c->lane[i];
	}
	return best;
}

void closer_close(struct closer *c, int *fd, uid_t whose)
{
	struct closer_job *j, *done;
	struct closer_lane *l;

	if (*fd < 0)
		return;
	j = c->threads ? malloc(sizeof(*j)) : NULL;
	if (!j) {
		fd_cleanup(fd);
		return;
	}
	*j = (struct closer_job){.fd = fd_take(fd), .whose = whose};
	pthread_mutex_lock(&c->lock);
	done = c->done;
	c->done = NULL;
	l = lane_for(c, whose);
	if (l->head) {
		l->tail->next = j;
	} else {
		l->head = j;
		l->whose = whose;
		l->since = now_ms();
		pthread_cond_signal(&l->more);
	}
	l->tail = j;
	pthread_mutex_unlock(&c->lock);
	while (done) {
		struct closer_job *next = done->next;

		free(done);
		done = next;
	}
}

void closer_give_back(struct closer *c, int *fd, uid_t whose)
{
	if (*fd >= 0 && fcntl(*fd, F_GET_SEALS) >= 0) /* only memfds and tmpfs know seals */
		fd_cleanup(fd);
	closer_close(c, fd, whose);
}

void closer_close_msg(struct closer *c, struct chan_msg *m, uid_t whose)
{
	for (size_t i = 0; i < m->nfds; i++)
		closer_close(c, &m->fds[i], whose);
	m->nfds = 0;
}

unsigned closer_jam(struct closer *c, uid_t whose)
{
	uint64_t now = now_ms();
	unsigned n = 0;

	if (!c->threads)
		return 0;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < CLOSER_LANES; i++) {
		const struct closer_lane *l = &c->lane[i];

		if (!l->head || now < l->since + PATIENCE_MS)
			continue;
		for (const struct closer_job *j = l->head; j; j = j->next)
			n += j->whose == whose;
	}
	pthread_mutex_unlock(&c->lock);
	return n;
}
