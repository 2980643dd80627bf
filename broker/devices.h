/* Connections of a VM's devices to their back-ends. The first one of each is made by the client with its own rights and comes
 * with create, together with a ticket with which the connector makes later ones (connector.h). Connections of back-ends that the
 * broker starts itself come from those (backends.h). */
#pragma once
#include "bulkhead/err.h"
#include "model/limits.h"
#include "wire/worker.h"

#include "backends.h"
#include "loop.h"

struct broker;
struct vm;

struct vm_device {
	char *path;         /* of the back-end's socket, or of the image, for people */
	int connection;     /* until the worker has it; -1 */
	int ticket;         /* the client's leave to connect again; -1: there is none */
	bool asked;         /* the connector, for a connection */
	struct backend own; /* ours to start */
	bool up, hopeless;
	uint64_t losses;
	uint64_t retry_at; /* ms; 0: not needed */
	uint32_t wait_ms;  /* until the next attempt */
	char text[256];    /* what has become of it, for people */
};

struct ctl_device_info;

/* From a spec; connections come by devices_take. */
int devices_fill(struct vm *vm, const struct vm_spec *s, struct err *e);
/* A connection, or the image for a back-end of ours. fd stays the caller's on failure. index: of the device in the spec. */
int devices_take(struct vm *vm, uint16_t index, int *fd, struct err *e);
int devices_take_ticket(struct vm *vm, uint16_t index, int *fd, struct err *e);
int devices_check(const struct vm *vm, struct err *e);
void devices_free(struct vm *vm);

/* Before the worker: back-ends of ours are started, so that they come up at the same time. */
int devices_begin(struct vm *vm, struct err *e);
/* After the grant: a connection for each, in their order. A failure is told and takes the VM down. */
void devices_grant(struct vm *vm);
/* A back-end of ours, or the connector, has made a connection. */
void devices_connected(struct vm *vm, uint32_t index, int *fd);
/* A back-end of ours has ended, or could not be started. known: the worker had its connection, and tells what becomes of that. */
void devices_lost(struct vm *vm, uint32_t index, const char *text, bool known);
/* The worker has gone: nothing is connected to any more, and back-ends of ours are to end. true: none is left; otherwise vm_step
 * follows. */
bool devices_end(struct vm *vm);
/* The worker could not be built. true: because a back-end of ours went away; the VM fails with what that says of itself, now or
 * when its exit notice comes. */
bool devices_explain(struct vm *vm, int code, const char *text);
/* false: the worker speaks of a device that does not exist. */
bool devices_say(struct vm *vm, const struct wk_device_state *s);
/* What info tells; ret has room for LIM_DEVICES. Strings are the VM's. */
size_t devices_describe(const struct vm *vm, struct ctl_device_info *ret);
/* Answers of the connector. */
source_fn devices_answered;
void devices_tick(struct vm *vm, uint64_t now, uint64_t *next);
