/* SRAT, 5.2.16: which vCPU, which memory, which EPC section and, where nothing else makes a node known, which device belong to
 * which node. */
#include "tables.h"

#define AFFINITY_ENABLED 1u
#define AFFINITY_HOTPLUG 2u

static void cpu(struct out *o, uint32_t domain, uint32_t apic_id)
{
	if (apic_id < 255) { /* 5.2.16.1: the domain is split into a low byte and three high ones */
		out_u8(o, 0);
		out_u8(o, 16);
		out_u8(o, (uint8_t)domain);
		out_u8(o, (uint8_t)apic_id);
		out_u32(o, AFFINITY_ENABLED);
		out_u8(o, 0);
		out_u8(o, (uint8_t)(domain >> 8));
		out_u8(o, (uint8_t)(domain >> 16));
		out_u8(o, (uint8_t)(domain >> 24));
		out_u32(o, 0);
		return;
	}
	out_u8(o, 2); /* 5.2.16.3 */
	out_u8(o, 24);
	out_u16(o, 0);
	out_u32(o, domain);
	out_u32(o, apic_id);
	out_u32(o, AFFINITY_ENABLED);
	out_u32(o, 0);
	out_u32(o, 0);
}

static void memory(struct out *o, uint32_t domain, gspan_t at, uint32_t flags)
{
	out_u8(o, 1);
	out_u8(o, 40);
	out_u32(o, domain);
	out_u16(o, 0);
	out_u64(o, at.start.v);
	out_u64(o, at.len.v);
	out_u32(o, 0);
	out_u32(o, AFFINITY_ENABLED | flags);
	out_u64(o, 0);
}

/* 5.2.16.6, with the device handle of a PCI device: segment, bus, and slot and function in one byte. */
static void initiator(struct out *o, uint32_t domain, const struct acpi_device *d)
{
	out_u8(o, 5);
	out_u8(o, 32);
	out_u8(o, 0);
	out_u8(o, 1); /* PCI */
	out_u32(o, domain);
	out_u16(o, d->segment);
	out_u8(o, 0);
	out_u8(o, (uint8_t)(d->slot << 3));
	out_zero(o, 12);
	out_u32(o, AFFINITY_ENABLED);
	out_u32(o, 0);
}

/* A node with neither vCPU nor RAM is none for Linux, and whatever is there is nowhere: its devices ask for it to be one. Memory
 * that may be plugged in later does not help, and EPC is no memory to allocate from. */
static bool has_others(const struct mem_plan *p, uint32_t node)
{
	if (!nodeset_empty(&p->nodes[node].cpus))
		return true;
	for (size_t i = 0; i < p->n_pieces; i++)
		if (p->zones[p->pieces[i].zone].guest_node == node)
			return true;
	return false;
}

void acpi_srat(struct out *o, const struct acpi_machine *m)
{
	const struct mem_plan *p = m->plan;
	size_t start = table_begin(o, "SRAT", 3);

	out_u32(o, 1); /* reserved, and must be 1 */
	out_u64(o, 0);
	for (size_t n = 0; n < p->n_nodes; n++)
		for (uint32_t i = 0; i < m->vcpus_max; i++)
			if (nodeset_has(&p->nodes[n].cpus, i))
				cpu(o, p->nodes[n].guest_numa_id, m->apic_id[i]);
	for (size_t i = 0; i < p->n_pieces; i++)
		memory(o, p->nodes[p->zones[p->pieces[i].zone].guest_node].guest_numa_id, p->pieces[i].at, 0);
	for (size_t i = 0; i < p->n_windows; i++) {
		const struct plan_window *w = &p->windows[i];

		if (w->kind == WINDOW_HOTPLUG_ACPI || w->kind == WINDOW_HOTPLUG_ZONE)
			memory(o, p->nodes[p->zones[w->index].guest_node].guest_numa_id, w->at, AFFINITY_HOTPLUG);
	}
	for (size_t i = 0; i < p->n_epc; i++)
		memory(o, p->nodes[p->epc[i].node].guest_numa_id, p->epc[i].at, 0);
	for (size_t i = 0; i < m->n_devices; i++) {
		uint32_t node = p->segment_node[m->devices[i].segment];

		if (!has_others(p, node))
			initiator(o, p->nodes[node].guest_numa_id, &m->devices[i]);
	}
	table_end(o, start);
}
