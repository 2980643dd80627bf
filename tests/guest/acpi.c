/* The ACPI tables we are given (ACPI 6.5, chapter 5.2): checksums, CPUs, interrupt controller, affinity, distances, power-off. */
#include "probe.h"

#define TABLE_MAX (UINT64_C(4) << 20)

struct acpi_cpu acpi_cpus[CPUS_MAX];
unsigned n_acpi_cpus;
uint64_t acpi_ioapic;
struct range acpi_affinity[RANGES_MAX];
unsigned n_acpi_affinity;
uint64_t acpi_sleep_reg;
bool acpi_sleep_is_port;
uint16_t acpi_pm1a;

struct sdt {
	char sig[4];
	uint32_t len;
	uint8_t rev, sum;
	char oem[6], oem_table[8];
	uint32_t oem_rev, creator, creator_rev;
} __attribute__((packed));
_Static_assert(sizeof(struct sdt) == 36, "ACPI 5.2.6");

static uint64_t le(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

static bool sum_is_0(const uint8_t *p, uint64_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return sum == 0;
}

static void add_cpu(uint32_t apic_id, uint32_t flags)
{
	if (n_acpi_cpus < CPUS_MAX)
		acpi_cpus[n_acpi_cpus++] = (struct acpi_cpu){apic_id, flags & 1, flags & 2};
}

/* 5.2.12 */
static void read_madt(const uint8_t *p, const uint8_t *end)
{
	for (p += 44; p + 2 <= end && p[1] >= 2 && p + p[1] <= end; p += p[1]) {
		if (p[0] == 0 && p[1] >= 8) {
			add_cpu(p[3], (uint32_t)le(p + 4, 4));
		} else if (p[0] == 9 && p[1] >= 16) {
			add_cpu((uint32_t)le(p + 4, 4), (uint32_t)le(p + 8, 4));
		} else if (p[0] == 1 && p[1] >= 12) {
			print("# madt ioapic id %u at 0x%lx gsi %lu\n", p[2], le(p + 4, 4), le(p + 8, 4));
			if (le(p + 8, 4) == 0)
				acpi_ioapic = le(p + 4, 4);
		}
	}
	for (unsigned i = 0; i < n_acpi_cpus; i++)
		print("# madt cpu apic %u %s\n", acpi_cpus[i].apic_id,
		      acpi_cpus[i].enabled          ? "enabled"
		      : acpi_cpus[i].online_capable ? "online-capable"
						    : "disabled");
}

/* 5.2.16 */
static void read_srat(const uint8_t *p, const uint8_t *end)
{
	for (p += 48; p + 2 <= end && p[1] >= 2 && p + p[1] <= end; p += p[1]) {
		if (p[0] == 0 && p[1] >= 16) {
			print("# srat cpu apic %u node %lu%s\n", p[3], p[2] | le(p + 9, 3) << 8, p[4] & 1 ? "" : " disabled");
		} else if (p[0] == 2 && p[1] >= 24) {
			print("# srat cpu apic %lu node %lu%s\n", le(p + 8, 4), le(p + 4, 4), p[12] & 1 ? "" : " disabled");
		} else if (p[0] == 5 && p[1] >= 32 && p[3] == 1) {
			print("# srat device %lu:%u.%u node %lu%s\n", le(p + 8, 2), p[11] >> 3, p[11] & 7, le(p + 4, 4),
			      p[24] & 1 ? "" : " disabled");
		} else if (p[0] == 1 && p[1] >= 40) {
			uint64_t start = le(p + 8, 8), len = le(p + 16, 8);
			unsigned flags = (unsigned)le(p + 28, 4);

			if (!len)
				continue;
			print("# srat memory 0x%016lx-0x%016lx node %lu%s%s%s\n", start, start + len - 1, le(p + 2, 4),
			      flags & 1 ? "" : " disabled", flags & 2 ? " hotplug" : "", flags & 4 ? " nonvolatile" : "");
			if ((flags & 1) && n_acpi_affinity < RANGES_MAX)
				acpi_affinity[n_acpi_affinity++] = (struct range){start, start + len, (uint32_t)le(p + 2, 4)};
		}
	}
}

/* 5.2.17 */
static void read_slit(const uint8_t *p, const uint8_t *end)
{
	uint64_t n = le(p + 36, 8);

	if (n > 1024 || p + 44 + n * n > end) {
		print("# slit of %lu localities does not fit its table\n", n);
		return;
	}
	for (uint64_t i = 0; i < n; i++) {
		print("# slit %lu:", i);
		for (uint64_t j = 0; j < n; j++)
			print(" %u", p[44 + i * n + j]);
		print("\n");
	}
}

/* PCI Firmware Specification 3.3, 4.1.2 */
static void read_mcfg(const uint8_t *p, const uint8_t *end)
{
	for (p += 44; p + 16 <= end; p += 16)
		print("# mcfg segment %lu buses %u-%u at 0x%lx\n", le(p + 8, 2), p[10], p[11], le(p, 8));
}

static void read_table(uint64_t at);

/* 5.2.9 */
static void read_fadt(const uint8_t *p, const uint8_t *end)
{
	bool reduced = end - p >= 116 && (le(p + 112, 4) & 1u << 20);
	uint64_t dsdt = le(p + 40, 4);

	if (end - p >= 148 && le(p + 140, 8))
		dsdt = le(p + 140, 8);
	if (reduced && end - p >= 268) {
		acpi_sleep_is_port = p[244] == 1;
		acpi_sleep_reg = le(p + 248, 8);
		print("# fadt hardware-reduced, sleep control at %s 0x%lx\n", acpi_sleep_is_port ? "port" : "memory",
		      acpi_sleep_reg);
	} else if (!reduced) {
		acpi_pm1a = (uint16_t)le(p + 64, 4);
		print("# fadt pm1a control at port 0x%x\n", acpi_pm1a);
	}
	if (dsdt)
		read_table(dsdt);
}

static const struct {
	char sig[5];
	uint32_t min;
	void (*read)(const uint8_t *p, const uint8_t *end);
} readers[] = {
    {"APIC", 44, read_madt}, {"SRAT", 48, read_srat}, {"SLIT", 44, read_slit}, {"MCFG", 44, read_mcfg}, {"FACP", 116, read_fadt},
};

static void read_table(uint64_t at)
{
	const struct sdt *t = (const struct sdt *)at;
	char sig[5] = "", oem[7] = "";
	bool good;

	if (!mem_identity(at, sizeof(*t)) || t->len < sizeof(*t) || t->len > TABLE_MAX || !mem_identity(at, t->len)) {
		tap(false, "acpi table at 0x%lx has a possible address and length", at);
		return;
	}
	memcpy(sig, t->sig, 4);
	memcpy(oem, t->oem, 6);
	good = sum_is_0((const uint8_t *)t, t->len);
	tap(good, "acpi %s at 0x%lx, %u bytes, revision %u, %s, checksum", sig, at, t->len, t->rev, oem);
	for (unsigned i = 0; good && i < ARRAY_LEN(readers); i++)
		if (!memcmp(readers[i].sig, t->sig, 4) && t->len >= readers[i].min)
			readers[i].read((const uint8_t *)t, (const uint8_t *)t + t->len);
}

/* 5.2.5.1: on a 16-byte boundary of the read-only memory below 1 MiB */
static uint64_t find_rsdp(void)
{
	for (uint64_t at = 0xe0000; at < 0x100000; at += 16)
		if (read64(at) == UINT64_C(0x2052545020445352) && sum_is_0((const uint8_t *)at, 20))
			return at;
	return 0;
}

void acpi_read(uint64_t rsdp)
{
	const uint8_t *p, *root;
	bool xsdt;
	unsigned width;

	if (!rsdp && (rsdp = find_rsdp()) != 0)
		print("# acpi rsdp not given, found at 0x%lx\n", rsdp);
	if (!rsdp) {
		print("# acpi none\n");
		return;
	}
	p = (const uint8_t *)rsdp;
	if (!mem_identity(rsdp, 36) || read64(rsdp) != UINT64_C(0x2052545020445352) || !sum_is_0(p, 20)) {
		tap(false, "acpi rsdp at 0x%lx", rsdp);
		return;
	}
	xsdt = p[15] >= 2 && sum_is_0(p, 36) && le(p + 24, 8);
	tap(p[15] < 2 || xsdt, "acpi rsdp at 0x%lx, revision %u", rsdp, p[15]);
	root = (const uint8_t *)(xsdt ? le(p + 24, 8) : le(p + 16, 4));
	width = xsdt ? 8 : 4;
	read_table((uint64_t)root);
	for (uint64_t i = 36; i + width <= le(root + 4, 4) && i < PAGE; i += width)
		read_table(le(root + i, width));
}
