/* The PCI segments of the plan: configuration space by ECAM (and for segment 0 by the two ports that older software looks for),
 * BARs in the segments' windows, and the devices that sit there. One bus per segment, functions 0 only. PURE; under the machine's
 * device lock. */
#pragma once
#include "dev/bus.h"
#include "model/mem_plan.h"
#include "pci/config.h"
#include "pci/msix.h"

#define PCI_SLOTS 32u

struct pci_device;

struct pci_device_ops {
	/* An access to a BAR, but for the MSI-X structures in it; never across its end. Reads: data is all ones. NULL: no BARs.
	 */
	void (*bar_access)(struct pci_device *d, unsigned bar, uint64_t offset, uint8_t *data, unsigned len, bool write);
	/* After a write: PCI_CHANGED_*. NULL: not interested. */
	void (*changed)(struct pci_device *d, unsigned what);
	/* Before a read of, and after a write to, configuration space: a device with registers behind it. NULL: none. */
	void (*config_hook)(struct pci_device *d, unsigned offset, unsigned len, bool write);
};

struct pci_device {
	const struct pci_device_ops *ops;
	struct pci *pci;
	uint16_t segment;
	uint8_t slot;
	struct pci_config config;
	struct msix msix;
	unsigned msix_cap, msix_bar; /* msix_cap 0: none */
	uint64_t msix_table, msix_pba;
};

struct pci_window {
	struct pci_segment *segment;
	gspan_t at;
};

struct pci_segment {
	struct pci *pci;
	struct pci_window window32, window64;
	uint64_t next64; /* BARs are handed out upwards from the start of window64 */
	struct pci_device *slot[PCI_SLOTS];
	struct pci_device bridge; /* 00.0: there is always something on a bus, otherwise guests do not look further */
};

struct pci {
	msix_send_fn *send;
	void *send_arg;
	uint32_t n_segments;
	uint32_t config_address; /* port 0xcf8 */
	bus_access_fn *reset;    /* port 0xcf9 lies inside that range and belongs to somebody else */
	void *reset_dev;
	uint64_t unclaimed; /* accesses to windows in which no BAR answered */
	struct pci_segment segment[LIM_SEGMENTS];
};

/* All segments with their host bridges. reset gets the byte accesses to port 0xcf9. */
int pci_init(struct pci *p, const struct mem_plan *plan, msix_send_fn *send, void *send_arg, bus_access_fn *reset,
	     void *reset_dev, struct bus *pio, struct bus *mmio, struct err *e);

/* Puts a device there; d->ops is set by the caller, everything else is filled in. Main thread, before the vCPUs start. */
int pci_add(struct pci *p, uint16_t segment, uint8_t slot, const struct pci_id *id, struct pci_device *d, struct err *e);

/* For a device that was added: a BAR at the next free place of its segment's 64-bit window. */
int pci_add_bar64(struct pci_device *d, unsigned bar, uint64_t size, struct err *e);

/* MSI-X with n vectors, table and pending bits at these offsets of a BAR; both on pages of their own. */
void pci_add_msix(struct pci_device *d, unsigned n, unsigned bar, uint64_t table, uint64_t pba);
