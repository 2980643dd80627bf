/* MCFG (PCI Firmware Specification 4.1.2): one ECAM block of one bus per segment. */
#include "tables.h"

void acpi_mcfg(struct out *o, const struct acpi_machine *m)
{
	const struct mem_plan *p = m->plan;
	size_t start = table_begin(o, "MCFG", 1);

	out_u64(o, 0);
	for (size_t i = 0; i < p->n_windows; i++) {
		if (p->windows[i].kind != WINDOW_ECAM)
			continue;
		out_u64(o, p->windows[i].at.start.v);
		out_u16(o, p->windows[i].index);
		out_u8(o, 0); /* first bus */
		out_u8(o, 0); /* last bus */
		out_u32(o, 0);
	}
	table_end(o, start);
}
