/* HMAT, 5.2.29: latencies and bandwidths between nodes, and memory-side caches, where the configuration gives them. */
#include "tables.h"

#define DATA_READ_LATENCY    1
#define DATA_WRITE_LATENCY   2
#define DATA_READ_BANDWIDTH  4
#define DATA_WRITE_BANDWIDTH 5
#define NO_VALUE             0u      /* not described; revision 2 */
#define UNREACHABLE          0xffffu /* so no value may become this */

static uint32_t value(const struct acpi_hmat_pair *p, uint8_t type)
{
	switch (type) {
	case DATA_READ_LATENCY:
		return p->read_latency_ns;
	case DATA_WRITE_LATENCY:
		return p->write_latency_ns;
	case DATA_READ_BANDWIDTH:
		return p->read_bandwidth_mbs;
	default:
		return p->write_bandwidth_mbs;
	}
}

static uint32_t lookup(const struct acpi_machine *m, size_t initiator, size_t target, uint8_t type)
{
	for (size_t i = 0; i < m->n_pairs; i++)
		if (m->pairs[i].initiator == initiator && m->pairs[i].target == target)
			return value(&m->pairs[i], type);
	return 0;
}

/* 5.2.29.4. Entries are 16 bits times a base unit, which is chosen so that the largest value fits. */
static void matrix(struct out *o, const struct acpi_machine *m, uint8_t type)
{
	const struct mem_plan *p = m->plan;
	bool latency = type == DATA_READ_LATENCY || type == DATA_WRITE_LATENCY;
	uint32_t max = 0, unit = 1, n_init = 0;

	for (size_t i = 0; i < m->n_pairs; i++)
		if (value(&m->pairs[i], type) > max)
			max = value(&m->pairs[i], type);
	if (max == 0)
		return;
	while (max / unit >= UNREACHABLE)
		unit *= 10;
	for (size_t i = 0; i < p->n_nodes; i++)
		n_init += !nodeset_empty(&p->nodes[i].cpus);
	out_u16(o, 1);
	out_u16(o, 0);
	out_u32(o, (uint32_t)(32 + 4 * n_init + 4 * p->n_nodes + 2 * n_init * p->n_nodes));
	out_u8(o, 0); /* the memory itself, not a cache */
	out_u8(o, type);
	out_u8(o, 0);
	out_u8(o, 0);
	out_u32(o, n_init);
	out_u32(o, (uint32_t)p->n_nodes);
	out_u32(o, 0);
	out_u64(o, (uint64_t)unit * (latency ? 1000 : 1)); /* picoseconds, or MB/s */
	for (size_t i = 0; i < p->n_nodes; i++)
		if (!nodeset_empty(&p->nodes[i].cpus))
			out_u32(o, p->nodes[i].guest_numa_id);
	for (size_t i = 0; i < p->n_nodes; i++)
		out_u32(o, p->nodes[i].guest_numa_id);
	for (size_t i = 0; i < p->n_nodes; i++)
		for (size_t t = 0; t < p->n_nodes && !nodeset_empty(&p->nodes[i].cpus); t++) {
			uint32_t v = lookup(m, i, t, type);

			out_u16(o, (uint16_t)(v == 0 ? NO_VALUE : v < unit ? 1 : v / unit));
		}
}

void acpi_hmat(struct out *o, const struct acpi_machine *m)
{
	const struct mem_plan *p = m->plan;
	size_t start = table_begin(o, "HMAT", 2);

	out_u32(o, 0);
	for (size_t i = 0; i < p->n_nodes; i++) { /* 5.2.29.3 */
		bool has_cpus = !nodeset_empty(&p->nodes[i].cpus);

		out_u16(o, 0);
		out_u16(o, 0);
		out_u32(o, 40);
		out_u16(o, has_cpus ? 1 : 0);
		out_u16(o, 0);
		out_u32(o, has_cpus ? p->nodes[i].guest_numa_id : 0);
		out_u32(o, p->nodes[i].guest_numa_id);
		out_zero(o, 20);
	}
	matrix(o, m, DATA_READ_LATENCY);
	matrix(o, m, DATA_WRITE_LATENCY);
	matrix(o, m, DATA_READ_BANDWIDTH);
	matrix(o, m, DATA_WRITE_BANDWIDTH);
	for (size_t i = 0; i < m->n_caches; i++) { /* 5.2.29.5: one level, direct mapped, write back */
		out_u16(o, 2);
		out_u16(o, 0);
		out_u32(o, 32);
		out_u32(o, p->nodes[m->caches[i].node].guest_numa_id);
		out_u32(o, 0);
		out_u64(o, m->caches[i].size);
		out_u32(o, 1u | (1u << 4) | (1u << 8) | (1u << 12) | ((uint32_t)m->caches[i].line_bytes << 16));
		out_u16(o, 0);
		out_u16(o, 0);
	}
	table_end(o, start);
}
