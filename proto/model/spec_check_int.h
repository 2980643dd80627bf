/* Between the spec_check_*.c files only. */
#pragma once
#include "model/mem_plan.h"
#include "model/size_text.h"

struct check {
	const struct vm_spec *s;
	const struct host_facts *host; /* NULL: judge nothing that depends on the host */
	struct diags *ds;
	/* Counts as far as the arrays can be read: a peer's count beyond the array is an error of its own. */
	size_t n_zones, n_nodes, n_epc, n_devices;
};

#define FAIL(c, option, text, remedy, ...) diag_add((c)->ds, DIAG_ERROR, option, text, remedy, __VA_ARGS__)
#define WARN(c, option, text, remedy, ...) diag_add((c)->ds, DIAG_WARNING, option, text, remedy, __VA_ARGS__)
#define NOTE(c, option, text, remedy, ...) diag_add((c)->ds, DIAG_NOTICE, option, text, remedy, __VA_ARGS__)

/* A string for messages, also when there is none. */
static inline const char *shown(const char *s)
{
	return s ? s : "";
}

/* Reports an identifier that breaks the rules; false then. what: "zone". */
bool check_id(struct check *c, const char *option, const char *what, const char *id);
/* A toggle read from a peer may hold any number. */
void check_tri(struct check *c, const char *option, const char *id, const char *key, enum tri v);
/* A path must be there, not empty and not longer than the kernel takes. */
void check_path(struct check *c, const char *option, const char *text, const char *path);

void check_memory(struct check *c); /* spec_check_memory.c: --memory and --memory-zone as a whole */
void check_mem_opts(struct check *c, const char *option, const struct zone_spec *zone,
		    const struct mem_opts *o); /* spec_check_backing.c: what both share; zone NULL for --memory */
void check_zone_host(struct check *c, const struct zone_spec *z); /* spec_check_backing.c: file and host nodes */
void check_numa(struct check *c);                                 /* spec_check_numa.c */
void check_node_perf(struct check *c);                            /* spec_check_perf.c */
void check_epc(struct check *c);                                  /* spec_check_devices.c */
void check_devices(struct check *c);                              /* spec_check_devices.c */
void check_balloon(struct check *c);                              /* spec_check_balloon.c */
void check_cpus(struct check *c);                                 /* spec_check_cpus.c */
