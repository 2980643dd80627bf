/* Virtio over PCI (virtio 1.2, 4.1), the modern interface only: what the drivers share. Devices on bus 0 of segment 0. */
#pragma once
#include "probe.h"

#define VIRTIO_RING_INDIRECT  (UINT64_C(1) << 28)
#define VIRTIO_RING_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_NO_VECTOR      0xffffu
#define VIRTIO_NEEDS_RESET    0x40u
#define VDESC_NEXT            1u
#define VDESC_WRITE           2u
#define VDESC_INDIRECT        4u

struct vdesc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vpci {
	unsigned slot;
	uint64_t common, notify, config, msix_table; /* msix_table 0: it has none */
	uint32_t notify_mult;
	unsigned n_vectors;
};

/* The next device of that virtio type at or after *slot, which becomes its slot; 4.1.2. */
bool vpci_next(unsigned type, unsigned *slot);
bool vpci_open(struct vpci *d, unsigned slot); /* false: a part of it cannot be reached */
/* Reset, then everything up to FEATURES_OK with what is wanted and offered, and VERSION_1. NULL or what is wrong. */
const char *vpci_negotiate(const struct vpci *d, uint64_t want, uint64_t *ret_accepted);
uint16_t vpci_queue_size(const struct vpci *d, uint16_t queue); /* the largest it may have */
/* Sets a queue up and on. Returns where its doorbell is, 0: out of reach. */
uint64_t vpci_queue(const struct vpci *d, uint16_t queue, uint16_t size, uint64_t desc, uint64_t avail, uint64_t used,
		    uint16_t vector);
/* MSI-X on; the device's interrupt `vector` comes as interrupt `cpu_vector` of this CPU. */
void vpci_msix_on(const struct vpci *d, unsigned vector, uint8_t cpu_vector);
void vpci_config_vector(const struct vpci *d, uint16_t vector); /* for changes of its configuration */
void vpci_msix_off(const struct vpci *d);
void vpci_go(const struct vpci *d); /* DRIVER_OK */
uint8_t vpci_status(const struct vpci *d);
