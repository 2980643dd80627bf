#include "plan_fixture.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void fix_host(struct host_facts *h)
{
	*h = (struct host_facts){.n_nodes = 2,
				 .n_huge_sizes = 2,
				 .huge_sizes = {2 * MiB, GiB},
				 .default_huge_size = 2 * MiB,
				 .phys_bits = 46,
				 .online_cpus = 16,
				 .has_kvm = true,
				 .has_vepc = true};
	for (uint32_t i = 0; i < 2; i++) {
		struct host_node *n = &h->nodes[i];

		n->id = i;
		n->mem_total = 32 * GiB;
		n->mem_free = 24 * GiB;
		for (uint32_t c = 0; c < 8; c++)
			nodeset_add(&n->cpus, 8 * i + c);
		n->n_huge = 2;
		n->huge[0] = (struct host_huge){2 * MiB, 2048, 1024};
		n->huge[1] = (struct host_huge){GiB, 8, 4};
		n->distance[i] = 10;
		n->distance[1 - i] = 21;
	}
}

struct zone_spec *fix_zone(struct vm_spec *s, const char *id, uint64_t size)
{
	struct zone_spec *z = &s->zones[s->n_zones++];

	*z = (struct zone_spec){.id = id, .has_size = true, .o.size = size};
	return z;
}

void fix_full(struct vm_spec *s)
{
	static uint32_t cpus0[] = {0, 1}, cpus1[] = {2, 3}, segments1[] = {1};
	static struct distance_spec far[] = {{7, 17}};
	static const char *zones1[] = {"huge", "plug"}, *epc1[] = {"epc1"};
	struct zone_spec *z;

	*s = (struct vm_spec){.memory = {.given = true, .has_size = true, .hotplug_method = HOTPLUG_VIRTIO_MEM}};
	fix_zone(s, "anon", GiB + 4 * KiB)->o.mergeable = TRI_ON;
	z = fix_zone(s, "mfd", GiB);
	z->o.shared = TRI_ON;
	z->o.prefault = TRI_ON;
	z = fix_zone(s, "huge", 4 * GiB);
	z->o.hugepages = TRI_ON;
	z->o.hugepage_size = GiB;
	nodeset_add(&z->host_nodes, 1);
	z = fix_zone(s, "plug", 0);
	z->o.has_hotplug_size = z->o.has_hotplugged_size = true;
	z->o.hotplug_size = 2 * GiB;
	z->o.hotplugged_size = 512 * MiB;
	z = fix_zone(s, "file", 256 * MiB);
	z->file = "/srv/memory";
	z->o.shared = TRI_ON;
	z = fix_zone(s, "priv", 256 * MiB);
	z->file = "/srv/memory2";
	nodeset_add(&z->host_nodes, 0);
	nodeset_add(&z->host_nodes, 1);
	z->host_policy = HOST_POLICY_INTERLEAVE;
	/* Given in descending order on purpose. */
	s->n_nodes = 2;
	s->nodes[0] = (struct numa_spec){.has_id = true,
					 .guest_numa_id = 7,
					 .n_cpus = 2,
					 .cpus = cpus1,
					 .n_zones = 2,
					 .zones = zones1,
					 .n_epc = 1,
					 .epc = epc1,
					 .n_segments = 1,
					 .segments = segments1};
	s->nodes[1] = (struct numa_spec){
	    .has_id = true, .guest_numa_id = 3, .n_cpus = 2, .cpus = cpus0, .n_distances = 1, .distances = far};
	s->n_epc = 2;
	s->epc[0] = (struct epc_spec){"epc0", true, 64 * MiB, TRI_ON};
	s->epc[1] = (struct epc_spec){"epc1", true, 32 * MiB, TRI_UNSET};
	s->has_segments = true;
	s->num_pci_segments = 2;
	s->cpus = (struct cpus_spec){.given = true, .boot = 4, .max = 6};
}

void fix_plan(const struct vm_spec *s, struct mem_plan *ret)
{
	struct host_facts host;
	struct diags ds = {0};

	fix_host(&host);
	if (plan_build(s, &host, ret, &ds) == 0)
		return;
	for (size_t i = 0; i < ds.n; i++)
		fprintf(stderr, "# %s %s: %s\n", ds.d[i].option, ds.d[i].text, ds.d[i].reason);
	assert(false && "plan_build refused a spec that it should accept");
}
