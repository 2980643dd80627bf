#include "print_plan.h"
#include "print.h"
#include "print_guest.h"

#include "model/device_plan.h"

#include <inttypes.h>
#include <string.h>

bool needs_fit(const struct plan_need *needs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (needs[i].missing)
			return false;
	return true;
}

static void map_row(struct table *t, gspan_t at, const char *what)
{
	char from[24], to[24];

	snprintf(from, sizeof(from), "0x%012" PRIx64, at.start.v);
	snprintf(to, sizeof(to), "0x%012" PRIx64, at.start.v + at.len.v - 1);
	TABLE_ROW(t, from, to, people_size(at.len.v).s, what);
}

static void piece_row(struct table *t, const struct mem_plan *p, const struct plan_piece *q)
{
	char what[128];

	if (q->offset)
		snprintf(what, sizeof(what), "RAM  %s from its offset %s", p->zones[q->zone].id, people_size(q->offset).s);
	else
		snprintf(what, sizeof(what), "RAM  %s", p->zones[q->zone].id);
	map_row(t, q->at, what);
}

/* The windows of one kind of all segments follow each other and say little one by one. Returns how many it took. */
static size_t window_row(struct table *t, const struct mem_plan *p, size_t i)
{
	const struct plan_window *w = &p->windows[i];
	const char *kind = NULL;
	gspan_t at = w->at;
	char what[128];
	size_t n = 1;

	switch (w->kind) {
	case WINDOW_HOLE:
		snprintf(what, sizeof(what), "hole, so that the next zone starts at a multiple of its page size");
		break;
	case WINDOW_PLATFORM:
		snprintf(what, sizeof(what), "interrupt controllers and other fixed addresses");
		break;
	case WINDOW_HOTPLUG_ACPI:
		snprintf(what, sizeof(what), "hotplug (acpi)");
		break;
	case WINDOW_HOTPLUG_ZONE:
		snprintf(what, sizeof(what), "hotplug (virtio-mem) of %s", p->zones[w->index].id);
		break;
	case WINDOW_EPC:
		snprintf(what, sizeof(what), "SGX EPC  %s", p->epc[w->index].id);
		break;
	case WINDOW_PCI32:
		kind = "PCI, 32-bit addresses";
		break;
	case WINDOW_ECAM:
		kind = "PCI configuration space";
		break;
	case WINDOW_PCI64:
		kind = "PCI, 64-bit addresses";
		break;
	}
	if (kind) {
		while (i + n < p->n_windows && p->windows[i + n].kind == w->kind &&
		       p->windows[i + n].at.start.v == at.start.v + at.len.v)
			at.len.v += p->windows[i + n++].at.len.v;
		if (n > 1)
			snprintf(what, sizeof(what), "%s, segments %u-%zu, %s each", kind, w->index, w->index + n - 1,
				 people_size(w->at.len.v).s);
		else
			snprintf(what, sizeof(what), p->n_segments > 1 ? "%s, segment %u" : "%s", kind, w->index);
	}
	map_row(t, at, what);
	return n;
}

static void print_map(const struct mem_plan *p)
{
	struct table t = {.n_columns = 4, .right = 1u << 2};
	size_t i = 0, k = 0;

	puts("\nGuest-physical map");
	TABLE_ROW(&t, "FROM", "TO", "SIZE", "WHAT");
	while (i < p->n_pieces || k < p->n_windows) {
		if (k == p->n_windows || (i < p->n_pieces && p->pieces[i].at.start.v < p->windows[k].at.start.v))
			piece_row(&t, p, &p->pieces[i++]);
		else
			k += window_row(&t, p, k);
	}
	table_print(&t, stdout);
}

static void print_balloon(const struct mem_plan *p, const struct balloon_spec *b)
{
	printf("  the guest gives up %s at its start%s%s; pages go back to the host from:", people_size(b->size).s,
	       b->deflate_on_oom == TRI_ON ? ", takes some back when it is short of memory" : "",
	       b->free_page_reporting == TRI_ON ? ", and reports free pages" : "");
	for (size_t i = 0; i < p->n_zones; i++)
		if (plan_zone_gives(&p->zones[i]))
			printf(" %s", p->zones[i].id);
	puts("");
}

