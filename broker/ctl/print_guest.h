/* What a guest is told about its nodes and where its vCPUs run, in `plan` and in `info` alike. stdout; JSON arrays are added to
 * o. */
#pragma once
#include "model/guest_facts.h"

#include <json-c/json_types.h>

void print_pinned(const struct pinned *p, size_t n);
/* Of `there` costs the first n are in c. */
void print_costs(const struct node_cost *c, size_t n, size_t there);
void print_caches(const struct node_cache *c, size_t n);

/* "affinity": [{vcpus, host_cpus, by_default}] */
void json_pinned(struct json_object *o, const struct pinned *p, size_t n);
/* "costs": [{from, to, read_latency_ns, write_latency_ns, read_bandwidth_mbs, write_bandwidth_mbs}], null for what is not
 * described */
void json_costs(struct json_object *o, const struct node_cost *c, size_t n);
/* "caches": [{guest_numa_id, size, line}] */
void json_caches(struct json_object *o, const struct node_cache *c, size_t n);
