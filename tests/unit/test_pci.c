/* PCI segments as a guest sees them, by ECAM and by the ports: enumeration, BARs that are sized and moved, MSI-X; and a guest
 * that does anything at all. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "bulkhead/abi/platform.h"
#include "pci/pci.h"
#include "plan_fixture.h"

#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#define BAR_LEN 0x8000u
#define TABLE   0x4000u
#define PBA     0x5000u
#define VECTORS 3u

static struct mem_plan plan;
static struct bus pio, mmio;
static struct pci pci;
static struct pci_device dev;

static struct {
	unsigned n;
	uint64_t addr;
	uint32_t data;
} sent;

static struct {
	unsigned n, bar, len;
	uint64_t offset;
	bool write;
} seen;
static unsigned resets;

static void send_msi(void *arg, uint64_t addr, uint32_t data)
{
	assert_ptr_equal(arg, &sent);
	sent.n++;
	sent.addr = addr;
	sent.data = data;
}

static void on_bar(struct pci_device *d, unsigned bar, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	assert_true(len <= 8 && offset + len <= BAR_LEN);
	seen.n++;
	seen.bar = bar;
	seen.offset = offset;
	seen.len = len;
	seen.write = write;
	if (!write)
		memset(data, 0x42, len);
}

static void on_reset(void *arg, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	resets++;
}

static const struct pci_device_ops ops = {.bar_access = on_bar};

static int setup(void **state)
{
	static struct vm_spec s;
	struct pci_id id = {.vendor = 0x1234, .device = 0x5678, .class_code = 0x00ff00, .revision = 3};
	struct err e = {0};

	s = (struct vm_spec){.has_segments = true, .num_pci_segments = 3};
	fix_plan(&s, &plan);
	memset(&pio, 0, sizeof(pio));
	memset(&mmio, 0, sizeof(mmio));
	memset(&pci, 0, sizeof(pci));
	memset(&dev, 0, sizeof(dev));
	memset(&sent, 0, sizeof(sent));
	memset(&seen, 0, sizeof(seen));
	resets = 0;
	assert_int_equal(pci_init(&pci, &plan, send_msi, &sent, on_reset, NULL, &pio, &mmio, &e), 0);
	dev.ops = &ops;
	assert_int_equal(pci_add(&pci, 2, 5, &id, &dev, &e), 0);
	assert_int_equal(pci_add_bar64(&dev, 0, BAR_LEN, &e), 0);
	pci_add_msix(&dev, VECTORS, 0, TABLE, PBA);
	return 0;
}

static uint64_t ecam(unsigned segment, unsigned slot, unsigned reg)
{
	return PLAT_ECAM_START + segment * PLAT_ECAM_PER_SEGMENT + (slot << 15) + reg;
}

static uint64_t rd(uint64_t at, unsigned len)
{
	uint64_t v = 0;
	uint8_t data[8];

	bus_access(&mmio, at, data, len, false);
	memcpy(&v, data, len);
	return v;
}

static void wr(uint64_t at, unsigned len, uint64_t v)
{
	uint8_t data[8];

	memcpy(data, &v, sizeof(data));
	bus_access(&mmio, at, data, len, true);
}

static uint64_t bar_at(void)
{
	return rd(ecam(2, 5, PCI_BASE_ADDRESS_1), 4) << 32 | (rd(ecam(2, 5, PCI_BASE_ADDRESS_0), 4) & ~UINT64_C(15));
}

static void test_enumeration(void **state)
{
	for (unsigned s = 0; s < 3; s++)
		for (unsigned slot = 0; slot < 32; slot++) {
			uint64_t want = slot == 0 ? 0x00081b36 : s == 2 && slot == 5 ? 0x56781234 : 0xffffffff;

			assert_int_equal(rd(ecam(s, slot, 0), 4), want);
			assert_int_equal(rd(ecam(s, slot, 0) + (1 << 12), 4), 0xffffffff);
		}
	assert_int_equal(rd(ecam(1, 0, PCI_CLASS_DEVICE), 2), 0x0600);
	assert_int_equal(rd(ecam(2, 5, PCI_CLASS_REVISION), 4), 0x00ff0003);
	assert_int_equal(rd(ecam(2, 5, 0x100), 4), 0xffffffff);
	assert_int_equal(rd(ecam(2, 5, 0xffc), 4), 0xffffffff);
	/* A fourth segment is none of ours. */
	assert_int_equal(rd(ecam(3, 0, 0), 4), 0xffffffff);
}

static void test_widths(void **state)
{
	assert_int_equal(rd(ecam(2, 5, 1), 1), 0x12);
	assert_int_equal(rd(ecam(2, 5, 2), 2), 0x5678);
	assert_int_equal(rd(ecam(2, 5, 1), 2), 0x7812);
	assert_int_equal(rd(ecam(2, 5, 3), 2), 0xffff); /* leaves its dword */
	assert_int_equal(rd(ecam(2, 5, 2), 4), 0xffffffff);
	assert_int_equal(rd(ecam(2, 5, 0), 8), UINT64_MAX);
	wr(ecam(2, 5, PCI_COMMAND), 8, 0);
	assert_int_equal(rd(ecam(2, 5, PCI_COMMAND), 2), PCI_COMMAND_MEMORY);
}