static void print_zones(const struct mem_plan *p, const struct vm_spec *spec)
{
	struct table t = {.n_columns = 7, .right = 1u << 1 | 1u << 3};

	puts("\nZones");
	TABLE_ROW(&t, "ZONE", "SIZE", "BACKING", "PAGES", "HOST PLACEMENT", "HOTPLUG", "OPTIONS");
	for (size_t i = 0; i < p->n_zones; i++) {
		const struct plan_zone *z = &p->zones[i];
		char place[96] = "anywhere", plug[160] = "-", options[64];

		if (z->host_policy == HOST_POLICY_LOCAL)
			snprintf(place, sizeof(place), "local");
		else if (z->host_policy != HOST_POLICY_UNSET)
			snprintf(place, sizeof(place), "%s %s", policy_word(z->host_policy), people_set(&z->host_nodes).s);
		if (z->hotplugged_size)
			snprintf(plug, sizeof(plug), "up to %s more, %s at once", people_size(z->hotplug_size).s,
				 people_size(z->hotplugged_size).s);
		else if (z->hotplug_size)
			snprintf(plug, sizeof(plug), "up to %s more", people_size(z->hotplug_size).s);
		snprintf(options, sizeof(options), "%s%s%s%s", z->prefault ? " prefault" : "", z->reserve ? " reserve" : "",
			 z->thp ? " thp" : "", z->mergeable ? " mergeable" : "");
		TABLE_ROW(&t, z->id, people_size(z->size).s, backing_word(z->backing), people_size(z->page_size).s, place, plug,
			  options[0] ? options + 1 : "-");
	}
	table_print(&t, stdout);
	for (size_t i = 0; i < spec->n_zones; i++)
		if (spec->zones[i].file)
			printf("  %s is backed by %s\n", spec->zones[i].id, spec->zones[i].file);
	if (spec->balloon.given)
		print_balloon(p, &spec->balloon);
}

static void print_distances(const struct mem_plan *p)
{
	puts("\nDistances between guest nodes\n");
	printf("  %6s", "");
	for (size_t i = 0; i < p->n_nodes; i++)
		printf(" %5" PRIu32, p->nodes[i].guest_numa_id);
	puts("");
	for (size_t i = 0; i < p->n_nodes; i++) {
		printf("  %6" PRIu32, p->nodes[i].guest_numa_id);
		for (size_t k = 0; k < p->n_nodes; k++)
			printf(" %5u", p->distance[i][k]);
		puts("");
	}
}

static void add_word(char *list, size_t cap, const char *word)
{
	size_t used = strlen(list);

	if (used + strlen(word) + sizeof(" ...") < cap)
		snprintf(list + used, cap - used, "%s%s", used ? " " : "", word);
	else if (used < 3 || strcmp(list + used - 3, "...") != 0)
		snprintf(list + used, cap - used, " ...");
}

static void print_nodes(const struct mem_plan *p)
{
	struct table t = {.n_columns = 6, .right = 1u << 0 | 1u << 2};

	puts("\nGuest nodes");
	TABLE_ROW(&t, "NODE", "VCPUS", "MEMORY", "ZONES", "PCI SEGMENTS", "SGX EPC");
	for (size_t i = 0; i < p->n_nodes; i++) {
		char id[16], zones[128] = "", epc[128] = "";
		struct nodeset segments = {0};
		uint64_t size = 0;

		snprintf(id, sizeof(id), "%" PRIu32, p->nodes[i].guest_numa_id);
		for (size_t z = 0; z < p->n_zones; z++) {
			if (p->zones[z].guest_node != i)
				continue;
			size += p->zones[z].size;
			add_word(zones, sizeof(zones), p->zones[z].id);
		}
		for (uint32_t s = 0; s < p->n_segments; s++)
			if (p->segment_node[s] == i)
				nodeset_add(&segments, s);
		for (size_t s = 0; s < p->n_epc; s++)
			if (p->epc[s].node == i)
				add_word(epc, sizeof(epc), p->epc[s].id);
		TABLE_ROW(&t, id, people_set(&p->nodes[i].cpus).s, people_size(size).s, zones[0] ? zones : "-",
			  people_set(&segments).s, epc[0] ? epc : "-");
	}
	table_print(&t, stdout);
	if (p->n_nodes > 1)
		print_distances(p);
}

static void print_devices(const struct mem_plan *p, const struct vm_spec *spec)
{
	struct table t = {.n_columns = 6, .right = 0x4};
	static struct device_plan d[LIM_DEVICES];
	size_t n = device_plan_build(spec, p, d);

	if (n == 0)
		return;
	puts("\nDevices with a back-end of their own");
	TABLE_ROW(&t, "ID", "VIRTIO TYPE", "QUEUES", "PCI SEGMENT", "ZONES GRANTED", "");
	for (size_t i = 0; i < n; i++) {
		char zones[128] = "", type[8], queues[8], segment[8];

		for (size_t z = 0; z < p->n_zones; z++)
			if (d[i].zones >> z & 1)
				add_word(zones, sizeof(zones), p->zones[z].id);
		snprintf(type, sizeof(type), "%u", d[i].virtio_id);
		snprintf(queues, sizeof(queues), "%u", d[i].n_queues);
		snprintf(segment, sizeof(segment), "%u", d[i].pci_segment);
		TABLE_ROW(&t, d[i].id, type, queues, segment, zones,
			  d[i].narrowed ? "the guest must keep DMA there (swiotlb=force)" : "");
	}
	table_print(&t, stdout);
}

