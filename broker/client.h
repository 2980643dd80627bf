/* One connection. Whatever a client does or leaves undone costs only itself: sends never block, what it does not fetch is
 * bounded, one message is handled at a time, silence ends it. */
#pragma once
#include "authz.h"
#include "broker.h"

#define CLIENT_QUEUE       64u /* messages that wait for a client to fetch them */
#define CLIENT_QUEUE_BYTES (256u * 1024u)
#define CLIENT_SILENCE_MS  30000u /* without a request, and not waiting for anything; without fetching what waits for it */

struct queued;

struct client {
	struct source src;
	struct broker *b;
	struct peer peer;
	bool dead;
	bool lingers; /* to be dropped as soon as its queue is empty */
	/* The request that is being worked on; none while op is 0. Nothing is read from the client until it is answered. */
	struct {
		enum ctl_op op;
		uint32_t serial;
		uint32_t vm_id;
		uint32_t query_no; /* CTL_INFO: the first count of pages that was begun after it was asked */
	} pending;
	uint32_t watch_vm;    /* events of this VM go to this client; 0: of none */
	uint32_t attached_vm; /* lives no longer than this connection; 0: none */
	uint64_t silent_since;
	struct queued *head, *tail;
	unsigned n_queued;
	size_t queued_bytes;
};

/* Listens for what it may do now, and for room if something is to be sent. */
void client_want(struct client *c);
/* Sends what is queued, as far as it goes; negative errno if the client is gone. */
int client_flush(struct client *c);
/* Closes the connection; what was attached to it ends. The memory goes after this round of events. */
void client_drop(struct client *c);

/* Answers the pending request, or, with serial 0, says why the connection ends. vm NULL: without facts. */
void client_reply(struct client *c, uint32_t serial, int code, const char *text);
void client_send_reply(struct client *c, const struct ctl_reply *r);
void client_send_event(struct client *c, const struct ctl_event *ev);

#define OPS(op) (1u << (op))

/* answer.c: every client that waits for one of these operations (OPS(CTL_x) | ...) on this VM: success comes with the VM's facts. */
void clients_answer(struct broker *b, const struct vm *vm, unsigned ops, int code, const char *text);
/* Those who wait for the count of pages that has just ended, or one before. Whether others wait for the next one. */
bool clients_answer_count(struct broker *b, const struct vm *vm);
void clients_tell(struct broker *b, const struct vm *vm, const struct ctl_event *ev);
/* The VM is gone: nobody watches it any more. */
void clients_forget(struct broker *b, const struct vm *vm);

/* Frees what was dropped. */
void clients_bury(struct broker *b);

/* --- hear_client.c --- */

/* Takes over sock, also on failure. Refuses with a reply when there are too many connections. */
void client_accept(struct broker *b, int sock);
/* Ends what has been silent for too long; the next such moment in *next (ms), if it is earlier. */
void clients_tick(struct broker *b, uint64_t now, uint64_t *next);
