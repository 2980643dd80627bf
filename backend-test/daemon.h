/* The daemon as a process: somebody else's, of which the kernel tells the pid of whoever listens, or our child, of which we learn
 * how it ended. Ours is ended with us, however we end. */
#pragma once
#include "link.h"

enum daemon_state {
	DAEMON_ALIVE,
	DAEMON_ENDED,   /* exit status in why */
	DAEMON_CRASHED, /* by a signal */
	DAEMON_GONE,    /* somebody else's: how it ended is not known */
};

struct daemon {
	const char *path;
	char **command; /* NULL: somebody else starts it */
	unsigned ms;    /* bound for a start, and for an end */
	bool one_shot;  /* it ends with its connection */
	bool used;      /* somebody was connected in this life of it */
	pid_t child, pid;
	uint64_t since; /* start time of pid, so that another one with its number is not taken for it */
	int input;      /* the child's standard input, held open: some end with it */
	unsigned starts;
	char why[96];
};

/* What can be counted from outside. A member is -1 if that is not permitted. */
struct daemon_usage {
	long fds, maps, threads, anon_kib;
};

/* Connects. A daemon of ours, or one that is started again for each connection, gets the time it needs to be there. */
int daemon_connect(struct daemon *d, struct link *ret, unsigned ms, struct err *e);
enum daemon_state daemon_look(struct daemon *d);
/* Waits until it has ended, ms at most. */
enum daemon_state daemon_wait_end(struct daemon *d, unsigned ms);
void daemon_stop(struct daemon *d);
struct daemon_usage daemon_usage(const struct daemon *d);
/* The name of its program; "?" if unknown. */
void daemon_name(const struct daemon *d, char *buf, size_t cap);
