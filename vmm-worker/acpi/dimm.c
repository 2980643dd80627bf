/* Memory slots in the DSDT: a container with the methods, one memory device (9.11.1) per slot that calls them. What they read and
 * write is dev/dimm.c; the registers are about one slot at a time, hence the mutex. */
#include "tables.h"

#include "aml.h"
#include "bulkhead/abi/platform.h"

#include <stdio.h>

/* Offsets in a QWord address space descriptor (6.4.3.5.1). */
#define QWORD_MIN 14u
#define QWORD_MAX 22u
#define QWORD_LEN 38u

static const struct plan_zone *zone(const struct mem_plan *p)
{
	for (size_t i = 0; i < p->n_windows; i++)
		if (p->windows[i].kind == WINDOW_HOTPLUG_ACPI)
			return &p->zones[p->windows[i].index];
	return NULL;
}

bool acpi_has_dimms(const struct acpi_machine *m)
{
	return zone(m->plan) != NULL;
}

_Static_assert(LIM_DIMMS <= 10, "one digit");

static void slot_name(char name[5], uint32_t slot)
{
	snprintf(name, 5, "MEM%u", (unsigned)(slot % 10));
}

static void registers(struct out *o)
{
	size_t field;

	aml_io_region(o, "MREG", PLAT_PORT_DIMM, PLAT_DIMM_LEN);
	field = aml_field_dwords(o, "MREG"); /* read */
	aml_field(o, "MBAS", 64);
	aml_field(o, "MLEN", 64);
	aml_field_skip(o, 8 * (PLAT_DIMM_NEXT - PLAT_DIMM_NODE));
	aml_field(o, "MNXT", 32);
	aml_end(o, field);
	field = aml_field_dwords(o, "MREG"); /* written */
	aml_field(o, "MSEL", 32);
	aml_field(o, "MOEV", 32);
	aml_field(o, "MOST", 32);
	aml_end(o, field);
	field = aml_field_bytes(o, "MREG");
	aml_field_skip(o, 8 * PLAT_DIMM_STATUS);
	aml_field(o, "MENA", 1);
	aml_field(o, "MINS", 1);
	aml_field(o, "MREM", 1);
	aml_field(o, "MEJT", 1);
	aml_end(o, field);
	aml_mutex(o, "MLCK");
}

static void store_arg(struct out *o, unsigned arg, const char *to)
{
	aml_op(o, AML_STORE);
	aml_op(o, (uint8_t)(AML_ARG0 + arg));
	aml_path(o, to);
}

static void store_int(struct out *o, uint64_t v, const char *to)
{
	aml_op(o, AML_STORE);
	aml_int(o, v);
	aml_path(o, to);
}

static void store_local0(struct out *o, const char *from)
{
	aml_op(o, AML_STORE);
	aml_path(o, from);
	aml_op(o, AML_LOCAL0);
}

/* All begin like this: NAME (slot, ...) with the slot selected. */
static size_t method(struct out *o, const char *name, uint8_t n_args)
{
	size_t b = aml_method(o, name, n_args, true);

	aml_acquire(o, "MLCK");
	store_arg(o, 0, "MSEL");
	return b;
}

/* _STA: present, enabled, shown, working; or nothing there. */
static void sta(struct out *o)
{
	size_t b = method(o, "MSTA", 1), test;

	aml_op(o, AML_STORE);
	aml_op(o, AML_ZERO);
	aml_op(o, AML_LOCAL0);
	test = aml_if(o);
	aml_path(o, "MENA");
	aml_op(o, AML_STORE);
	aml_int(o, 0x0f);
	aml_op(o, AML_LOCAL0);
	aml_end(o, test);
	aml_release(o, "MLCK");
	aml_return(o);
	aml_op(o, AML_LOCAL0);
	aml_end(o, b);
}

static void crs(struct out *o)
{
	size_t b = aml_method(o, "MCRS", 1, true), buf;

	aml_name(o, "MRES");
	buf = aml_resources(o);
	res_memory64(o, 0, UINT64_MAX); /* filled in below */
	aml_resources_end(o, buf);
	aml_qword_field(o, "MRES", QWORD_MIN, "MMIN");
	aml_qword_field(o, "MRES", QWORD_MAX, "MMAX");
	aml_qword_field(o, "MRES", QWORD_LEN, "MSIZ");
	aml_acquire(o, "MLCK");
	store_arg(o, 0, "MSEL");
	aml_op(o, AML_STORE);
	aml_path(o, "MBAS");
	aml_path(o, "MMIN");
	aml_op(o, AML_STORE);
	aml_path(o, "MLEN");
	aml_path(o, "MSIZ");
	aml_release(o, "MLCK");
	aml_op(o, AML_ADD);
	aml_path(o, "MMIN");
	aml_path(o, "MSIZ");
	aml_op(o, AML_LOCAL0);
	aml_op(o, AML_SUB);
	aml_op(o, AML_LOCAL0);
	aml_op(o, AML_ONE);
	aml_path(o, "MMAX");
	aml_return(o);
	aml_path(o, "MRES");
	aml_end(o, b);
}

