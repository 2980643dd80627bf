/* A function's type-0 configuration space (PCI 3.0, chapter 6): bytes, and for every bit whether the guest may write it. PURE. */
#pragma once
#include "bulkhead/base.h"

#define PCI_CONFIG_LEN 256u
#define PCI_BARS       6u

struct pci_id {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* base class, subclass, interface: 24 bits */
	uint8_t revision;
};

struct pci_config {
	uint8_t byte[PCI_CONFIG_LEN];
	uint8_t writable[PCI_CONFIG_LEN]; /* mask */
	uint64_t bar_size[PCI_BARS];      /* 0: no BAR here, or the upper half of the one before */
	unsigned caps_end, last_cap;      /* where the next capability goes, where the last one is (0: none) */
};

/* What a write has changed that somebody must look at. */
enum {
	PCI_CHANGED_DECODE = 1, /* where the BARs are, or whether they answer */
	PCI_CHANGED_MASTER = 2, /* whether the function may write to memory, which interrupts are */
	PCI_CHANGED_CAPS = 4,   /* something behind the header */
};

void pci_config_init(struct pci_config *c, const struct pci_id *id);

/* A 64-bit memory BAR at bar and bar + 1: size a power of two of at least 16, at an address that size divides. Not prefetchable,
 * so that guests may put it into any window. */
void pci_config_bar64(struct pci_config *c, unsigned bar, uint64_t size, uint64_t addr);

/* Appends a capability of len bytes (its two-byte header included) with a body of zeros; returns its offset. Its bits are
 * read-only until set in `writable`. Our own lists are known to fit. */
unsigned pci_config_cap(struct pci_config *c, uint8_t id, unsigned len);

void pci_config_set(struct pci_config *c, unsigned offset, unsigned len, uint32_t value);
uint32_t pci_config_get(const struct pci_config *c, unsigned offset, unsigned len);

/* One access of the guest: len 1, 2 or 4 inside an aligned dword. Anything else reads as ones and writes nothing. */
void pci_config_read(const struct pci_config *c, uint64_t offset, uint8_t *data, unsigned len);
unsigned pci_config_write(struct pci_config *c, uint64_t offset, const uint8_t *data, unsigned len); /* PCI_CHANGED_* */

/* Where the guest has put a BAR now; false: it does not answer (memory space off, no such BAR). */
bool pci_config_bar_at(const struct pci_config *c, unsigned bar, uint64_t *ret_addr);

bool pci_config_is_master(const struct pci_config *c);
