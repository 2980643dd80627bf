/* Stands where the broker stands: starts a real bulkhead-worker, grants it a machine and talks to it. Whatever goes wrong on this
 * side ends the test. */
#pragma once
#include "wire/worker.h"

#include <sys/types.h>

#define PEER_ANSWER_MS 240000 /* for what has to come */

struct peer {
	pid_t pid;
	int channel;
	int console; /* our end of the serial line; -1 without */
	struct chan_msg in;
	struct wk_msg msg; /* the last message; points into memory */
	uint8_t memory[256 * KiB];
};

/* What to grant. Anything left 0 or NULL has the default in parentheses. */
struct machine_wish {
	const char *guest; /* path of a kernel; mandatory */
	const char *initramfs;
	const char *cmdline; /* ("") */
	uint32_t vcpus;      /* (1) */
	uint64_t memory;     /* of one anonymous zone, if there are no zones (64 MiB) */
	size_t n_zones;
	const struct plan_zone *zones; /* id, backing, size, page_size and flags are taken over */
	const int *zone_fds;           /* per zone, -1: none */
	enum serial_mode serial;       /* (SERIAL_UNSET) */
	int serial_file;               /* with SERIAL_FILE */
	bool no_console;
	bool start;
	/* For hostile grants: edit the message and its descriptors before they are sent. */
	void (*spoil)(struct wk_msg *m, int *fds, void *arg);
	void *spoil_arg;
};

/* program: path of bulkhead-worker. */
void peer_start(struct peer *p, const char *program);
void peer_grant(struct peer *p, const struct machine_wish *w);
void peer_send_raw(struct peer *p, const void *data, size_t len, const int *fds, size_t nfds);
void peer_send(struct peer *p, enum wk_op op, uint32_t serial);
/* A new console; p->console becomes our end of it. */
void peer_send_console(struct peer *p);

/* The next message that is no progress, in p->msg. 1; 0 when the worker has gone. Ends the test after 20 s. */
int peer_answer(struct peer *p);
/* Ends the test unless the next message is op. */
void peer_expect(struct peer *p, enum wk_op op);

/* Reads exactly len bytes of the serial line, or fewer if it ends or says nothing for timeout_ms. */
size_t peer_read(struct peer *p, char *buf, size_t len, int timeout_ms);

/* Closes what is open on this side and waits for the end; returns the status as waitpid gives it. */
int peer_end(struct peer *p);
