/* A child process of a VM: memsrv or worker. Its channel, and how it is ended. */
#pragma once
#include "loop.h"
#include "spawn.h"

#include "chan/chan.h"
#include "wire/memsrv.h"
#include "wire/worker.h"

struct vm;

/* Messages in a second that anybody listens to: a worker has a few hundred to say at most, with a window for each of its zones.
 * One that says more waits for the next second, and the broker has time for others. */
#define HELPER_MESSAGES 2000u

struct helper {
	struct source src; /* the channel */
	struct vm *vm;
	enum child_kind kind;
	pid_t pid;      /* 0: there is none */
	bool asked;     /* to end */
	bool killed;    /* by us */
	unsigned owed;  /* page counts that it was asked for and has not sent */
	uint64_t until; /* ms; 0: no deadline. Then it is killed. */
	unsigned heard; /* messages since heard_since (ms) */
	uint64_t heard_since;
	uint64_t deaf_until; /* ms; 0: it is listened to */
};

/* Handler of its channel. */
source_fn helper_ready;
/* One message. false: there is none now, or never again. */
bool helper_read(struct helper *h);

/* Listens to it again when its time has come; the next such moment in *next (ms), if it is earlier. */
void helper_tick(struct helper *h, uint64_t now, uint64_t *next);

/* Asks it to end: kindly first, by SIGKILL when its time is up. */
void helper_end(struct helper *h);
void helper_kill(struct helper *h);
/* It says that it exits now, and has a moment for that: one, however often it says so. */
void helper_exits(struct helper *h);
/* Gives its channel up. */
void helper_hang_up(struct helper *h);
/* It did or said what it must not: killed, and the VM ends with that reason. */
void helper_out_of_turn(struct helper *h, const char *what);

/* It says how far it is: it lives, and whoever watches the VM hears it. */
void helper_progress(struct helper *h, uint16_t zone, uint64_t done, uint64_t total, uint64_t patience_ms);
/* It says where pages are (pages.c). */
void helper_counted(struct helper *h, const struct zone_report *r, size_t n);

/* A failure has consequences already: it is killed, or its exit notice is on the way. */
int vm_send_memsrv(struct vm *vm, const struct ms_msg *m, const int *fds, size_t n);
int vm_send_worker(struct vm *vm, const struct wk_msg *m, const int *fds, size_t n);
/* The same for what a client may ask for as often as it likes: -EAGAIN, without consequences, when a worker that is busy has not
 * read what was sent to it before. */
int vm_offer_worker(struct vm *vm, const struct wk_msg *m, const int *fds, size_t n);

/* hear_memsrv.c, hear_worker.c: one message of theirs. < 0: it makes no sense. Descriptors of m may be taken. */
int hear_memsrv(struct vm *vm, struct chan_msg *m, struct arena *a, struct err *e);
int hear_worker(struct vm *vm, struct chan_msg *m, struct arena *a, struct err *e);
