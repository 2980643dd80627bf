/* The broker's few flags. */
#pragma once
#include "bulkhead/err.h"
#include "model/limits.h"

#include <sys/types.h>

#define BROKER_SOCKET       "/run/bulkhead/control.sock"
#define BROKER_ALLOW_DIRS   16u
#define BROKER_VMS_PER_USER 16u

struct options {
	const char *socket;
	gid_t group; /* of the socket; (gid_t)-1: as it comes */
	mode_t mode;
	bool private_fd; /* one client, on descriptor 3 */
	bool backends;   /* a private broker's client will want some started; others are always ready to */
	const char *kvm;
	const char *vepc;   /* the device that gives guests SGX EPC */
	bool vepc_named;    /* by --dev-sgx-vepc: a regular file may stand in for it */
	const char *cgroup; /* to be divided; NULL: our own, if it is delegated */
	uint32_t max_vms, max_vms_per_user;
	size_t n_allow;
	const char *allow[BROKER_ALLOW_DIRS]; /* absolute; none: a client's files may lie anywhere */
};

/* 0: go on with *ret; 1: --help or --version was answered; -EINVAL: the command line is wrong. Strings stay argv's. */
int options_parse(int argc, char **argv, struct options *ret, struct err *e);
