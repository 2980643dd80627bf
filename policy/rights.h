/* The shape of what gen.c makes out of rights.table and the .policy files. Constant data only. */
#pragma once
#include "bulkhead/base.h"

#include <linux/filter.h>

struct filter {
	const char *name; /* of the .policy file, without the suffix */
	uint16_t len;     /* instructions */
	const struct sock_filter *code;
};

enum rights_uid {
	RIGHTS_UID_CALLER, /* whoever started the broker */
	RIGHTS_UID_SLOT,   /* of the VM's own: RIGHTS_UID_BASE + 2 * slot, + 1 for the worker */
	RIGHTS_UID_OWNER,  /* of somebody's files, never root's; 0 in a user namespace where there is no other */
};

#define RIGHTS_UID_BASE 0x70000000u

struct rights_limit {
	int resource; /* RLIMIT_x */
	const char *name;
	uint64_t value; /* soft and hard */
};

struct process_rights {
	const char *name;
	enum rights_uid uid;
	uint64_t caps;       /* bit per CAP_x that may stay (effective and permitted); everything else goes, everywhere */
	uint64_t namespaces; /* CLONE_NEWx that are its own */
	bool fds_any;        /* what is open at the start is checked elsewhere */
	uint64_t fds;        /* bit per descriptor open when main() begins */
	size_t n_limits;
	const struct rights_limit *limits;
	const struct filter *first; /* put on by lockdown_enter */
};
