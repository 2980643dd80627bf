/* The ACPI tables of some machines: sums, sizes, and what they say about the plan. With "--write DIR" it writes every table to
 * DIR/MACHINE/SIGNATURE.aml instead, for test_acpi_golden. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "acpi/acpi.h"
#include "kvm/topology.h"
#include "plan_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define AT     0xe0000u
#define HEADER 36u

static struct mem_plan plan;
static struct acpi_machine machine;
static uint8_t blob[ACPI_MAX_BYTES + 64];
static size_t blob_len;

static const struct acpi_hmat_pair pairs[] = {
    {0, 0, 80, 90, 20000, 18000},
    {0, 1, 250, 300, 8000, 3},
    {1, 0, 140, 0, 100000, 90000},
};
static const struct acpi_hmat_cache caches[] = {{1, 4 * GiB, 64}};

static void set_cpus(uint32_t boot, uint32_t max, struct topology t)
{
	machine.vcpus_boot = boot;
	machine.vcpus_max = max;
	for (uint32_t i = 0; i < max; i++)
		machine.apic_id[i] = topology_apic_id(&t, i);
}

static void make_minimal(void)
{
	static struct vm_spec s;

	s = (struct vm_spec){0};
	fix_plan(&s, &plan);
	set_cpus(1, 1, topology_of(0, 0, 0, 0, 1));
	machine.has_serial = true;
}

static void make_numa(void)
{
	static struct vm_spec s;

	fix_full(&s);
	fix_plan(&s, &plan);
	set_cpus(4, 6, topology_of(2, 2, 1, 2, 6));
	machine.pairs = pairs;
	machine.n_pairs = ARRAY_LEN(pairs);
	machine.caches = caches;
	machine.n_caches = ARRAY_LEN(caches);
	machine.has_serial = true;
}

/* fix_full's segment 1 is on node 7, which has vCPUs and memory, and no device there asks for anything. Here nodes 2 and 9 have
 * segments only; node 2 has room for memory as well, and node 9 EPC. */
static const struct acpi_device devices[] = {{0, 1}, {1, 4}, {1, 31}, {2, 5}, {3, 4}};

static void make_initiators(void)
{
	static uint32_t cpus[] = {0}, of2[] = {1}, of9[] = {2, 3}, of1000[] = {4};
	static const char *zones[] = {"ram"}, *plug[] = {"plug"}, *epc[] = {"epc0"};
	static struct vm_spec s;
	struct zone_spec *z;

	s = (struct vm_spec){
	    .memory = {.given = true, .has_size = true, .hotplug_method = HOTPLUG_VIRTIO_MEM},
	    .has_segments = true,
	    .num_pci_segments = 5,
	    .n_epc = 1,
	    .epc = {{.id = "epc0", .has_size = true, .size = MiB}},
	    .n_nodes = 4,
	    .nodes = {{.has_id = true, .guest_numa_id = 0, .n_cpus = 1, .cpus = cpus, .n_zones = 1, .zones = zones},
		      {.has_id = true, .guest_numa_id = 2, .n_segments = 1, .segments = of2, .n_zones = 1, .zones = plug},
		      {.has_id = true, .guest_numa_id = 9, .n_segments = 2, .segments = of9, .n_epc = 1, .epc = epc},
		      {.has_id = true, .guest_numa_id = 1000, .n_segments = 1, .segments = of1000}},
	    .cpus = {.given = true, .boot = 1, .max = 1}};
	fix_zone(&s, "ram", 512 * MiB);
	z = fix_zone(&s, "plug", 0);
	z->o.has_hotplug_size = true;
	z->o.hotplug_size = 256 * MiB;
	fix_plan(&s, &plan);
	set_cpus(1, 1, topology_of(0, 0, 0, 0, 1));
	machine.devices = devices;
	machine.n_devices = ARRAY_LEN(devices);
}

/* Plain memory that can grow by DIMMs, one described node. */
static void make_dimms(void)
{
	static uint32_t cpus[] = {0, 1};
	static struct vm_spec s;

	s = (struct vm_spec){.memory = {.given = true,
					.has_size = true,
					.hotplug_method = HOTPLUG_ACPI,
					.o = {.size = 5 * GiB, .has_hotplug_size = true, .hotplug_size = 2 * GiB}},
			     .n_nodes = 1,
			     .nodes = {{.has_id = true, .guest_numa_id = 0, .n_cpus = 2, .cpus = cpus}},
			     .cpus = {.given = true, .boot = 2, .max = 2}};
	fix_plan(&s, &plan);
	set_cpus(2, 2, topology_of(0, 0, 0, 0, 2));
}

