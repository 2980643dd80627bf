/* semantics "--numa": who belongs to which guest node, and how far they are apart. */
#include "model/spec_check_int.h"

#include <string.h>

#define NOBODY UINT16_MAX

struct numa {
	struct check *c;
	uint32_t lowest; /* index of the node with the lowest guest_numa_id */
	uint16_t cpu_owner[LIM_CPUS], zone_owner[LIM_ZONES], epc_owner[LIM_EPC], segment_owner[LIM_SEGMENTS];
	bool used[LIM_NODES];
};

static const struct numa_spec *node_at(const struct numa *m, size_t i)
{
	return &m->c->s->nodes[i];
}

static const char *found(struct txt *t, const struct numa_spec *n, const char *key, const char *value)
{
	return txt_set(t, "guest_numa_id=%u,%s=%s", n->guest_numa_id, key, value);
}

/* A list that a peer announces but does not send is refused once and then counts as empty. */
static size_t list_len(struct numa *m, size_t i, const char *key, size_t n, const void *list, size_t max)
{
	struct txt t;

	if (n && !list) {
		FAIL(m->c, "--numa", found(&t, node_at(m, i), key, ""), "send the list", "the list is missing");
		return 0;
	}
	if (n > max) {
		FAIL(m->c, "--numa", found(&t, node_at(m, i), key, "..."), "name each of them once",
		     "the list has %zu entries, there can be no more than %zu", n, max);
		return max;
	}
	return n;
}

/* Marks entry as node i's. Says so when it is somebody's already: its own (twice in one list) or another node's. */
static void claim(struct numa *m, uint16_t *owner, size_t i, const char *key, const char *name, const char *what)
{
	struct txt t;

	m->used[i] = true;
	if (*owner == NOBODY) {
		*owner = (uint16_t)i;
		return;
	}
	found(&t, node_at(m, i), key, name);
	if (*owner == i)
		FAIL(m->c, "--numa", t.s, "name it once", "%s %s is in this list twice", what, name);
	else
		FAIL(m->c, "--numa", t.s, "leave it out of one of them", "%s %s already belongs to guest node %u", what, name,
		     node_at(m, *owner)->guest_numa_id);
}

static void check_cpu_list(struct numa *m, size_t i)
{
	const struct numa_spec *n = node_at(m, i);
	uint32_t max = cpus_spec_max(&m->c->s->cpus), first = 0;
	size_t len = list_len(m, i, "cpus", n->n_cpus, n->cpus, LIM_CPUS + 1), missing = 0;
	struct txt t, name;

	for (size_t k = 0; k < len; k++) {
		if (n->cpus[k] >= max || n->cpus[k] >= LIM_CPUS) {
			if (missing++ == 0)
				first = n->cpus[k];
			continue;
		}
		claim(m, &m->cpu_owner[n->cpus[k]], i, "cpus", txt_set(&name, "%u", n->cpus[k]), "vCPU");
	}
	if (!missing)
		return;
	txt_set(&name, missing > 1 ? "%u,..." : "%u", first);
	FAIL(m->c, "--numa", found(&t, n, "cpus", name.s), "name vCPUs that exist, or raise --cpus boot or max",
	     "no such vCPU: %zu of the list, the first is %u; the VM has %u (0-%u)", missing, first, max, max - 1);
}

static void check_zone_list(struct numa *m, size_t i)
{
	const struct numa_spec *n = node_at(m, i);
	size_t len = list_len(m, i, "memory_zones", n->n_zones, n->zones, LIM_ZONES);
	struct txt t;

	for (size_t k = 0; k < len; k++) {
		size_t z = 0;

		while (z < m->c->n_zones && n->zones[k] &&
		       (!m->c->s->zones[z].id || strcmp(m->c->s->zones[z].id, n->zones[k]) != 0))
			z++;
		if (z < m->c->n_zones && n->zones[k])
			claim(m, &m->zone_owner[z], i, "memory_zones", n->zones[k], "zone");
		else
			FAIL(m->c, "--numa", found(&t, n, "memory_zones", shown(n->zones[k])),
			     m->c->n_zones ? "use the id of a --memory-zone"
					   : "describe the zone: --memory size=0 --memory-zone id=ID,size=SIZE",
			     "there is no memory zone with this id");
	}
}

