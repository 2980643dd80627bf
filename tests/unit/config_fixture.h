/* The host that configuration tests are judged against. */
#pragma once
#include "model/host_facts.h"

#include <stdio.h>
#include <string.h>

static const struct host_facts fixture_two_nodes = {
    .n_nodes = 2,
    .nodes =
	{
	    {.id = 0, .mem_total = 64 * GiB, .mem_free = 60 * GiB, .cpus = {.w = {0x0f}}},
	    {.id = 1, .mem_total = 64 * GiB, .mem_free = 60 * GiB, .cpus = {.w = {0xf0}}},
	},
    .n_huge_sizes = 2,
    .huge_sizes = {2 * MiB, GiB},
    .default_huge_size = 2 * MiB,
    .phys_bits = 46,
    .online_cpus = 8,
    .has_kvm = true,
    .has_vepc = true,
    .thp = "madvise",
    .shmem_thp = "advise",
    .ksm_running = true,
};

/* kind: "" as above; otherwise what is different. */
static inline void fixture_host(struct host_facts *ret, const char *kind)
{
	*ret = fixture_two_nodes;
	if (strcmp(kind, "default1g") == 0)
		ret->default_huge_size = GiB;
	else if (strcmp(kind, "nohuge") == 0)
		ret->n_huge_sizes = 0, ret->default_huge_size = 0;
	else if (strcmp(kind, "only2m") == 0)
		ret->n_huge_sizes = 1;
	else if (strcmp(kind, "novepc") == 0)
		ret->has_vepc = false;
	else if (strcmp(kind, "emptynode") == 0)
		ret->nodes[1].mem_total = 0;
	else if (strcmp(kind, "nothp") == 0) {
		snprintf(ret->thp, sizeof(ret->thp), "never");
		snprintf(ret->shmem_thp, sizeof(ret->shmem_thp), "never");
	} else if (strcmp(kind, "noksm") == 0)
		ret->ksm_running = false;
}