/* Ids on both sides of the border; make_huge has them out of a topology. */
static void make_x2apic(void)
{
	static struct vm_spec s;

	s = (struct vm_spec){.n_nodes = 1, .nodes = {{.has_id = true}}, .cpus = {.given = true, .boot = 3, .max = 3}};
	fix_plan(&s, &plan);
	set_cpus(3, 3, topology_of(0, 0, 0, 0, 3));
	machine.apic_id[1] = 254;
	machine.apic_id[2] = 255;
}

/* All bounds at once. Three threads and five cores leave gaps in the ids. */
static void make_huge(void)
{
	static struct acpi_device all[LIM_SEGMENTS * 31];
	static struct vm_spec s;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		all[i] = (struct acpi_device){(uint16_t)(i / 31), (uint8_t)(1 + i % 31)};
	machine.devices = all;
	machine.n_devices = ARRAY_LEN(all);
	s = (struct vm_spec){.has_segments = true, .num_pci_segments = LIM_SEGMENTS, .n_nodes = LIM_NODES};
	for (uint32_t i = 0; i < LIM_NODES; i++)
		s.nodes[i] = (struct numa_spec){.has_id = true, .guest_numa_id = i == LIM_NODES - 1 ? 253 : i};
	for (uint32_t i = 0; i < LIM_ZONES; i++) {
		static char ids[LIM_ZONES][8];

		snprintf(ids[i], sizeof(ids[i]), "z%u", i);
		fix_zone(&s, ids[i], 128 * MiB);
	}
	s.cpus = (struct cpus_spec){.given = true, .boot = LIM_CPUS, .max = LIM_CPUS};
	fix_plan(&s, &plan);
	set_cpus(LIM_CPUS, LIM_CPUS, topology_of(3, 5, 1, 17, LIM_CPUS));
	machine.has_serial = true;
}

/* And with as many memory slots as there can be, which zones exclude. */
static void make_many_dimms(void)
{
	static struct vm_spec s;

	s = (struct vm_spec){.memory = {.given = true,
					.has_size = true,
					.hotplug_method = HOTPLUG_ACPI,
					.o = {.size = GiB, .has_hotplug_size = true, .hotplug_size = TiB}},
			     .has_segments = true,
			     .num_pci_segments = LIM_SEGMENTS,
			     .n_nodes = LIM_NODES};
	for (uint32_t i = 0; i < LIM_NODES; i++)
		s.nodes[i] = (struct numa_spec){.has_id = true, .guest_numa_id = i == LIM_NODES - 1 ? 253 : i};
	s.cpus = (struct cpus_spec){.given = true, .boot = LIM_CPUS, .max = LIM_CPUS};
	fix_plan(&s, &plan);
	set_cpus(LIM_CPUS, LIM_CPUS, topology_of(3, 5, 1, 17, LIM_CPUS));
	machine.has_serial = true;
}

static const struct {
	const char *name;
	void (*make)(void);
} machines[] = {
    {"minimal", make_minimal}, {"numa", make_numa},     {"initiators", make_initiators},
    {"dimms", make_dimms},     {"x2apic", make_x2apic}, {"huge", make_huge},
    {"many-dimms", make_many_dimms},
};

static void build(void (*make)(void))
{
	struct err e = {0};
	gpa_t rsdp = gpa(0);

	machine = (struct acpi_machine){.plan = &plan};
	make();
	memset(blob, 0xa5, sizeof(blob));
	assert_int_equal(acpi_build(&machine, gpa(AT), blob, ACPI_MAX_BYTES, &blob_len, &rsdp, &e), 0);
	assert_int_equal(rsdp.v, AT);
}

static uint64_t le(const uint8_t *p, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, p, len);
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static const uint8_t *table_at(uint64_t at)
{
	uint64_t off = at - AT;

	assert_true(at >= AT && is_aligned(at, 16) && off + HEADER <= blob_len && off + le(blob + off + 4, 4) <= blob_len);
	return blob + off;
}

/* NULL if the machine has no such table. */
static const uint8_t *find(const char *signature)
{
	const uint8_t *xsdt = table_at(le(blob + 24, 8)), *found = NULL;

	for (uint32_t i = HEADER; i < le(xsdt + 4, 4); i += 8) {
		const uint8_t *t = table_at(le(xsdt + i, 8));

		if (memcmp(t, signature, 4) == 0) {
			assert_null(found);
			found = t;
		}
	}
	if (strcmp(signature, "DSDT") == 0)
		return table_at(le(find("FACP") + 140, 8));
	return found;
}

