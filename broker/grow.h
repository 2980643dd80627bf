/* Memory that grows and shrinks while the VM runs: what each zone's guest is to have beside its boot memory, and what it has. */
#pragma once
#include "ledger.h"

struct broker;
struct vm;
struct wk_memory;
struct err;

#define VM_GROW_MS 30000u /* pages are promised to a guest that does not take them for so long */

struct grown {
	uint64_t wanted, plugged; /* bytes of the hotplug window */
	uint64_t idle;            /* of the plugged ones, bytes that the guest does not use yet */
	uint64_t most;            /* what wanted has been since it was last the truth: as much as the guest may have kept */
	bool driver;              /* the guest has one */
	bool asked;               /* a WK_RESIZE is on its way: later ones wait for its answer */
	bool over;                /* the last request has its outcome */
	uint32_t request;         /* number of the last WK_RESIZE */
	uint64_t told;            /* what it said */
	char refused[128];        /* why host or guest refused some of what was asked for last; "": they did not */
	uint64_t denied, strayed; /* of the guest: requests that were not granted, touches of what is not plugged */
	uint64_t promise_until;   /* ms; until then what is wanted and not plugged is kept for it. 0: nothing is */
};

/* A new VM: what the plan says. */
void grow_init(struct vm *vm);
/* Takes off f what guests are growing into at this moment, but for one zone (NULL: of all VMs). */
void grow_promised(struct broker *b, const struct grown *but, struct host_facts *f);
/* A worker is about to be granted its machine: memsrv learns of it. *ret_fd: the worker's end, the caller's to close; -1: none is
 * needed. */
int grow_connect(struct vm *vm, int *ret_fd, struct err *e);
/* After the grant: what was asked for since the plan was made. */
void grow_granted(struct vm *vm);
/* The worker is gone, and with it all that was plugged. */
void grow_worker_gone(struct vm *vm);
/* The worker tells. false: that cannot be. */
bool grow_heard(struct vm *vm, const struct wk_memory *m);
/* The guest is to have `bytes` of the zone's window; pages for it are promised first (-ENOMEM says which are missing). */
int grow_ask(struct vm *vm, size_t zone, uint64_t bytes, struct err *e);
void grow_tick(struct vm *vm, uint64_t now, uint64_t *next);
