/* The JSON form of a plan: documented in bulkhead-plan(1). Keys may be added, never renamed. */
#include "print_plan.h"
#include "print.h"
#include "print_guest.h"

#include "model/device_plan.h"

#include <json-c/json.h>

static const char *window_word(enum plan_window_kind k)
{
	switch (k) {
	case WINDOW_HOLE:
		return "hole";
	case WINDOW_PCI32:
		return "pci32";
	case WINDOW_ECAM:
		return "ecam";
	case WINDOW_PLATFORM:
		return "platform";
	case WINDOW_HOTPLUG_ACPI:
		return "hotplug-acpi";
	case WINDOW_HOTPLUG_ZONE:
		return "hotplug-virtio-mem";
	case WINDOW_EPC:
		return "epc";
	case WINDOW_PCI64:
		return "pci64";
	}
	return "unknown";
}

static void add_span(struct json_object *o, gspan_t at)
{
	json_add_u64(o, "start", at.start.v);
	json_add_u64(o, "len", at.len.v);
}

/* null when the guest sees no NUMA. */
static void add_guest_node(struct json_object *o, const struct mem_plan *p, size_t node)
{
	if (node < p->n_nodes)
		json_add_u64(o, "guest_numa_id", p->nodes[node].guest_numa_id);
	else
		json_add_str(o, "guest_numa_id", NULL);
}

static void add_hotplug(struct json_object *o, const struct mem_plan *p, size_t zone)
{
	const struct plan_zone *z = &p->zones[zone];
	const char *method = "virtio-mem";
	struct json_object *h;

	if (z->hotplug_size == 0) {
		json_add_str(o, "hotplug", NULL);
		return;
	}
	for (size_t i = 0; i < p->n_windows; i++)
		if (p->windows[i].kind == WINDOW_HOTPLUG_ACPI && p->windows[i].index == zone)
			method = "acpi";
	h = json_object_new_object();
	json_object_object_add(o, "hotplug", h);
	json_add_str(h, "method", method);
	json_add_u64(h, "size", z->hotplug_size);
	json_add_u64(h, "hotplugged_size", z->hotplugged_size);
	json_add_u64(h, "block_size", z->block_size);
	add_span(h, z->hotplug);
}

static void add_zones(struct json_object *plan, const struct mem_plan *p, const struct vm_spec *spec)
{
	struct json_object *a = json_add_array(plan, "zones");

	for (size_t i = 0; i < p->n_zones; i++) {
		const struct plan_zone *z = &p->zones[i];
		struct json_object *o = json_append_object(a);

		json_add_str(o, "id", z->id);
		json_add_str(o, "backing", backing_word(z->backing));
		json_add_str(o, "file", i < spec->n_zones ? spec->zones[i].file : NULL);
		json_add_u64(o, "size", z->size);
		json_add_u64(o, "page_size", z->page_size);
		json_add_bool(o, "prefault", z->prefault);
		json_add_bool(o, "reserve", z->reserve);
		json_add_bool(o, "thp", z->thp);
		json_add_bool(o, "mergeable", z->mergeable);
		if (spec->balloon.given)
			json_add_bool(o, "gives_back", plan_zone_gives(z));
		json_add_str(o, "host_policy", policy_word(z->host_policy));
		json_add_set(o, "host_nodes", &z->host_nodes);
		json_add_set(o, "host_cpus", &z->host_cpus);
		add_guest_node(o, p, z->guest_node);
		add_hotplug(o, p, i);
	}
}

static void add_window(struct json_object *map, const struct mem_plan *p, const struct plan_window *w)
{
	struct json_object *o = json_append_object(map);

	add_span(o, w->at);
	json_add_str(o, "kind", window_word(w->kind));
	switch (w->kind) {
	case WINDOW_HOTPLUG_ACPI:
	case WINDOW_HOTPLUG_ZONE:
		json_add_str(o, "zone", p->zones[w->index].id);
		break;
	case WINDOW_EPC:
		json_add_str(o, "epc", p->epc[w->index].id);
		break;
	case WINDOW_PCI32:
	case WINDOW_ECAM:
	case WINDOW_PCI64:
		json_add_u64(o, "segment", w->index);
		break;
	case WINDOW_HOLE:
	case WINDOW_PLATFORM:
		break;
	}
}

/* RAM and windows in one list, ascending. */
static void add_map(struct json_object *plan, const struct mem_plan *p)
{
	struct json_object *a = json_add_array(plan, "map");
	size_t i = 0, k = 0;

	while (i < p->n_pieces || k < p->n_windows) {
		if (k == p->n_windows || (i < p->n_pieces && p->pieces[i].at.start.v < p->windows[k].at.start.v)) {
			struct json_object *o = json_append_object(a);

			add_span(o, p->pieces[i].at);
			json_add_str(o, "kind", "ram");
			json_add_str(o, "zone", p->zones[p->pieces[i].zone].id);
			json_add_u64(o, "offset", p->pieces[i++].offset);
		} else {
			add_window(a, p, &p->windows[k++]);
		}
	}
}