static void test_sums(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		const uint8_t *xsdt, *dsdt;

		build(machines[i].make);
		assert_memory_equal(blob, "RSD PTR ", 8);
		assert_int_equal(sum(blob, 20), 0);
		assert_int_equal(sum(blob, 36), 0);
		xsdt = table_at(le(blob + 24, 8));
		assert_memory_equal(xsdt, "XSDT", 4);
		assert_int_equal(sum(xsdt, le(xsdt + 4, 4)), 0);
		for (uint32_t k = HEADER; k < le(xsdt + 4, 4); k += 8) {
			const uint8_t *t = table_at(le(xsdt + k, 8));

			assert_int_equal(sum(t, le(t + 4, 4)), 0);
		}
		dsdt = find("DSDT");
		assert_int_equal(sum(dsdt, le(dsdt + 4, 4)), 0);
		for (size_t k = ACPI_MAX_BYTES; k < sizeof(blob); k++)
			assert_int_equal(blob[k], 0xa5);
	}
}

static void test_too_small(void **state)
{
	static uint8_t small[4096];
	struct err e = {0};
	size_t len = 7, whole;
	gpa_t rsdp = gpa(7);

	build(make_minimal);
	whole = blob_len;
	for (size_t cap = 0; cap < whole; cap++) {
		memset(small, 0x5a, sizeof(small));
		assert_int_equal(acpi_build(&machine, gpa(AT), small, cap, &len, &rsdp, &e), -ENOSPC);
		assert_int_equal(len, 7);
		assert_int_equal(rsdp.v, 7);
		assert_int_equal(small[cap], 0x5a);
	}
	assert_int_equal(acpi_build(&machine, gpa(AT), small, whole, &len, &rsdp, &e), 0);
}

static void test_without_nodes(void **state)
{
	build(make_minimal);
	assert_null(find("SRAT"));
	assert_null(find("SLIT"));
	assert_null(find("HMAT"));
	assert_non_null(find("APIC"));
	assert_non_null(find("MCFG"));
}

/* Every vCPU once in MADT and once in SRAT, in the form its id needs. */
static void test_cpus(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		const uint8_t *madt, *srat, *end;
		uint32_t n = 0, enabled = 0, affine = 0, nmi_x2apic = 0;
		bool above = false;

		build(machines[i].make);
		madt = find("APIC");
		end = madt + le(madt + 4, 4);
		for (const uint8_t *p = madt + 44; p < end; p += p[1]) {
			assert_true(p[1] >= 2 && p + p[1] <= end);
			if (p[0] == 0) {
				assert_int_equal(p[3], machine.apic_id[p[2]]);
				enabled += p[4] & 1u;
				assert_true(p[4] == 1 || p[4] == 2);
				n++;
			} else if (p[0] == 9) {
				assert_int_equal(le(p + 4, 4), machine.apic_id[le(p + 12, 4)]);
				assert_true(le(p + 4, 4) >= 255);
				enabled += p[8] & 1u;
				above = true;
				n++;
			}
			nmi_x2apic += p[0] == 10;
		}
		assert_int_equal(n, machine.vcpus_max);
		assert_int_equal(enabled, machine.vcpus_boot);
		assert_int_equal(nmi_x2apic, above);
		srat = find("SRAT");
		if (!srat)
			continue;
		end = srat + le(srat + 4, 4);
		for (const uint8_t *p = srat + 48; p < end; p += p[1]) {
			assert_true(p[1] >= 16 && p + p[1] <= end);
			affine += p[0] == 0 || p[0] == 2;
		}
		assert_int_equal(affine, machine.vcpus_max);
	}
}

static uint64_t srat_bytes(uint32_t domain, uint32_t flags)
{
	const uint8_t *srat = find("SRAT"), *end = srat + le(srat + 4, 4);
	uint64_t bytes = 0;

	for (const uint8_t *p = srat + 48; p < end; p += p[1])
		if (p[0] == 1 && le(p + 2, 4) == domain && le(p + 28, 4) == flags)
			bytes += le(p + 16, 8);
	return bytes;
}

