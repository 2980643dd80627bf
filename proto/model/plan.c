#include "model/plan_impl.h"
#include "model/size_text.h"
#include "bulkhead/abi/platform.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

_Static_assert(PLAN_RAM_LOW_END == PLAT_RAM_LOW_END, "RAM ends where the 32-bit PCI window begins");
_Static_assert(PLAN_RAM_LOW_END % GiB == 0, "a zone of any page size can be split there");

void plan_add_window(struct mem_plan *p, enum plan_window_kind kind, size_t index, uint64_t start, uint64_t len)
{
	assert(p->n_windows < PLAN_WINDOWS_MAX);
	p->windows[p->n_windows++] = (struct plan_window){kind, (uint16_t)index, gspan(start, len)};
}

static void add_piece(struct mem_plan *p, size_t zone, uint64_t offset, uint64_t start, uint64_t len)
{
	assert(p->n_pieces < PLAN_PIECES_MAX);
	p->pieces[p->n_pieces++] = (struct plan_piece){(uint16_t)zone, offset, gspan(start, len)};
}

/* thp and mergeable: what a zone does not say it takes from --memory. */
static enum tri inherit(enum tri zone, enum tri memory)
{
	return zone != TRI_UNSET ? zone : memory;
}

static void choose_backing(const struct mem_opts *o, const char *file, struct plan_zone *z)
{
	if (mem_opts_huge(o))
		z->backing = BACKING_HUGETLB;
	else if (file)
		z->backing = mem_opts_shared(o) ? BACKING_FILE_SHARED : BACKING_FILE_PRIVATE;
	else
		z->backing = mem_opts_shared(o) ? BACKING_MEMFD : BACKING_ANON;
}

/* The page size of huge zones; says so when it is the host's choice. */
static void choose_page_size(const struct mem_opts *o, const char *option, const struct host_facts *host, struct plan_zone *z,
			     struct diags *ds)
{
	bool plain = strcmp(z->id, PLAN_ZONE_ID_PLAIN) == 0;
	char text[128];

	if (z->backing != BACKING_HUGETLB) {
		z->page_size = GUEST_PAGE;
		return;
	}
	z->page_size = o->hugepage_size;
	if (z->page_size == 0) {
		z->page_size = host->default_huge_size;
		snprintf(text, sizeof(text), "%s%s%shugepages=on", plain ? "" : "id=", plain ? "" : z->id, plain ? "" : ",");
		diag_add(ds, DIAG_NOTICE, option, text, "", "without hugepage_size the pages have the host's default size, %s",
			 size_text(z->page_size).s);
	}
}

static void add_cpus(struct plan_zone *z, const struct host_node *n)
{
	for (size_t w = 0; w < ARRAY_LEN(z->host_cpus.w); w++)
		z->host_cpus.w[w] |= n->cpus.w[w];
}

/* A node of memory only (CXL) is used by the CPUs that are nearest to it; all of them, if several nodes are equally near. */
static void add_nearest_cpus(struct plan_zone *z, const struct host_facts *host, const struct host_node *memory)
{
	uint16_t best = UINT16_MAX;

	for (size_t i = 0; i < host->n_nodes; i++)
		if (!nodeset_empty(&host->nodes[i].cpus) && memory->distance[i] && memory->distance[i] < best)
			best = memory->distance[i];
	for (size_t i = 0; i < host->n_nodes; i++)
		if (memory->distance[i] == best)
			add_cpus(z, &host->nodes[i]);
}

static void choose_host_nodes(const struct zone_spec *zs, const struct host_facts *host, struct plan_zone *z)
{
	z->host_policy = zs->host_policy;
	z->host_nodes = zs->host_nodes;
	if (z->host_policy == HOST_POLICY_UNSET && !nodeset_empty(&z->host_nodes))
		z->host_policy = HOST_POLICY_BIND;
	for (size_t i = 0; i < host->n_nodes; i++)
		if (nodeset_has(&z->host_nodes, host->nodes[i].id))
			add_cpus(z, &host->nodes[i]);
	if (!nodeset_empty(&z->host_cpus))
		return;
	for (size_t i = 0; i < host->n_nodes; i++)
		if (nodeset_has(&z->host_nodes, host->nodes[i].id))
			add_nearest_cpus(z, host, &host->nodes[i]);
}

