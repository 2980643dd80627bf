/* DSDT: the devices that cannot be enumerated. */
#include "tables.h"

#include "aml.h"
#include "bulkhead/abi/platform.h"

#include <stdio.h>

static void hid(struct out *o, const char *eisa)
{
	aml_name(o, "_HID");
	aml_eisaid(o, eisa);
}

static void uid(struct out *o, uint64_t v)
{
	aml_name(o, "_UID");
	aml_int(o, v);
}

/* 6.2.11: grants the operating system what it asks for; a UUID that is not PCI's gets "unrecognized". */
static void osc(struct out *o)
{
	/* 33DB4D5B-1FF7-401C-9657-7441C03DD766 */
	static const uint8_t pci_uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
					     0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};
	size_t method = aml_method(o, "_OSC", 4, true), test, buf;

	test = aml_if(o);
	aml_equal(o);
	aml_op(o, AML_ARG0);
	buf = aml_buffer(o, 16);
	out_bytes(o, pci_uuid, 16);
	aml_end(o, buf);
	aml_return(o);
	aml_op(o, AML_ARG0 + 3);
	aml_end(o, test);
	out_u8(o, 0x8a); /* CreateDWordField (Arg3, 0, CDW1) */
	aml_op(o, AML_ARG0 + 3);
	aml_op(o, AML_ZERO);
	aml_path(o, "CDW1");
	aml_op(o, AML_STORE);
	aml_int(o, 4);
	aml_path(o, "CDW1");
	aml_return(o);
	aml_op(o, AML_ARG0 + 3);
	aml_end(o, method);
}

static void segment(struct out *o, const struct mem_plan *p, uint32_t s)
{
	char name[8];
	size_t dev, crs;

	snprintf(name, sizeof(name), "PC%02X", (unsigned)(s & 0xff));
	dev = aml_device(o, name);
	hid(o, "PNP0A08");
	aml_name(o, "_CID");
	aml_eisaid(o, "PNP0A03");
	uid(o, s);
	aml_name(o, "_SEG");
	aml_int(o, s);
	aml_name(o, "_BBN");
	aml_int(o, 0);
	if (p->n_nodes) {
		aml_name(o, "_PXM");
		aml_int(o, p->nodes[p->segment_node[s]].guest_numa_id);
	}
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	res_bus(o, 0, 0);
	for (size_t i = 0; i < p->n_windows; i++) {
		const struct plan_window *w = &p->windows[i];

		if (w->index != s)
			continue;
		if (w->kind == WINDOW_PCI32)
			res_window32(o, (uint32_t)w->at.start.v, (uint32_t)w->at.len.v);
		if (w->kind == WINDOW_PCI64)
			res_window64(o, w->at.start.v, w->at.len.v, false); /* takes BARs of both kinds */
	}
	aml_resources_end(o, crs);
	osc(o);
	aml_end(o, dev);
}

/* What the windows stand in: a device that keeps the guest from putting anything else there. */
static void motherboard(struct out *o, const struct mem_plan *p)
{
	size_t dev = aml_device(o, "MBRD"), crs;

	hid(o, "PNP0C02");
	uid(o, 0);
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	for (size_t i = 0; i < p->n_windows; i++)
		if (p->windows[i].kind == WINDOW_ECAM)
			res_memory32(o, (uint32_t)p->windows[i].at.start.v, (uint32_t)p->windows[i].at.len.v);
	res_io(o, PLAT_PORT_SLEEP_CONTROL, 2);
	res_io(o, PLAT_PORT_GED, 1);
	aml_resources_end(o, crs);
	aml_end(o, dev);
}

static void serial(struct out *o)
{
	size_t dev = aml_device(o, "COM1"), crs;

	hid(o, "PNP0501");
	uid(o, 0);
	aml_name(o, "_DDN");
	aml_string(o, "COM1");
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	res_io(o, PLAT_PORT_COM1, 8);
	res_irq(o, PLAT_IRQ_COM1, true);
	aml_resources_end(o, crs);
	aml_end(o, dev);
}

static void rtc(struct out *o)
{
	size_t dev = aml_device(o, "RTC_"), crs;

	hid(o, "PNP0B00");
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	res_io(o, PLAT_PORT_CMOS, 2);
	aml_resources_end(o, crs);
	aml_end(o, dev);
}

/* 4.8.2.2.1.2: a control method power button. 5.6.9: the Generic Event Device that announces it, and memory slots. */
static void power(struct out *o, bool has_dimms)
{
	size_t dev, crs, method, test, field;

	dev = aml_device(o, "PWRB");
	hid(o, "PNP0C0C");
	aml_end(o, dev);

	dev = aml_device(o, "GED_");
	aml_name(o, "_HID");
	aml_string(o, "ACPI0013");
	uid(o, 0);
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	res_irq(o, PLAT_IRQ_GED, true);
	aml_resources_end(o, crs);
	aml_io_region(o, "EVRG", PLAT_PORT_GED, 1);
	field = aml_field_bytes(o, "EVRG");
	aml_field(o, "EVST", 8);
	aml_end(o, field);
	method = aml_method(o, "_EVT", 1, true);
	aml_op(o, AML_STORE);
	aml_path(o, "EVST");
	aml_op(o, AML_LOCAL0);
	test = aml_if(o);
	aml_and(o);
	aml_op(o, AML_LOCAL0);
	aml_int(o, PLAT_GED_POWER_BUTTON);
	aml_op(o, AML_ZERO); /* no target */
	aml_notify(o, "\\_SB.PWRB", 0x80);
	aml_end(o, test);
	if (has_dimms) {
		test = aml_if(o);
		aml_and(o);
		aml_op(o, AML_LOCAL0);
		aml_int(o, PLAT_GED_MEMORY);
		aml_op(o, AML_ZERO);
		aml_path(o, "\\_SB.MHPD.MSCN");
		aml_end(o, test);
	}
	aml_end(o, method);
	aml_end(o, dev);
}

/* The EPC region as a device, so that Windows and older SGX drivers find it; Linux reads CPUID leaf 0x12. */
static void epc(struct out *o, const struct mem_plan *p)
{
	size_t dev, crs;

	if (p->n_epc == 0)
		return;
	dev = aml_device(o, "EPC_");
	hid(o, "INT0E0C");
	aml_name(o, "_STA");
	aml_int(o, 0x0f);
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	for (size_t i = 0; i < p->n_epc; i++)
		res_memory64(o, p->epc[i].at.start.v, p->epc[i].at.len.v);
	aml_resources_end(o, crs);
	aml_end(o, dev);
}

void acpi_dsdt(struct out *o, const struct acpi_machine *m)
{
	size_t start = table_begin(o, "DSDT", 2), scope, pkg;

	aml_name(o, "\\_S5_"); /* 7.4.2: what to write for "off" */
	pkg = aml_package(o, 4);
	aml_int(o, PLAT_SLP_TYP_S5);
	aml_int(o, 0);
	aml_int(o, 0);
	aml_int(o, 0);
	aml_end(o, pkg);
	scope = aml_scope(o, "\\_SB_");
	motherboard(o, m->plan);
	for (uint32_t s = 0; s < m->plan->n_segments; s++)
		segment(o, m->plan, s);
	if (m->has_serial)
		serial(o);
	rtc(o);
	acpi_dimms(o, m);
	power(o, acpi_has_dimms(m));
	epc(o, m->plan);
	aml_end(o, scope);
	table_end(o, start);
}
