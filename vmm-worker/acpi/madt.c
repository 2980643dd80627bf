/* MADT, 5.2.12: local APICs (type 0 for ids below 255, as the specification wants it, x2APIC entries above), one IOAPIC. */
#include "tables.h"

#include "bulkhead/abi/platform.h"

#define APIC_ENABLED        1u
#define APIC_ONLINE_CAPABLE 2u

void acpi_madt(struct out *o, const struct acpi_machine *m)
{
	size_t start = table_begin(o, "APIC", 5);
	bool x2apic = false;

	out_u32(o, PLAT_LAPIC_ADDR);
	out_u32(o, 0); /* no 8259 */
	for (uint32_t i = 0; i < m->vcpus_max; i++) {
		uint32_t flags = i < m->vcpus_boot ? APIC_ENABLED : APIC_ONLINE_CAPABLE;

		if (m->apic_id[i] < 255) {
			out_u8(o, 0);
			out_u8(o, 8);
			out_u8(o, (uint8_t)i);
			out_u8(o, (uint8_t)m->apic_id[i]);
			out_u32(o, flags);
		} else {
			x2apic = true;
			out_u8(o, 9);
			out_u8(o, 16);
			out_u16(o, 0);
			out_u32(o, m->apic_id[i]);
			out_u32(o, flags);
			out_u32(o, i);
		}
	}
	out_u8(o, 1); /* IOAPIC */
	out_u8(o, 12);
	out_u8(o, 0); /* id */
	out_u8(o, 0);
	out_u32(o, PLAT_IOAPIC_ADDR);
	out_u32(o, 0); /* first GSI */
	out_u8(o, 4);  /* LINT1 of all local APICs is NMI */
	out_u8(o, 6);
	out_u8(o, 0xff);
	out_u16(o, 0);
	out_u8(o, 1);
	if (x2apic) { /* the same for those that the entry above cannot name (5.2.12.13) */
		out_u8(o, 10);
		out_u8(o, 12);
		out_u16(o, 0);
		out_u32(o, UINT32_MAX);
		out_u8(o, 1);
		out_zero(o, 3);
	}
	table_end(o, start);
}
