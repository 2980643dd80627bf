/* The command line of qemu-storage-daemon: a function of the request and nothing else. PURE. */
#pragma once
#include "wire/backend.h"

#define ARGS_QUEUES_MAX 32u

struct args {
	char *argv[8];
	char name[24], file[160], format[160], export[192];
};

void args_build(struct args *ret, const struct backend_start *s);
