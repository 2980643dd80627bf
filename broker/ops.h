/* The table of everything a client can ask for. One verb, one op_*.c. */
#pragma once
#include "client.h"
#include "vm.h"

#include "model/resize_check.h"

enum op_who {
	OP_ANYBODY, /* everybody who may connect, for themselves */
	OP_OWNER,   /* root and the VM's owner */
};

struct op;

/* vm is NULL for operations that name none. Takes the fds it wants out of m. Answers now, or notes in c->pending what it waits
 * for. Returns negative errno with text for an answer that says no. */
typedef int op_fn(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e);

struct op {
	const char *name;
	enum op_who who;
	unsigned states; /* VM_STATE_BITs in which it makes sense; 0: it names no VM */
	unsigned roles;  /* bit per FD_ROLE_x that it takes */
	size_t min_fds, max_fds;
	size_t max_size; /* bytes of the message */
	op_fn *run;
};

/* Judges and runs one message. Negative errno: it is no request of this protocol and the connection is to end. */
int ops_handle(struct client *c, struct chan_msg *m, struct err *e);

/* What has been asked will be answered later. */
void op_wait_for(struct client *c, const struct ctl_request *q, const struct vm *vm);
/* Success, with the VM's facts if there is one. */
void op_done(struct client *c, const struct ctl_request *q, const struct vm *vm);

/* vm_offer_worker, or why there is nobody who could take it. */
int op_offer_worker(struct vm *vm, const struct wk_msg *w, const int *fds, size_t n, struct err *e);

/* What resizing needs to know. op_resize.c */
enum resize_life op_resize_life(const struct vm *vm);
/* op_resize_balloon.c */
int op_resize_balloon(struct client *c, struct vm *vm, struct ctl_request *q, struct err *e);

op_fn op_create, op_boot, op_list, op_info, op_pause, op_resume, op_stop, op_delete, op_console, op_wait, op_power_button,
    op_resize;
