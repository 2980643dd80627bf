/* Specs and hosts for the plan's tests. */
#pragma once
#include "model/mem_plan.h"

/* Two nodes of 32G, 8 CPUs each, 2M and 1G pages, EPC, 46 address bits. */
void fix_host(struct host_facts *h);
/* Adds a zone and returns it; id must be static. */
struct zone_spec *fix_zone(struct vm_spec *s, const char *id, uint64_t size);
/* A spec that uses everything: zones of all backings, a hole, both sides of 3 GiB, hotplug, nodes, distances, segments, EPC. */
void fix_full(struct vm_spec *s);
/* Must succeed. */
void fix_plan(const struct vm_spec *s, struct mem_plan *ret);
