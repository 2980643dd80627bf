#include "pci/pci.h"

#include "bulkhead/abi/platform.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

/* PCI Express 3.0, 7.2.2: the address in an ECAM block */
#define ECAM_BUS_SHIFT    20
#define ECAM_SLOT_SHIFT   15
#define ECAM_FN_SHIFT     12
#define ECAM_REGISTER     0xfffu
#define BRIDGE_VENDOR     0x1b36u /* Red Hat's "generic PCIe host bridge": drivers know it as nothing special */
#define BRIDGE_DEVICE     0x0008u
#define CLASS_BRIDGE_HOST 0x060000u

static void device_config(struct pci_device *d, unsigned reg, uint8_t *data, unsigned len, bool write)
{
	unsigned changed;

	if (!write) {
		if (d->ops && d->ops->config_hook)
			d->ops->config_hook(d, reg, len, false);
		pci_config_read(&d->config, reg, data, len);
		return;
	}
	changed = pci_config_write(&d->config, reg, data, len);
	if (d->msix_cap && (changed & (PCI_CHANGED_CAPS | PCI_CHANGED_MASTER))) {
		uint32_t control = pci_config_get(&d->config, d->msix_cap + PCI_MSIX_FLAGS, 2);

		msix_set_state(&d->msix, control & PCI_MSIX_FLAGS_ENABLE, control & PCI_MSIX_FLAGS_MASKALL,
			       pci_config_is_master(&d->config));
	}
	if (changed && d->ops && d->ops->changed)
		d->ops->changed(d, changed);
	if (d->ops && d->ops->config_hook)
		d->ops->config_hook(d, reg, len, true);
}

/* One configuration access as ECAM has it: offset = bus, device, function, register. */
static void config_access(struct pci_segment *s, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	unsigned slot = (unsigned)(offset >> ECAM_SLOT_SHIFT) & (PCI_SLOTS - 1), fn = (unsigned)(offset >> ECAM_FN_SHIFT) & 7;

	if (!write)
		memset(data, 0xff, len);
	if (offset >> ECAM_BUS_SHIFT || fn || !s->slot[slot])
		return;
	/* Extended configuration space: all ones, no capability there. */
	if ((offset & ECAM_REGISTER) < PCI_CONFIG_LEN)
		device_config(s->slot[slot], (unsigned)(offset & ECAM_REGISTER), data, len, write);
}

/* The blocks of all segments, one bus each, follow each other. */
static void ecam_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct pci *p = dev;

	config_access(&p->segment[offset / PLAT_ECAM_PER_SEGMENT], offset % PLAT_ECAM_PER_SEGMENT, data, len, write);
}

/* PCI 3.0, 3.2.2.3.2: configuration mechanism #1, by which kernels also find out early whether there is PCI at all. */
static void ports_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct pci *p = dev;
	uint32_t address = p->config_address;

	if (offset == PLAT_PORT_RESET - PLAT_PORT_PCI_ADDRESS && len == 1) {
		p->reset(p->reset_dev, 0, data, len, write);
	} else if (offset == 0 && len == 4 && write) {
		memcpy(&p->config_address, data, 4);
		p->config_address &= 0x80fffffcu; /* enable, bus, device, function, register */
	} else if (offset == 0 && len == 4) {
		memcpy(data, &address, 4);
	} else if (offset >= 4 && address >> 31) {
		uint64_t ecam = (uint64_t)(address >> 16 & 0xff) << ECAM_BUS_SHIFT |
				(uint64_t)(address >> 11 & 31) << ECAM_SLOT_SHIFT |
				(uint64_t)(address >> 8 & 7) << ECAM_FN_SHIFT | (address & 0xfc);

		config_access(&p->segment[0], ecam + (offset - 4), data, len, write);
	}
}

static void bar_access(struct pci_device *d, unsigned bar, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	if (d->msix_cap && bar == d->msix_bar) {
		if (offset >= d->msix_table && offset - d->msix_table < d->msix.n * MSIX_ENTRY_LEN) {
			msix_table_access(&d->msix, offset - d->msix_table, data, len, write);
			return;
		}
		if (offset >= d->msix_pba && offset - d->msix_pba < sizeof(d->msix.pending)) {
			if (!write && d->msix.collect)
				d->msix.collect(d->msix.owner);
			msix_pba_access(&d->msix, offset - d->msix_pba, data, len, write);
			return;
		}
	}
	if (d->ops && d->ops->bar_access)
		d->ops->bar_access(d, bar, offset, data, len, write);
}