/* What is not in the plan, because the spec alone says it, and each process derives it for itself. */
static void print_guest(const struct mem_plan *p, const struct vm_spec *spec)
{
	static struct affinity_spec affinity[LIM_CPUS];
	static struct pinned pins[LIM_CPUS];
	static struct node_perf perf;
	static struct node_cost costs[NODE_COSTS_MAX];
	struct node_cache caches[LIM_NODES];
	size_t n;

	print_pinned(pins, pinned_groups(affinity, plan_affinity(spec, p, affinity), pins));
	if (!node_perf_build(spec, p, &perf))
		return;
	n = node_costs(&perf, p, costs, ARRAY_LEN(costs));
	print_costs(costs, n, n);
	print_caches(caches, node_caches(&perf, p, caches));
}

static void print_epc(const struct mem_plan *p)
{
	struct table t = {.n_columns = 5, .right = 1u << 1 | 1u << 3};

	if (p->n_epc == 0)
		return;
	puts("\nSGX EPC sections");
	TABLE_ROW(&t, "SECTION", "SIZE", "ADDRESS", "GUEST NODE", "OPTIONS");
	for (size_t i = 0; i < p->n_epc; i++) {
		char at[24], node[16] = "-";

		snprintf(at, sizeof(at), "0x%012" PRIx64, p->epc[i].at.start.v);
		if (p->n_nodes)
			snprintf(node, sizeof(node), "%" PRIu32, p->nodes[p->epc[i].node].guest_numa_id);
		TABLE_ROW(&t, p->epc[i].id, people_size(p->epc[i].at.len.v).s, at, node, p->epc[i].prefault ? "prefault" : "-");
	}
	table_print(&t, stdout);
}

void print_plan(const struct mem_plan *p, const struct vm_spec *spec)
{
	uint64_t boot = 0, more = 0;

	for (size_t i = 0; i < p->n_zones; i++) {
		boot += p->zones[i].size;
		more += p->zones[i].hotplug_size;
	}
	printf("%s of memory at boot", people_size(boot).s);
	if (more)
		printf(", up to %s", people_size(boot + more).s);
	printf("; %" PRIu32 " vCPU%s; %u guest-physical address bits\n", cpus_spec_boot(&spec->cpus),
	       cpus_spec_boot(&spec->cpus) == 1 ? "" : "s", p->phys_bits);
	print_map(p);
	print_zones(p, spec);
	if (p->n_nodes)
		print_nodes(p);
	print_epc(p);
	print_guest(p, spec);
	print_devices(p, spec);
}

static void verdict(const struct plan_need *n, char *ret, size_t cap)
{
	uint64_t all;

	if (n->missing && n->page_size > GUEST_PAGE)
		snprintf(ret, cap, "SHORT: %s, %" PRIu64 " of %" PRIu64 " pages, are missing", people_size(n->missing).s,
			 n->missing / n->page_size, n->bytes / n->page_size);
	else if (n->missing)
		snprintf(ret, cap, "SHORT: %s missing", people_size(n->missing).s);
	else if (add_u64(n->bytes, n->bytes_lazy, &all) && all > n->free)
		snprintf(ret, cap, "OK, but more may be touched than is free now");
	else
		snprintf(ret, cap, "OK");
}

void print_needs(const struct plan_need *needs, size_t n)
{
	struct table t = {.n_columns = 7, .right = 0x1e};

	puts("\nWhat the host must give");
	TABLE_ROW(&t, "HOST NODE", "PAGES", "GUARANTEED", "ON DEMAND", "FREE NOW", "ZONES", "VERDICT");
	for (size_t i = 0; i < n; i++) {
		char word[128];

		verdict(&needs[i], word, sizeof(word));
		TABLE_ROW(&t, nodeset_empty(&needs[i].nodes) ? "any" : people_set(&needs[i].nodes).s,
			  people_size(needs[i].page_size).s, people_size(needs[i].bytes).s, people_size(needs[i].bytes_lazy).s,
			  people_size(needs[i].free).s, needs[i].zones, word);
	}
	table_print(&t, stdout);
}