static void fill_zone(const struct memory_spec *memory, const struct mem_opts *own, const char *option, const char *file,
		      const struct host_facts *host, struct plan_zone *z, struct diags *ds)
{
	struct mem_opts o = *own;

	o.thp = inherit(own->thp, memory->o.thp);
	o.mergeable = inherit(own->mergeable, memory->o.mergeable);
	choose_backing(&o, file, z);
	choose_page_size(&o, option, host, z, ds);
	z->size = o.size;
	z->prefault = o.prefault == TRI_ON;
	z->reserve = o.reserve == TRI_UNSET ? z->backing == BACKING_HUGETLB : o.reserve == TRI_ON;
	/* KSM knows private anonymous memory only, and thp=on is the default for that; on shared memory it is advice that
	 * somebody asked for. */
	z->thp = (z->backing == BACKING_ANON && o.thp != TRI_OFF) || (z->backing == BACKING_MEMFD && o.thp == TRI_ON);
	z->mergeable = z->backing == BACKING_ANON && o.mergeable == TRI_ON;
	if (o.has_hotplug_size) {
		bool acpi = memory->hotplug_method == HOTPLUG_ACPI;
		uint64_t step = acpi ? HOTPLUG_ALIGN : VIRTIO_MEM_BLOCK;

		z->hotplug_size = o.hotplug_size;
		z->hotplugged_size = o.has_hotplugged_size ? o.hotplugged_size : 0;
		z->block_size = z->page_size > step ? z->page_size : step;
	}
}

static void fill_zones(const struct vm_spec *spec, const struct host_facts *host, struct mem_plan *p, struct diags *ds)
{
	if (spec->n_zones == 0) {
		struct mem_opts o = spec->memory.o;

		o.size = vm_spec_plain_size(spec);
		p->n_zones = 1;
		memcpy(p->zones[0].id, PLAN_ZONE_ID_PLAIN, sizeof(PLAN_ZONE_ID_PLAIN));
		fill_zone(&spec->memory, &o, "--memory", NULL, host, &p->zones[0], ds);
		return;
	}
	p->n_zones = spec->n_zones;
	for (size_t i = 0; i < spec->n_zones; i++) {
		snprintf(p->zones[i].id, sizeof(p->zones[i].id), "%s", spec->zones[i].id);
		fill_zone(&spec->memory, &spec->zones[i].o, "--memory-zone", spec->zones[i].file, host, &p->zones[i], ds);
		choose_host_nodes(&spec->zones[i], host, &p->zones[i]);
	}
}

/* Fills [0, 3 GiB) and then from 4 GiB up, in the order of the zones. false: more than 64 bits of address. */
static bool fill_ram(struct mem_plan *p, uint64_t *ret_end)
{
	uint64_t cursor = 0;

	for (size_t i = 0; i < p->n_zones; i++) {
		const struct plan_zone *z = &p->zones[i];
		uint64_t start, low = 0;

		if (z->size == 0)
			continue;
		if (!align_up_u64(cursor, z->page_size, &start))
			return false;
		if (cursor < PLAN_RAM_LOW_END && start >= PLAN_RAM_LOW_END)
			plan_add_window(p, WINDOW_HOLE, 0, cursor, PLAN_RAM_LOW_END - cursor);
		else if (start > cursor)
			plan_add_window(p, WINDOW_HOLE, 0, cursor, start - cursor);
		if (start < PLAN_RAM_LOW_END) {
			low = PLAN_RAM_LOW_END - start < z->size ? PLAN_RAM_LOW_END - start : z->size;
			add_piece(p, i, 0, start, low);
			cursor = start + low;
		}
		if (low < z->size) {
			if (start < PLAN_RAM_HIGH_START)
				start = PLAN_RAM_HIGH_START;
			if (!add_u64(start, z->size - low, &cursor))
				return false;
			add_piece(p, i, low, start, z->size - low);
		}
	}
	*ret_end = cursor;
	return true;
}