/* Where two BARs lie on each other, which is the guest's doing, the lower slot answers. */
static void window_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	const struct pci_window *w = dev;
	uint64_t addr = w->at.start.v + offset;

	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		struct pci_device *d = w->segment->slot[i];

		for (unsigned b = 0; d && b < PCI_BARS; b++) {
			uint64_t at;

			if (!pci_config_bar_at(&d->config, b, &at) || addr < at || addr - at >= d->config.bar_size[b])
				continue;
			if (d->config.bar_size[b] - (addr - at) >= len)
				bar_access(d, b, addr - at, data, len, write);
			return;
		}
	}
	w->segment->pci->unclaimed++;
}

static int add_windows(struct pci *p, const struct mem_plan *plan, struct bus *mmio, struct err *e)
{
	for (size_t i = 0; i < plan->n_windows; i++) {
		const struct plan_window *w = &plan->windows[i];
		struct pci_segment *s = &p->segment[w->index];
		struct pci_window *to;
		int r;

		if (w->kind != WINDOW_PCI32 && w->kind != WINDOW_PCI64)
			continue;
		to = w->kind == WINDOW_PCI32 ? &s->window32 : &s->window64;
		*to = (struct pci_window){s, w->at};
		r = bus_add(mmio, w->at.start.v, w->at.len.v, window_access, to, e);
		if (r < 0)
			return r;
	}
	return bus_add(mmio, PLAT_ECAM_START, (uint64_t)p->n_segments * PLAT_ECAM_PER_SEGMENT, ecam_access, p, e);
}

int pci_init(struct pci *p, const struct mem_plan *plan, msix_send_fn *send, void *send_arg, bus_access_fn *reset,
	     void *reset_dev, struct bus *pio, struct bus *mmio, struct err *e)
{
	static const struct pci_id bridge = {.vendor = BRIDGE_VENDOR, .device = BRIDGE_DEVICE, .class_code = CLASS_BRIDGE_HOST};
	int r;

	p->send = send;
	p->send_arg = send_arg;
	p->reset = reset;
	p->reset_dev = reset_dev;
	p->n_segments = plan->n_segments;
	r = add_windows(p, plan, mmio, e);
	if (r == 0)
		r = bus_add(pio, PLAT_PORT_PCI_ADDRESS, 8, ports_access, p, e);
	for (uint16_t i = 0; i < p->n_segments && r == 0; i++) {
		struct pci_segment *s = &p->segment[i];

		s->pci = p;
		s->next64 = s->window64.at.start.v;
		r = pci_add(p, i, 0, &bridge, &s->bridge, e);
	}
	return r;
}

int pci_add(struct pci *p, uint16_t segment, uint8_t slot, const struct pci_id *id, struct pci_device *d, struct err *e)
{
	if (segment >= p->n_segments || slot >= PCI_SLOTS || p->segment[segment].slot[slot])
		return err_set(e, -EEXIST, "PCI %04x:00:%02x.0: no such place, or taken", segment, slot);
	d->pci = p;
	d->segment = segment;
	d->slot = slot;
	d->msix_cap = 0;
	pci_config_init(&d->config, id);
	p->segment[segment].slot[slot] = d;
	return 0;
}

int pci_add_bar64(struct pci_device *d, unsigned bar, uint64_t size, struct err *e)
{
	struct pci_segment *s = &d->pci->segment[d->segment];
	uint64_t at, end, window_end = s->window64.at.start.v + s->window64.at.len.v;

	if (!align_up_u64(s->next64, size, &at) || !add_u64(at, size, &end) || end > window_end)
		return err_set(e, -ENOSPC, "PCI %04x:00:%02x.0: no room for its registers in the segment's window", d->segment,
			       d->slot);
	pci_config_bar64(&d->config, bar, size, at);
	s->next64 = end;
	return 0;
}

void pci_add_msix(struct pci_device *d, unsigned n, unsigned bar, uint64_t table, uint64_t pba)
{
	unsigned cap = pci_config_cap(&d->config, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);

	assert(is_aligned(table, 8) && is_aligned(pba, 8) && d->config.bar_size[bar]);
	msix_init(&d->msix, n, d->pci->send, d->pci->send_arg);
	pci_config_set(&d->config, cap + PCI_MSIX_FLAGS, 2, n - 1);
	pci_config_set(&d->config, cap + PCI_MSIX_TABLE, 4, (uint32_t)table | bar);
	pci_config_set(&d->config, cap + PCI_MSIX_PBA, 4, (uint32_t)pba | bar);
	d->config.writable[cap + PCI_MSIX_FLAGS + 1] = (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
	d->msix_cap = cap;
	d->msix_bar = bar;
	d->msix_table = table;
	d->msix_pba = pba;
}
