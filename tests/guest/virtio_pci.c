/* Virtio over PCI: finding a device, its parts, features, queues, interrupts. */
#include "virtio.h"

#define CFG_ADDR    0xcf8
#define CFG_DATA    0xcfc
#define PCI_ID      0x00
#define PCI_COMMAND 0x04
#define PCI_BAR0    0x10
#define PCI_CAPS    0x34
#define VENDOR      0x1af4u
#define DEVICE_BASE 0x1040u

enum { CAP_MSIX = 0x11, CAP_VENDOR = 9 };
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_DEVICE = 4 };

/* 4.1.4.3 */
enum {
	OFFER_SELECT = 0,
	OFFER = 4,
	ACCEPT_SELECT = 8,
	ACCEPT = 12,
	CONFIG_VECTOR = 16,
	STATUS = 20,
	Q_SELECT = 22,
	Q_SIZE = 24,
	Q_VECTOR = 26,
	Q_ENABLE = 28,
	Q_NOTIFY = 30,
	Q_DESC = 32,
	Q_AVAIL = 40,
	Q_USED = 48,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };

static uint32_t pci_in(unsigned slot, unsigned reg)
{
	uint32_t v;

	__asm__ volatile("outl %0, %w1" : : "a"(0x80000000u | slot << 11 | (reg & 0xfcu)), "d"(CFG_ADDR));
	__asm__ volatile("inl %w1, %0" : "=a"(v) : "d"(CFG_DATA));
	return v;
}

static void pci_out(unsigned slot, unsigned reg, uint32_t v)
{
	__asm__ volatile("outl %0, %w1" : : "a"(0x80000000u | slot << 11 | (reg & 0xfcu)), "d"(CFG_ADDR));
	__asm__ volatile("outl %0, %w1" : : "a"(v), "d"(CFG_DATA));
}

static uint8_t pci_byte(unsigned slot, unsigned reg)
{
	return (uint8_t)(pci_in(slot, reg) >> (reg & 3) * 8);
}

static uint64_t bar(unsigned slot, unsigned n)
{
	uint64_t v = pci_in(slot, PCI_BAR0 + 4 * n);

	if (v & 4)
		v |= (uint64_t)pci_in(slot, PCI_BAR0 + 4 + 4 * n) << 32;
	return v & ~UINT64_C(15);
}

bool vpci_next(unsigned type, unsigned *slot)
{
	for (; *slot < 32; ++*slot)
		if (pci_in(*slot, PCI_ID) == ((DEVICE_BASE + type) << 16 | VENDOR))
			return true;
	return false;
}

static unsigned msix_cap(unsigned slot)
{
	unsigned cap = pci_byte(slot, PCI_CAPS);

	while (cap && pci_byte(slot, cap) != CAP_MSIX)
		cap = pci_byte(slot, cap + 1);
	return cap;
}

bool vpci_open(struct vpci *d, unsigned slot)
{
	unsigned cap = msix_cap(slot);

	*d = (struct vpci){.slot = slot};
	if (cap) {
		uint32_t table = pci_in(slot, cap + 4);

		d->n_vectors = (pci_in(slot, cap) >> 16 & 0x7ff) + 1;
		d->msix_table = bar(slot, table & 7) + (table & ~7u);
	}
	for (cap = pci_byte(slot, PCI_CAPS); cap; cap = pci_byte(slot, cap + 1)) {
		unsigned type = pci_byte(slot, cap + 3);
		uint64_t at;

		if (pci_byte(slot, cap) != CAP_VENDOR)
			continue;
		at = bar(slot, pci_byte(slot, cap + 4)) + pci_in(slot, cap + 8);
		if (type == CAP_COMMON)
			d->common = at;
		if (type == CAP_DEVICE)
			d->config = at;
		if (type == CAP_NOTIFY) {
			d->notify = at;
			d->notify_mult = pci_in(slot, cap + 16);
		}
	}
	if (d->msix_table && !mem_identity(d->msix_table, 16 * d->n_vectors))
		return false;
	return d->common && d->config && d->notify && mem_identity(d->common, PAGE) && mem_identity(d->config, PAGE) &&
	       mem_identity(d->notify, PAGE);
}

const char *vpci_negotiate(const struct vpci *d, uint64_t want, uint64_t *ret_accepted)
{
	uint64_t offered;

	pci_out(d->slot, PCI_COMMAND, pci_in(d->slot, PCI_COMMAND) | 6); /* memory space, bus master */
	write8(d->common + STATUS, 0);
	while (read8(d->common + STATUS))
		cpu_relax();
	write8(d->common + STATUS, ACKNOWLEDGE);
	write8(d->common + STATUS, ACKNOWLEDGE | DRIVER);
	write32(d->common + OFFER_SELECT, 0);
	offered = read32(d->common + OFFER);
	*ret_accepted = offered & want;
	write32(d->common + ACCEPT_SELECT, 0);
	write32(d->common + ACCEPT, (uint32_t)*ret_accepted);
	write32(d->common + ACCEPT_SELECT, 1);
	write32(d->common + ACCEPT, 1); /* VERSION_1 */
	write8(d->common + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	return read8(d->common + STATUS) & FEATURES_OK ? NULL : "the device refuses the features";
}

uint16_t vpci_queue_size(const struct vpci *d, uint16_t queue)
{
	write16(d->common + Q_SELECT, queue);
	return read16(d->common + Q_SIZE);
}

uint64_t vpci_queue(const struct vpci *d, uint16_t queue, uint16_t size, uint64_t desc, uint64_t avail, uint64_t used,
		    uint16_t vector)
{
	uint64_t doorbell;

	write16(d->common + Q_SELECT, queue);
	write16(d->common + Q_SIZE, size);
	write16(d->common + Q_VECTOR, vector);
	write64(d->common + Q_DESC, desc);
	write64(d->common + Q_AVAIL, avail);
	write64(d->common + Q_USED, used);
	doorbell = d->notify + read16(d->common + Q_NOTIFY) * (uint64_t)d->notify_mult;
	write16(d->common + Q_ENABLE, 1);
	return mem_identity(doorbell, 4) ? doorbell : 0;
}

void vpci_msix_on(const struct vpci *d, unsigned vector, uint8_t cpu_vector)
{
	uint64_t entry = d->msix_table + 16 * (uint64_t)vector;
	unsigned cap = msix_cap(d->slot);

	write32(entry, LAPIC_BASE | lapic_id() << 12);
	write32(entry + 4, 0);
	write32(entry + 8, cpu_vector);
	write32(entry + 12, 0); /* open */
	pci_out(d->slot, cap, pci_in(d->slot, cap) | 0x80000000u);
}

void vpci_config_vector(const struct vpci *d, uint16_t vector)
{
	write16(d->common + CONFIG_VECTOR, vector);
}

void vpci_msix_off(const struct vpci *d)
{
	unsigned cap = msix_cap(d->slot);

	if (cap)
		pci_out(d->slot, cap, pci_in(d->slot, cap) & ~0x80000000u);
}

void vpci_go(const struct vpci *d)
{
	write8(d->common + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

uint8_t vpci_status(const struct vpci *d)
{
	return read8(d->common + STATUS);
}
