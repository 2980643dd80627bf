/* Connections of a VM's devices to their back-ends. The first one of each is made by the client with its own rights and comes
 * with create; later ones are made here, by the name that the client gave, where that gives nobody more than he has anyway: for
 * VMs of root's and of the broker's own user, and otherwise for sockets that belong to the VM's owner. */
#pragma once
#include "bulkhead/err.h"
#include "model/limits.h"
#include "wire/worker.h"

struct broker;
struct vm;

struct vm_device {
	char *path;     /* of the back-end's socket */
	int connection; /* the client's, until the worker has it; -1 */
	bool up, hopeless;
	uint64_t losses;
	uint64_t retry_at; /* ms; 0: not needed */
	uint32_t wait_ms;  /* until the next attempt */
	char text[256];    /* what has become of it, for people */
};

struct ctl_device_info;

/* From a spec; connections come by devices_take. */
int devices_fill(struct vm *vm, const struct vm_spec *s, struct err *e);
/* fd stays the caller's on failure. index: of the device in the spec. */
int devices_take(struct vm *vm, uint16_t index, int *fd, struct err *e);
int devices_check(const struct vm *vm, struct err *e);
void devices_free(struct vm *vm);

/* After the grant: a connection for each. A failure is told and takes the VM down. */
void devices_grant(struct vm *vm);
/* false: the worker speaks of a device that does not exist. */
bool devices_say(struct vm *vm, const struct wk_device_state *s);
/* What info tells; ret has room for LIM_DEVICES. Strings are the VM's. */
size_t devices_describe(const struct vm *vm, struct ctl_device_info *ret);
void devices_tick(struct vm *vm, uint64_t now, uint64_t *next);