static void add_nodes(struct json_object *plan, const struct mem_plan *p)
{
	struct json_object *a = json_add_array(plan, "nodes");

	for (size_t i = 0; i < p->n_nodes; i++) {
		struct json_object *o = json_append_object(a), *zones, *distances, *segments, *epc;

		json_add_u64(o, "guest_numa_id", p->nodes[i].guest_numa_id);
		json_add_set(o, "cpus", &p->nodes[i].cpus);
		zones = json_add_array(o, "memory_zones");
		for (size_t z = 0; z < p->n_zones; z++)
			if (p->zones[z].guest_node == i)
				json_object_array_add(zones, json_object_new_string(p->zones[z].id));
		distances = json_add_array(o, "distances");
		for (size_t k = 0; k < p->n_nodes; k++) {
			struct json_object *d = json_append_object(distances);

			json_add_u64(d, "to", p->nodes[k].guest_numa_id);
			json_add_u64(d, "distance", p->distance[i][k]);
		}
		segments = json_add_array(o, "pci_segments");
		for (uint32_t s = 0; s < p->n_segments; s++)
			if (p->segment_node[s] == i)
				json_object_array_add(segments, json_object_new_int((int)s));
		epc = json_add_array(o, "sgx_epc_sections");
		for (size_t s = 0; s < p->n_epc; s++)
			if (p->epc[s].node == i)
				json_object_array_add(epc, json_object_new_string(p->epc[s].id));
	}
}

static void add_devices(struct json_object *plan, const struct mem_plan *p, const struct vm_spec *spec)
{
	static struct device_plan d[LIM_DEVICES];
	size_t n = device_plan_build(spec, p, d);
	struct json_object *a = n ? json_add_array(plan, "devices") : NULL;

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_append_object(a), *zones;

		json_add_str(o, "id", d[i].id);
		json_add_u64(o, "virtio_type", d[i].virtio_id);
		json_add_u64(o, "queues", d[i].n_queues);
		json_add_u64(o, "pci_segment", d[i].pci_segment);
		json_add_bool(o, "narrowed", d[i].narrowed);
		zones = json_add_array(o, "zones");
		for (size_t z = 0; z < p->n_zones; z++)
			if (d[i].zones >> z & 1)
				json_object_array_add(zones, json_object_new_string(p->zones[z].id));
	}
}

/* In the same words as `info`. */
static void add_guest(struct json_object *plan, const struct mem_plan *p, const struct vm_spec *spec)
{
	static struct affinity_spec affinity[LIM_CPUS];
	static struct pinned pins[LIM_CPUS];
	static struct node_perf perf;
	static struct node_cost costs[NODE_COSTS_MAX];
	struct node_cache caches[LIM_NODES];

	json_pinned(plan, pins, pinned_groups(affinity, plan_affinity(spec, p, affinity), pins));
	node_perf_build(spec, p, &perf); /* all zero if there is nothing */
	json_costs(plan, costs, node_costs(&perf, p, costs, ARRAY_LEN(costs)));
	json_caches(plan, caches, node_caches(&perf, p, caches));
}

static void add_balloon(struct json_object *plan, const struct balloon_spec *b)
{
	struct json_object *o;

	if (!b->given)
		return;
	o = json_object_new_object();
	json_add_u64(o, "size", b->size);
	json_add_bool(o, "deflate_on_oom", b->deflate_on_oom == TRI_ON);
	json_add_bool(o, "free_page_reporting", b->free_page_reporting == TRI_ON);
	json_object_object_add(plan, "balloon", o);
}

struct json_object *json_plan(const struct mem_plan *p, const struct vm_spec *spec)
{
	struct json_object *plan = json_object_new_object(), *a;

	json_add_u64(plan, "phys_bits", p->phys_bits);
	json_add_u64(plan, "vcpus_boot", cpus_spec_boot(&spec->cpus));
	json_add_u64(plan, "vcpus_max", cpus_spec_max(&spec->cpus));
	json_add_u64(plan, "num_pci_segments", p->n_segments);
	add_zones(plan, p, spec);
	add_map(plan, p);
	add_nodes(plan, p);
	add_balloon(plan, &spec->balloon);
	add_devices(plan, p, spec);
	add_guest(plan, p, spec);
	a = json_add_array(plan, "sgx_epc");
	for (size_t i = 0; i < p->n_epc; i++) {
		struct json_object *o = json_append_object(a);

		json_add_str(o, "id", p->epc[i].id);
		add_span(o, p->epc[i].at);
		json_add_bool(o, "prefault", p->epc[i].prefault);
		add_guest_node(o, p, p->epc[i].node);
	}
	return plan;
}

struct json_object *json_needs(const struct plan_need *needs, size_t n)
{
	struct json_object *a = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_append_object(a);

		json_add_set(o, "host_nodes", &needs[i].nodes); /* empty: any */
		json_add_u64(o, "page_size", needs[i].page_size);
		json_add_u64(o, "bytes", needs[i].bytes);
		json_add_u64(o, "bytes_lazy", needs[i].bytes_lazy);
		json_add_u64(o, "free", needs[i].free);
		json_add_u64(o, "missing", needs[i].missing);
		json_add_str(o, "zones", needs[i].zones);
	}
	return a;
}
