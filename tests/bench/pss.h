/* Who belongs to a VM, and what it costs. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PSS_PROCS_MAX 32

struct pss_proc {
	pid_t pid;
	char name[32];     /* of its program: the kernel keeps 15 characters, the command line more */
	uint64_t kib;      /* proportional set size without guest RAM */
	uint64_t anon_kib; /* of that, memory of its own: neither file nor shared */
	uint64_t ram_kib;  /* guest RAM: mappings of at least ram_min bytes that can be written */
};

/* The live descendants of the n roots, and the roots. Returns how many, or -1 with errno. */
int pss_collect(const pid_t *roots, size_t n, uint64_t ram_min, struct pss_proc procs[PSS_PROCS_MAX]);