static uint32_t port(uint16_t at, unsigned len, bool write, uint32_t v)
{
	uint8_t data[4];

	memcpy(data, &v, 4);
	bus_access(&pio, at, data, len, write);
	v = 0;
	memcpy(&v, data, len);
	return v;
}

static void test_ports(void **state)
{
	assert_int_equal(port(0xcfc, 4, false, 0), 0xffffffff);
	port(0xcf8, 4, true, 0x80000000);
	assert_int_equal(port(0xcf8, 4, false, 0), 0x80000000);
	assert_int_equal(port(0xcfc, 4, false, 0), 0x00081b36);
	assert_int_equal(port(0xcfe, 2, false, 0), 0x0008);
	port(0xcf8, 4, true, 0x80000000 | 1 << 16);
	assert_int_equal(port(0xcfc, 4, false, 0), 0xffffffff);
	port(0xcf9, 1, true, 6);
	assert_int_equal(resets, 1);
	assert_int_equal(port(0xcf8, 4, false, 0), 0x80010000);
}

static void test_bars(void **state)
{
	uint64_t first = bar_at(), window = pci.segment[2].window64.at.start.v;

	assert_int_equal(first, window);
	assert_int_equal(rd(ecam(2, 5, PCI_COMMAND), 2), PCI_COMMAND_MEMORY);
	assert_int_equal(rd(first + 8, 4), 0x42424242);
	assert_int_equal(seen.offset, 8);
	/* as Linux sizes it */
	wr(ecam(2, 5, PCI_COMMAND), 2, 0);
	assert_int_equal(rd(first + 8, 4), 0xffffffff);
	wr(ecam(2, 5, PCI_BASE_ADDRESS_0), 4, UINT32_MAX);
	wr(ecam(2, 5, PCI_BASE_ADDRESS_1), 4, UINT32_MAX);
	assert_int_equal(rd(ecam(2, 5, PCI_BASE_ADDRESS_0), 4), (uint32_t) ~(BAR_LEN - 1) | 4);
	assert_int_equal(rd(ecam(2, 5, PCI_BASE_ADDRESS_1), 4), UINT32_MAX);
	/* elsewhere in its segment's windows, the 32-bit one included */
	wr(ecam(2, 5, PCI_BASE_ADDRESS_0), 4, (uint32_t)pci.segment[2].window32.at.start.v);
	wr(ecam(2, 5, PCI_BASE_ADDRESS_1), 4, 0);
	wr(ecam(2, 5, PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	assert_int_equal(rd(first + 8, 4), 0xffffffff);
	assert_int_equal(rd(pci.segment[2].window32.at.start.v + 16, 8), UINT64_C(0x4242424242424242));
	/* in another segment's it does not answer */
	wr(ecam(2, 5, PCI_BASE_ADDRESS_0), 4, (uint32_t)pci.segment[1].window32.at.start.v);
	assert_int_equal(rd(pci.segment[1].window32.at.start.v + 16, 4), 0xffffffff);
	/* an access across its end */
	wr(ecam(2, 5, PCI_BASE_ADDRESS_0), 4, (uint32_t)pci.segment[2].window32.at.start.v);
	seen.n = 0;
	assert_int_equal(rd(pci.segment[2].window32.at.start.v + BAR_LEN - 4, 8), UINT64_MAX);
	assert_int_equal(seen.n, 0);
	/* other BARs are none */
	wr(ecam(2, 5, PCI_BASE_ADDRESS_2), 4, UINT32_MAX);
	assert_int_equal(rd(ecam(2, 5, PCI_BASE_ADDRESS_2), 4), 0);
	wr(ecam(2, 5, PCI_ROM_ADDRESS), 4, UINT32_MAX);
	assert_int_equal(rd(ecam(2, 5, PCI_ROM_ADDRESS), 4), 0);
}

static void set_msix(uint16_t flags)
{
	wr(ecam(2, 5, dev.msix_cap + PCI_MSIX_FLAGS), 2, flags);
}

static void test_msix(void **state)
{
	uint64_t bar = bar_at(), entry = bar + TABLE + 1 * 16;

	assert_int_equal(rd(ecam(2, 5, PCI_CAPABILITY_LIST), 1), dev.msix_cap);
	assert_int_equal(rd(ecam(2, 5, dev.msix_cap), 1), PCI_CAP_ID_MSIX);
	assert_int_equal(rd(ecam(2, 5, dev.msix_cap + PCI_MSIX_FLAGS), 2), VECTORS - 1);
	wr(ecam(2, 5, PCI_COMMAND), 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(rd(entry + 12, 4), 1); /* masked after reset */
	wr(entry, 4, 0xfee01003);
	wr(entry + 4, 4, 1);
	wr(entry + 8, 4, 0x31);
	assert_int_equal(rd(entry, 8), UINT64_C(0x1fee01000));

	msix_trigger(&dev.msix, 1); /* not enabled: lost */
	set_msix(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(sent.n, 0);
	msix_trigger(&dev.msix, 1); /* masked: pending */
	assert_int_equal(sent.n, 0);
	assert_int_equal(rd(bar + PBA, 8), 2);
	wr(bar + PBA, 8, 0); /* read-only */
	assert_int_equal(rd(bar + PBA, 4), 2);
	wr(entry + 12, 4, 0xfffffffe);
	assert_int_equal(sent.n, 1);
	assert_int_equal(sent.addr, UINT64_C(0x1fee01000));
	assert_int_equal(sent.data, 0x31);
	assert_int_equal(rd(entry + 12, 4), 0);
	assert_int_equal(rd(bar + PBA, 8), 0);

	set_msix(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	msix_trigger(&dev.msix, 1);
	msix_trigger(&dev.msix, 1);
	assert_int_equal(sent.n, 1);
	set_msix(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(sent.n, 2);
	wr(ecam(2, 5, PCI_COMMAND), 2, PCI_COMMAND_MEMORY); /* no master, no message */
	msix_trigger(&dev.msix, 1);
	assert_int_equal(sent.n, 2);
	wr(ecam(2, 5, PCI_COMMAND), 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(sent.n, 3);
	msix_trigger(&dev.msix, VECTORS);
	msix_trigger(&dev.msix, MSIX_NO_VECTOR);
	set_msix(0);
	msix_trigger(&dev.msix, 1);
	assert_int_equal(sent.n, 3);
}

static void test_places(void **state)
{
	struct pci_id id = {.vendor = 1};
	static struct pci_device d;
	struct err e;

	assert_true(pci_add(&pci, 2, 5, &id, &d, &e) < 0);
	assert_true(pci_add(&pci, 3, 1, &id, &d, &e) < 0);
	assert_true(pci_add(&pci, 0, 32, &id, &d, &e) < 0);
	assert_int_equal(pci_add(&pci, 0, 31, &id, &d, &e), 0);
	assert_true(pci_add_bar64(&d, 0, UINT64_C(1) << 50, &e) < 0);
}

/* Nothing a guest does changes what is read-only, and BARs and vectors stay inside their bounds (which the handlers check). */
static void test_anything(void **state)
{
	uint32_t id = (uint32_t)rd(ecam(2, 5, 0), 4), caps = (uint32_t)rd(ecam(2, 5, PCI_CAPABILITY_LIST), 4);
	unsigned hits = 0;

	srandom(4711);
	for (unsigned i = 0; i < 400000; i++) {
		unsigned len = 1u << ((unsigned)random() % 4);
		uint64_t v = (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random(), at;

		switch (random() % 4) {
		case 0:
			at = ecam((unsigned)random() % 4, (unsigned)random() % 8, (unsigned)random() % 0x1000);
			break;
		case 1:
			at = ecam(2, 5, (unsigned)random() % 0x60);
			v = random() % 8 ? v : (uint64_t)pci.segment[2].window32.at.start.v;
			break;
		case 2:
			at = bar_at() + (unsigned)random() % (BAR_LEN + 16);
			break;
		default:
			at = pci.segment[2].window32.at.start.v + (unsigned)random() % (2 * BAR_LEN);
			break;
		}
		seen.n = 0;
		if (random() % 2)
			wr(at, len, v);
		else
			rd(at, len);
		hits += seen.n;
		if (random() % 64 == 0)
			msix_trigger(&dev.msix, (unsigned)random() % 5);
		if (random() % 64 == 0)
			wr(ecam(2, 5, PCI_COMMAND), 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		if (random() % 64 == 0) {
			wr(ecam(2, 5, PCI_BASE_ADDRESS_0), 4, (uint32_t)pci.segment[2].window32.at.start.v);
			wr(ecam(2, 5, PCI_BASE_ADDRESS_1), 4, 0);
			set_msix(PCI_MSIX_FLAGS_ENABLE);
		}
		for (unsigned k = 0; k < VECTORS; k++) {
			assert_int_equal(dev.msix.entry[k].masked & ~1u, 0);
			assert_int_equal(dev.msix.entry[k].addr & 3, 0);
		}
	}
	assert_int_equal(rd(ecam(2, 5, 0), 4), id);
	assert_int_equal(rd(ecam(2, 5, PCI_CAPABILITY_LIST), 4), caps);
	assert_true(hits > 1000 && sent.n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_enumeration, setup), cmocka_unit_test_setup(test_widths, setup),
	    cmocka_unit_test_setup(test_ports, setup),       cmocka_unit_test_setup(test_bars, setup),
	    cmocka_unit_test_setup(test_msix, setup),        cmocka_unit_test_setup(test_places, setup),
	    cmocka_unit_test_setup(test_anything, setup),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