static void ost(struct out *o)
{
	size_t b = method(o, "MRPT", 3);

	store_arg(o, 1, "MOEV");
	store_arg(o, 2, "MOST");
	aml_release(o, "MLCK");
	aml_end(o, b);
}

static void eject(struct out *o)
{
	size_t b = method(o, "MEJ0", 1);

	store_int(o, 1, "MEJT");
	aml_release(o, "MLCK");
	aml_end(o, b);
}

/* Notify takes a name: which one that is for a number has to be spelled out. */
static void notify(struct out *o)
{
	size_t b = aml_method(o, "MNTF", 2, false), test;
	char name[5];

	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		slot_name(name, i);
		test = aml_if(o);
		aml_equal(o);
		aml_op(o, AML_ARG0);
		aml_int(o, i);
		aml_op(o, 0x86); /* Notify */
		aml_path(o, name);
		aml_op(o, AML_ARG0 + 1);
		aml_end(o, test);
	}
	aml_end(o, b);
}

/* One event of the slot: a notification, then the device knows that it was seen. */
static void pass_on(struct out *o, const char *bit, uint8_t what)
{
	size_t test = aml_if(o);

	aml_path(o, bit);
	aml_path(o, "MNTF");
	aml_op(o, AML_LOCAL0);
	aml_int(o, what);
	store_int(o, 1, bit);
	aml_end(o, test);
}

/* From the Generic Event Device. Reading MNXT selects a slot that has something to say, until none has. */
static void scan(struct out *o)
{
	size_t b = aml_method(o, "MSCN", 0, true), loop;

	aml_acquire(o, "MLCK");
	store_local0(o, "MNXT");
	loop = aml_while(o);
	aml_less(o);
	aml_op(o, AML_LOCAL0);
	aml_int(o, LIM_DIMMS);
	pass_on(o, "MINS", 1); /* 5.6.6: device check */
	pass_on(o, "MREM", 3); /* eject request */
	store_local0(o, "MNXT");
	aml_end(o, loop);
	aml_release(o, "MLCK");
	aml_end(o, b);
}

/* NAME (): METHOD (slot), with the arguments passed on. */
static void call(struct out *o, const char *name, const char *to, uint32_t slot, uint8_t n_args, uint8_t n_passed, bool returns)
{
	size_t b = aml_method(o, name, n_args, false);

	if (returns)
		aml_return(o);
	aml_path(o, to);
	aml_int(o, slot);
	for (unsigned i = 0; i < n_passed; i++)
		aml_op(o, (uint8_t)(AML_ARG0 + i));
	aml_end(o, b);
}

static void memory_device(struct out *o, uint32_t slot, const struct mem_plan *p, const struct plan_zone *z)
{
	char name[5];
	size_t dev;

	slot_name(name, slot);
	dev = aml_device(o, name);
	aml_name(o, "_HID");
	aml_eisaid(o, "PNP0C80");
	aml_name(o, "_UID");
	aml_int(o, slot);
	if (p->n_nodes) {
		aml_name(o, "_PXM");
		aml_int(o, p->nodes[z->guest_node].guest_numa_id);
	}
	call(o, "_STA", "MSTA", slot, 0, 0, true);
	call(o, "_CRS", "MCRS", slot, 0, 0, true);
	call(o, "_OST", "MRPT", slot, 3, 2, false); /* its third argument is for people */
	call(o, "_EJ0", "MEJ0", slot, 1, 0, false);
	aml_end(o, dev);
}

void acpi_dimms(struct out *o, const struct acpi_machine *m)
{
	const struct plan_zone *z = zone(m->plan);
	size_t dev, buf;

	if (!z)
		return;
	dev = aml_device(o, "MHPD");
	aml_name(o, "_HID");
	aml_eisaid(o, "PNP0A06"); /* a container */
	aml_name(o, "_UID");
	aml_int(o, 0);
	aml_name(o, "_CRS");
	buf = aml_resources(o);
	res_io(o, PLAT_PORT_DIMM, PLAT_DIMM_LEN);
	aml_resources_end(o, buf);
	registers(o);
	sta(o);
	crs(o);
	ost(o);
	eject(o);
	notify(o);
	scan(o);
	for (uint32_t i = 0; i < LIM_DIMMS; i++)
		memory_device(o, i, m->plan, z);
	aml_end(o, dev);
}
