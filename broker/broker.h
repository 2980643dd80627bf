/* The broker's whole state: one of it, one thread. Everything that blocks is somebody else's process. */
#pragma once
#include "cgroup.h"
#include "closer.h"
#include "connector.h"
#include "ledger.h"
#include "loop.h"
#include "options.h"
#include "spawn.h"

#include "chan/chan.h"
#include "wire/control.h"

struct client;
struct vm;

#define BROKER_CLIENTS          256u        /* connections at the same time */
#define BROKER_CLIENTS_PER_USER 32u         /* for users other than root */
#define BROKER_JAM              64u         /* of one user's descriptors that cannot be closed: no more from that user */
#define BROKER_PAUSE_MS         100u        /* between connections while they cannot be dealt with */
#define BROKER_ARENA            (768 * KiB) /* for one decoded message of anybody */

struct broker {
	struct options opt;
	struct loop loop;
	struct spawner spawner, backends;
	struct connector connector;
	struct cgroups cgroups; /* of back-ends */
	char no_backends[400];  /* why none can be started; "": they can */
	struct ledger ledger;
	struct closer closer;    /* of everything that clients and children sent */
	struct host_facts facts; /* refreshed before every decision */
	struct source listener, signals, exits, backend_exits, connects;
	uid_t uid;          /* its own */
	int kvm;            /* /dev/kvm, -1 while it cannot be opened */
	int notify;         /* -1: nobody wants to know */
	uint64_t accept_at; /* ms; 0, or nobody is let in before that */
	bool bound;         /* the listener's name is ours to unlink */
	bool stopping;
	bool failed;      /* stopping because something of our own broke */
	uint64_t stop_by; /* ms; the end of patience while stopping */

	struct vm *vms[LIM_VMS]; /* by slot */
	uint32_t n_vms;
	uint32_t last_id;
	struct client *clients[BROKER_CLIENTS];
	uint32_t n_clients;
	bool buried; /* somebody dropped a client or a VM: free them after this round of events */

	struct chan_msg in;        /* the message being handled */
	uint8_t out[CHAN_MSG_MAX]; /* the message being sent */
	_Alignas(16) uint8_t memory[BROKER_ARENA];
};

/* The arena for the message being handled; whatever it held before is gone. */
static inline struct arena broker_arena(struct broker *b)
{
	return arena_over(b->memory, sizeof(b->memory));
}

/* From now on only an end is aimed for: the loop takes every VM down and ends when they are gone, or after a few seconds. why
 * NULL: that is nothing to talk about. */
void broker_stop(struct broker *b, const char *why);
