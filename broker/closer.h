/* Closing a descriptor that somebody else made can take as long as that somebody likes: a socket with SO_LINGER and data that
 * nobody reads, a file of a FUSE daemon that does not answer, one of these in the queue of a Unix socket, or memory as large as
 * the host's. So what came from outside is closed by threads that can do nothing else (policy/broker-closer.policy), and one
 * user's descriptors one after the other: who hands over such a thing waits for it alone. */
#pragma once
#include "bulkhead/err.h"
#include "chan/chan.h"

#include <pthread.h>
#include <sys/types.h>

#define CLOSER_LANES 8u /* users whose descriptors are being closed at the same time; the first lane is root's alone */

struct closer_job;

struct closer_lane {
	struct closer *c;
	pthread_cond_t more;
	struct closer_job *head, *tail; /* the head is being closed */
	uint64_t since;                 /* ms; the head's turn began */
	uid_t whose;                    /* of the one that came when it was idle */
};

struct closer {
	bool threads; /* false: everything is closed at once, by the caller */
	pthread_mutex_t lock;
	pthread_cond_t started; /* one more thread is confined */
	unsigned confined;
	struct closer_lane lane[CLOSER_LANES];
	struct closer_job *done; /* to be freed by the broker's thread: the others have no memory of their own */
};

/* Starts the threads and waits until each is under its filter. The caller has given up its rights but not yet put its own filter
 * on. */
int closer_start(struct closer *c, struct err *e);

/* Takes *fd over (it becomes -1; nothing happens if it is that already) and closes it in its turn among those of the same user.
 * Broker thread only. */
void closer_close(struct closer *c, int *fd, uid_t whose);
/* The same, but memory goes at once, so that whoever hears of a VM's end finds its pages free. That takes its time if nobody else
 * has it any more (a second for each 20 GiB): not for what a client can send. */
void closer_give_back(struct closer *c, int *fd, uid_t whose);
/* closer_close for what nobody took of a message. */
void closer_close_msg(struct closer *c, struct chan_msg *m, uid_t whose);

/* How many of that user's wait behind one that does not come to an end; 0 while everything flows. */
unsigned closer_jam(struct closer *c, uid_t whose);