/* Between the RAM below 3 GiB and the RAM from 4 GiB up. */
static void place_fixed(struct mem_plan *p)
{
	uint64_t share = (PLAT_PCI32_END - PLAT_PCI32_START) / p->n_segments & ~(MiB - 1);

	for (uint32_t s = 0; s < p->n_segments; s++)
		plan_add_window(p, WINDOW_PCI32, s, PLAT_PCI32_START + s * share, share);
	for (uint32_t s = 0; s < p->n_segments; s++)
		plan_add_window(p, WINDOW_ECAM, s, PLAT_ECAM_START + (uint64_t)s * PLAT_ECAM_PER_SEGMENT, PLAT_ECAM_PER_SEGMENT);
	plan_add_window(p, WINDOW_PLATFORM, 0, PLAT_FIXED_START, PLAT_FIXED_END - PLAT_FIXED_START);
}

static void sort_windows(struct mem_plan *p)
{
	for (size_t i = 1; i < p->n_windows; i++) {
		struct plan_window w = p->windows[i];
		size_t at = i;

		for (; at > 0 && p->windows[at - 1].at.start.v > w.at.start.v; at--)
			p->windows[at] = p->windows[at - 1];
		p->windows[at] = w;
	}
}

static void fill_epc(const struct vm_spec *spec, struct mem_plan *p)
{
	p->n_epc = spec->n_epc;
	for (size_t i = 0; i < spec->n_epc; i++) {
		snprintf(p->epc[i].id, sizeof(p->epc[i].id), "%s", spec->epc[i].id);
		p->epc[i].at.len = glen(spec->epc[i].size);
		p->epc[i].prefault = spec->epc[i].prefault == TRI_ON;
	}
}

int plan_build(const struct vm_spec *spec, const struct host_facts *host, struct mem_plan *ret_plan, struct diags *ds)
{
	struct mem_plan p = {0};
	uint64_t ram_end = 0;

	assert(spec->n_zones <= LIM_ZONES && spec->n_nodes <= LIM_NODES && spec->n_epc <= LIM_EPC);
	p.phys_bits = host->phys_bits;
	if (p.phys_bits < PLAN_PHYS_BITS_MIN || p.phys_bits > PLAN_PHYS_BITS_MAX) {
		diag_add(ds, DIAG_ERROR, "--memory", "", "run on, or describe with --host, a host with a sane number",
			 "the host says that guest addresses have %u bits; between %u and %u is possible", p.phys_bits,
			 PLAN_PHYS_BITS_MIN, PLAN_PHYS_BITS_MAX);
		return -EINVAL;
	}
	p.n_segments = spec->has_segments ? spec->num_pci_segments : 1;
	assert(p.n_segments >= 1 && p.n_segments <= LIM_SEGMENTS);
	fill_zones(spec, host, &p, ds);
	fill_epc(spec, &p);
	plan_numa(spec, &p);
	if (!fill_ram(&p, &ram_end)) {
		ram_end = UINT64_MAX; /* plan_above_ram has the words for it */
	} else if (p.n_pieces == 0) {
		diag_add(ds, DIAG_ERROR, "--memory-zone", "", "give at least one zone a size", "no zone has memory at boot");
		return -EINVAL;
	}
	place_fixed(&p);
	if (!plan_above_ram(spec, ram_end, &p, ds))
		return -EINVAL;
	sort_windows(&p);
	*ret_plan = p;
	return 0;
}
