/* SLIT, 5.2.17: distances by proximity domain. The matrix is indexed by domain number, so it reaches up to the highest one that
 * is described; rows of numbers that no node has say "local 10, remote 20", which nobody asks for. */
#include "tables.h"

#define SLIT_DOMAINS_MAX 255u

void acpi_slit(struct out *o, const struct acpi_machine *m)
{
	const struct mem_plan *p = m->plan;
	uint8_t index[SLIT_DOMAINS_MAX];
	uint32_t n = 0;
	size_t start;

	for (size_t i = 0; i < p->n_nodes; i++) {
		if (p->nodes[i].guest_numa_id >= SLIT_DOMAINS_MAX)
			return; /* a matrix that large fits no table: without SLIT the guest assumes 10 and 20 */
		if (p->nodes[i].guest_numa_id >= n)
			n = p->nodes[i].guest_numa_id + 1;
	}
	for (uint32_t i = 0; i < n; i++)
		index[i] = UINT8_MAX;
	for (size_t i = 0; i < p->n_nodes; i++)
		index[p->nodes[i].guest_numa_id] = (uint8_t)i;
	start = table_begin(o, "SLIT", 1);
	out_u64(o, n);
	for (uint32_t from = 0; from < n; from++)
		for (uint32_t to = 0; to < n; to++) {
			bool known = index[from] != UINT8_MAX && index[to] != UINT8_MAX;

			out_u8(o, from == to ? 10 : known ? p->distance[index[from]][index[to]] : 20);
		}
	table_end(o, start);
}
