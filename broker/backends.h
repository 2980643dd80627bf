/* Back-ends that the broker starts: one process for each device that brings its file with it. The file's descriptor is kept for
 * as long as the VM is there; each life of the process has one connection, which the process makes itself and sends, so that
 * nothing is looked up by name. Whatever else comes from it is words for people, of which a few are kept and none is understood.
 */
#pragma once
#include "loop.h"
#include "spawn.h"

#include "wire/backend.h"

struct broker;
struct chan_msg;
struct vm;

struct backend {
	struct source src; /* the channel: a connection, then words */
	struct vm *vm;     /* NULL: this device's back-end is somebody else's */
	uint32_t index;
	enum child_kind kind;
	int file;                 /* the image or the directory; -1: it has not come yet */
	struct spawn_owner owner; /* of a directory's: whose files it serves */
	struct backend_start start;
	pid_t pid;       /* 0: there is none */
	bool wanted;     /* another one as soon as this one is gone */
	bool ended;      /* by us */
	const char *why; /* it was ended by us; NULL: that needs no word */
	bool connected;  /* its connection has come */
	bool over;       /* its channel has come to its end: so has it, and its exit notice follows */
	uint64_t until;  /* ms; 0, or it is killed if its connection has not come by then */
	uint64_t starts;
	size_t heard;   /* bytes of words in this life */
	char said[300]; /* the first of them, as one line */
};

/* Starts one, in the place of one that may still be there: then as soon as that is gone. The connection comes by
 * devices_connected. */
int backend_want(struct backend *k, struct err *e);
/* Takes away whatever is there and wanted. true: nothing is there any more. Otherwise vm_step follows. */
bool backend_end(struct backend *k);
/* Hears what still lies in the channel. What it has said, "" for nothing. */
const char *backend_words(struct backend *k);
void backend_tick(struct backend *k, uint64_t now, uint64_t *next);

/* Exit notices of the second spawner. */
source_fn backend_exits;