static void check_epc_list(struct numa *m, size_t i)
{
	const struct numa_spec *n = node_at(m, i);
	size_t len = list_len(m, i, "sgx_epc_sections", n->n_epc, n->epc, LIM_EPC);
	struct txt t;

	for (size_t k = 0; k < len; k++) {
		size_t e = 0;

		while (e < m->c->n_epc && n->epc[k] && (!m->c->s->epc[e].id || strcmp(m->c->s->epc[e].id, n->epc[k]) != 0))
			e++;
		if (e < m->c->n_epc && n->epc[k])
			claim(m, &m->epc_owner[e], i, "sgx_epc_sections", n->epc[k], "EPC section");
		else
			FAIL(m->c, "--numa", found(&t, n, "sgx_epc_sections", shown(n->epc[k])), "use the id of a --sgx-epc",
			     "there is no EPC section with this id");
	}
}

static void check_segment_list(struct numa *m, size_t i)
{
	const struct numa_spec *n = node_at(m, i);
	uint32_t have = m->c->s->has_segments ? m->c->s->num_pci_segments : 1;
	size_t len = list_len(m, i, "pci_segments", n->n_segments, n->segments, LIM_SEGMENTS);
	struct txt t, name;

	for (size_t k = 0; k < len; k++) {
		uint32_t seg = n->segments[k];

		txt_set(&name, "%u", seg);
		found(&t, n, "pci_segments", name.s);
		if (seg >= have || seg >= LIM_SEGMENTS)
			FAIL(m->c, "--numa", t.s, "name a segment that exists, or raise --platform num_pci_segments",
			     "there is no PCI segment %u; the VM has %u (from 0)", seg, have);
		else if (seg == 0 && i != m->lowest)
			FAIL(m->c, "--numa", t.s, "leave segment 0 out, or put it on the lowest-numbered node",
			     "PCI segment 0 always belongs to the lowest-numbered guest node, which is %u",
			     node_at(m, m->lowest)->guest_numa_id);
		else
			claim(m, &m->segment_owner[seg], i, "pci_segments", name.s, "PCI segment");
	}
}

static bool node_exists(const struct numa *m, uint32_t id)
{
	for (size_t i = 0; i < m->c->n_nodes; i++)
		if (node_at(m, i)->has_id && node_at(m, i)->guest_numa_id == id)
			return true;
	return false;
}

static void check_distances(struct numa *m, size_t i)
{
	const struct numa_spec *n = node_at(m, i);
	size_t len = list_len(m, i, "distances", n->n_distances, n->distances, LIM_NODES);
	struct txt t, pair;

	for (size_t k = 0; k < len; k++) {
		const struct distance_spec *d = &n->distances[k];
		bool twice = false;

		found(&t, n, "distances", txt_set(&pair, "[%u@%u]", d->to, d->value));
		for (size_t j = 0; j < k && !twice; j++)
			twice = n->distances[j].to == d->to;
		if (twice)
			FAIL(m->c, "--numa", t.s, "name each destination once", "the distance to guest node %u is given twice",
			     d->to);
		else if (n->has_id && d->to == n->guest_numa_id) {
			if (d->value != 10)
				WARN(m->c, "--numa", t.s, "leave it out",
				     "ignored: the distance of a node to itself is always 10");
		} else if (!node_exists(m, d->to))
			FAIL(m->c, "--numa", t.s, "add --numa guest_numa_id for it, or leave it out", "there is no guest node %u",
			     d->to);
		else if (d->value <= 10 || d->value > 254)
			FAIL(m->c, "--numa", t.s, "a distance from 11 to 254",
			     "%u is no distance to another node: 10 is a node to itself and 255 means unreachable", d->value);
	}
}