static void test_memory(void **state)
{
	const uint8_t *slit;

	build(make_numa);
	/* fix_full: node 7 has huge, plug and epc1; everything else is node 3's */
	assert_int_equal(srat_bytes(7, 1), 4 * GiB + 32 * MiB);
	assert_int_equal(srat_bytes(7, 3), 2 * GiB);
	assert_int_equal(srat_bytes(3, 1), GiB + 4 * KiB + GiB + 512 * MiB + 64 * MiB);
	assert_int_equal(srat_bytes(3, 3), 0);
	slit = find("SLIT");
	assert_int_equal(le(slit + 36, 8), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(slit[44 + 9 * i], 10);
	assert_int_equal(slit[44 + 8 * 3 + 7], 17);
	assert_int_equal(slit[44 + 8 * 7 + 3], 17);
	assert_int_equal(slit[44 + 8 * 1 + 2], 20);
}

/* 5.2.16.6: exactly the devices on segments of nodes that nothing else makes known. */
static void test_initiators(void **state)
{
	static const struct {
		uint32_t domain;
		uint16_t segment;
		uint8_t slot;
	} want[] = {{2, 1, 4}, {2, 1, 31}, {9, 2, 5}, {9, 3, 4}};
	const uint8_t *srat, *end;
	size_t n = 0;

	build(make_initiators);
	srat = find("SRAT");
	end = srat + le(srat + 4, 4);
	for (const uint8_t *p = srat + 48; p < end; p += p[1]) {
		if (p[0] != 5)
			continue;
		assert_true(n < ARRAY_LEN(want));
		assert_int_equal(p[1], 32);
		assert_int_equal(p[3], 1);
		assert_int_equal(le(p + 4, 4), want[n].domain);
		assert_int_equal(le(p + 8, 2), want[n].segment);
		assert_int_equal(p[10], 0);
		assert_int_equal(p[11], want[n].slot << 3);
		assert_int_equal(le(p + 12, 8) | le(p + 20, 4), 0);
		assert_int_equal(le(p + 24, 4), 1);
		n++;
	}
	assert_int_equal(n, ARRAY_LEN(want));
}

static void test_segments(void **state)
{
	const uint8_t *mcfg;

	build(make_huge);
	mcfg = find("MCFG");
	assert_int_equal(le(mcfg + 4, 4), 44 + 16 * LIM_SEGMENTS);
	for (uint32_t s = 0; s < LIM_SEGMENTS; s++) {
		assert_int_equal(le(mcfg + 44 + 16 * s, 8), 0xe8000000u + s * 0x100000u);
		assert_int_equal(le(mcfg + 44 + 16 * s + 8, 2), s);
	}
}

/* 5.2.29.4: what is not described is 0; a small bandwidth beside a large one does not become that. */
static void test_hmat(void **state)
{
	const uint8_t *hmat, *end;
	unsigned seen = 0;

	build(make_numa);
	hmat = find("HMAT");
	end = hmat + le(hmat + 4, 4);
	for (const uint8_t *p = hmat + 40; p < end; p += le(p + 4, 4)) {
		const uint8_t *entry = p + 32 + 4 * 2 + 4 * 2;
		uint64_t unit = le(p + 24, 8);

		assert_true(le(p + 4, 4) >= 32);
		if (le(p, 2) != 1)
			continue;
		seen |= 1u << p[9];
		if (p[9] == 1) {
			assert_int_equal(le(entry, 2) * unit, 80000);
			assert_int_equal(le(entry + 2, 2) * unit, 250000);
			assert_int_equal(le(entry + 6, 2), 0);
		}
		if (p[9] == 4)
			assert_int_equal(le(entry + 4, 2) * unit, 100000);
		if (p[9] == 5)
			assert_int_equal(le(entry + 2, 2), 1);
	}
	assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5);
}

static int write_table(const char *dir, const uint8_t *t)
{
	char path[4096];
	size_t len = le(t + 4, 4);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.4s.aml", dir, (const char *)t);
	f = fopen(path, "w");
	if (!f || fwrite(t, 1, len, f) != len || fclose(f) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

static int write_all(const char *dir)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		static const char *const signatures[] = {"FACP", "APIC", "MCFG", "SRAT", "SLIT", "HMAT", "DSDT"};
		char sub[2048];

		build(machines[i].make);
		snprintf(sub, sizeof(sub), "%s/%s", dir, machines[i].name);
		if (mkdir(sub, 0777) < 0 && errno != EEXIST) {
			perror(sub);
			return 1;
		}
		r |= write_table(sub, table_at(le(blob + 24, 8)));
		for (size_t k = 0; k < ARRAY_LEN(signatures); k++) {
			const uint8_t *t = find(signatures[k]);

			if (t)
				r |= write_table(sub, t);
		}
	}
	return r;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sums),       cmocka_unit_test(test_too_small), cmocka_unit_test(test_without_nodes),
	    cmocka_unit_test(test_cpus),       cmocka_unit_test(test_memory),    cmocka_unit_test(test_segments),
	    cmocka_unit_test(test_initiators), cmocka_unit_test(test_hmat),
	};

	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return write_all(argv[2]);
	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
