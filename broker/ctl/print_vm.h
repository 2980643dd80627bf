/* What the CLI says about VMs, as text and as JSON. */
#pragma once
#include "wire/control.h"

#include <stdio.h>

/* Exit codes of the CLI; documented in bulkhead(1). */
enum {
	EXIT_OK = 0,
	EXIT_REFUSED = 1,     /* the request was understood and refused, or failed */
	EXIT_CONFIG = 2,      /* the command line or the configuration is wrong */
	EXIT_NO_BROKER = 3,   /* no broker there, or it does not let us in */
	EXIT_GUEST_FAULT = 4, /* run: the guest ended itself by a mistake */
	EXIT_HOST_FAULT = 5,  /* run: the host side failed the guest */
};

const char *end_cause_word(enum end_cause cause);
int end_exit_code(enum end_cause cause);
void print_end(FILE *f, const char *name, const struct end_report *r);

void print_list(const struct ctl_reply *r);
void print_info(const struct ctl_vm_info *v);

struct json_object;
/* Owned by the caller (json_object_put). */
struct json_object *json_vm(const struct ctl_vm_info *v);
struct json_object *json_end(const char *name, const struct end_report *r);