static bool find_lowest(struct numa *m)
{
	bool any = false;

	for (size_t i = 0; i < m->c->n_nodes; i++) {
		const struct numa_spec *n = node_at(m, i);
		struct txt t;

		if (!n->has_id) {
			FAIL(m->c, "--numa", txt_set(&t, "%zu. node", i + 1), "add guest_numa_id=N",
			     "guest_numa_id is mandatory");
			continue;
		}
		for (size_t k = 0; k < i; k++) {
			if (!node_at(m, k)->has_id || node_at(m, k)->guest_numa_id != n->guest_numa_id)
				continue;
			FAIL(m->c, "--numa", txt_set(&t, "guest_numa_id=%u", n->guest_numa_id),
			     "describe each node in one --numa value", "this guest node is described twice");
			break;
		}
		if (!any || n->guest_numa_id < node_at(m, m->lowest)->guest_numa_id)
			m->lowest = (uint32_t)i;
		any = true;
	}
	return any;
}

/* What nobody listed belongs to the lowest-numbered node. */
static void tell_unlisted(struct numa *m)
{
	uint32_t id = node_at(m, m->lowest)->guest_numa_id, max = cpus_spec_max(&m->c->s->cpus);
	uint64_t cpus[(LIM_CPUS + 63) / 64] = {0};
	bool any = false;
	struct txt t, list = {""};

	txt_set(&t, "guest_numa_id=%u", id);
	for (uint32_t i = 0; i < max && i < LIM_CPUS; i++)
		if (m->cpu_owner[i] == NOBODY)
			cpus[i / 64] |= UINT64_C(1) << (i % 64), any = true;
	if (any) {
		txt_add_set(&list, cpus, LIM_CPUS);
		NOTE(m->c, "--numa", t.s, "list them in a node's cpus",
		     "no node lists these vCPUs, they belong to guest node %u: %s", id, list.s);
		m->used[m->lowest] = true;
	}
	any = false;
	list.s[0] = 0;
	for (size_t i = 0; i < m->c->n_zones; i++) {
		if (m->zone_owner[i] != NOBODY)
			continue;
		txt_add(&list, "%s%s", any ? "," : "", shown(m->c->s->zones[i].id));
		any = true;
	}
	if (any)
		NOTE(m->c, "--numa", t.s, "list them in a node's memory_zones",
		     "no node lists these zones, they belong to guest node %u: %s", id, list.s);
	if (m->c->n_zones == 0)
		NOTE(m->c, "--numa", t.s, "use --memory-zone and memory_zones to give every node memory",
		     "all of the memory belongs to guest node %u, because --memory has no zones", id);
	if (any || m->c->n_zones == 0)
		m->used[m->lowest] = true;
	for (size_t i = 0; i < m->c->n_epc; i++)
		if (m->epc_owner[i] == NOBODY)
			NOTE(m->c, "--numa", t.s, "list it in a node's sgx_epc_sections",
			     "no node lists EPC section %s, it belongs to guest node %u", shown(m->c->s->epc[i].id), id);
}

void check_numa(struct check *c)
{
	struct numa m = {.c = c};
	struct txt t;

	memset(m.cpu_owner, 0xff, sizeof(m.cpu_owner));
	memset(m.zone_owner, 0xff, sizeof(m.zone_owner));
	memset(m.epc_owner, 0xff, sizeof(m.epc_owner));
	memset(m.segment_owner, 0xff, sizeof(m.segment_owner));
	if (c->n_nodes == 0)
		return;
	if (!find_lowest(&m)) {
		/* No node has a number. What the lists say is still judged, against the first node. */
		m.lowest = 0;
	}
	for (size_t i = 0; i < c->n_nodes; i++) {
		check_cpu_list(&m, i);
		check_zone_list(&m, i);
		check_epc_list(&m, i);
		check_segment_list(&m, i);
		check_distances(&m, i);
	}
	tell_unlisted(&m);
	for (size_t i = 0; i < c->n_nodes; i++)
		if (!m.used[i])
			WARN(c, "--numa", txt_set(&t, "guest_numa_id=%u", node_at(&m, i)->guest_numa_id),
			     "give it cpus, memory_zones, sgx_epc_sections or pci_segments, or leave it out",
			     "this node has nothing in it");
}
