/* Stands where the broker and its spawner stand: starts a real bulkhead-memsrv with the rights it must have and talks to it. For
 * the system test and the benchmark; needs root (the uid of a VM's own). Whatever goes wrong on this side ends the program. */
#pragma once
#include "wire/memsrv.h"

#include <sys/types.h>

struct peer {
	pid_t pid;
	int channel;
	struct chan_msg in;
	struct ms_msg msg; /* the last message; points into memory */
	unsigned n_progress;
	uint64_t progress_done, progress_total; /* of the last progress message */
	uint8_t memory[256 * KiB];
};

/* program: path of bulkhead-memsrv. */
void peer_start(struct peer *p, const char *program);

void peer_send_raw(struct peer *p, const void *data, size_t len, const int *fds, size_t nfds);
void peer_send_plan(struct peer *p, struct mem_plan *plan, const struct fd_tag *tags, const int *fds, size_t nfds);
void peer_send_query(struct peer *p);

/* The next message that is no progress, in p->msg and p->in.fds. 1, or 0 when memsrv has gone. */
int peer_answer(struct peer *p);

/* The fd of a zone, -1 if none came. Still owned by p->in. */
int peer_zone_fd(const struct peer *p, uint16_t zone);

/* Closes the channel and what came, and waits for the end; returns the status as waitpid gives it. */
int peer_end(struct peer *p);

/* A plan that plan_check accepts, with the given zones in this order (id, backing, size, page_size, flags, host policy are taken
 * over). */
void peer_plan(struct mem_plan *ret, const struct plan_zone *zones, size_t n);
