/* A driver for virtio-mem (virtio 1.2, 5.15) that does what it is told, sensible or not. One request at a time, polled. */
#include "probe.h"

#define DEVICES_MAX 16
#define QUEUE       4u
#define CFG_ADDR    0xcf8
#define CFG_DATA    0xcfc
#define ID_MEM      0x10581af4u

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_DEVICE = 4 };
enum { REQ_PLUG, REQ_UNPLUG, REQ_UNPLUG_ALL, REQ_STATE };

struct rings {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[QUEUE];
	uint16_t avail_flags, avail_idx, avail[QUEUE], avail_event;
	uint16_t pad[1];
	uint16_t used_flags __attribute__((aligned(4)));
	uint16_t used_idx;
	struct {
		uint32_t id, len;
	} used[QUEUE];
	uint16_t used_event;
	struct {
		uint16_t type, pad[3];
		uint64_t addr;
		uint16_t n, pad2[3];
	} rq __attribute__((aligned(16)));
	struct {
		uint16_t type, pad[3], state;
	} resp;
};

static struct vmem {
	unsigned slot;
	uint64_t common, notify, config, doorbell;
	volatile struct rings *r;
	uint16_t next;
} dev[DEVICES_MAX];
static unsigned n_dev;

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
	uint64_t v = pci_in(slot, 0x10 + 4 * n);

	if (v & 4)
		v |= (uint64_t)pci_in(slot, 0x14 + 4 * n) << 32;
	return v & ~UINT64_C(15);
}

static bool find_regions(struct vmem *d)
{
	uint32_t mult = 0;

	for (unsigned cap = pci_byte(d->slot, 0x34); cap; cap = pci_byte(d->slot, cap + 1)) {
		unsigned type = pci_byte(d->slot, cap + 3);
		uint64_t at;

		if (pci_byte(d->slot, cap) != 9)
			continue;
		at = bar(d->slot, pci_byte(d->slot, cap + 4)) + pci_in(d->slot, cap + 8);
		if (type == CAP_COMMON)
			d->common = at;
		if (type == CAP_DEVICE)
			d->config = at;
		if (type == CAP_NOTIFY) {
			d->notify = at;
			mult = pci_in(d->slot, cap + 16);
		}
	}
	if (!d->common || !d->config || !d->notify || !mem_identity(d->common, PAGE) || !mem_identity(d->config, PAGE) ||
	    !mem_identity(d->notify, PAGE))
		return false;
	write16(d->common + 22, 0);
	d->doorbell = d->notify + read16(d->common + 30) * (uint64_t)mult;
	return mem_identity(d->doorbell, 4);
}

static const char *start(struct vmem *d)
{
	uint32_t features;

	pci_out(d->slot, 4, pci_in(d->slot, 4) | 6); /* memory space, bus master */
	write8(d->common + 20, 0);
	while (read8(d->common + 20))
		cpu_relax();
	write8(d->common + 20, 1);
	write8(d->common + 20, 3);
	write32(d->common + 0, 0);
	features = read32(d->common + 4) & 3; /* ACPI_PXM, UNPLUGGED_INACCESSIBLE */
	write32(d->common + 8, 0);
	write32(d->common + 12, features);
	write32(d->common + 8, 1);
	write32(d->common + 12, 1); /* VERSION_1 */
	write8(d->common + 20, 11);
	if (!(read8(d->common + 20) & 8))
		return "the device refuses the features";
	if (!d->r)
		d->r = mem_page();
	if (!d->r)
		return "no page left";
	memset((void *)d->r, 0, sizeof(*d->r));
	d->next = 0;
	write16(d->common + 22, 0);
	write16(d->common + 24, QUEUE);
	write64(d->common + 32, (uint64_t)&d->r->desc);
	write64(d->common + 40, (uint64_t)&d->r->avail_flags);
	write64(d->common + 48, (uint64_t)&d->r->used_flags);
	write16(d->common + 28, 1);
	write8(d->common + 20, 15);
	write32(d->doorbell, 0);
	return NULL;
}

static const char *find(void)
{
	if (n_dev)
		return NULL;
	for (unsigned slot = 0; slot < 32 && n_dev < DEVICES_MAX; slot++) {
		struct vmem *d = &dev[n_dev];

		if (pci_in(slot, 0) != ID_MEM)
			continue;
		d->slot = slot;
		if (!find_regions(d))
			return "a virtio-mem device cannot be reached";
		n_dev++;
	}
	/* In the order of their windows. */
	for (unsigned i = 0; i < n_dev; i++)
		for (unsigned k = i + 1; k < n_dev; k++)
			if (read64(dev[k].config + 16) < read64(dev[i].config + 16)) {
				struct vmem t = dev[i];

				dev[i] = dev[k];
				dev[k] = t;
			}
	for (unsigned i = 0; i < n_dev; i++) {
		const char *err = start(&dev[i]);

		if (err)
			return err;
	}
	return n_dev ? NULL : "there is no virtio-mem device";
}

static const char *get(uint64_t n, struct vmem **ret)
{
	const char *err = find();

	if (!err && n >= n_dev)
		err = "there is no such virtio-mem device";
	*ret = &dev[err ? 0 : n];
	return err;
}

/* The response's type, or 0xffff when the device has given up on us. */
static uint16_t request(struct vmem *d, uint16_t type, uint64_t addr, uint16_t n)
{
	volatile struct rings *r = d->r;

	r->rq.type = type;
	r->rq.addr = addr;
	r->rq.n = n;
	r->resp.type = 0xfffe;
	r->desc[0].addr = (uint64_t)&r->rq;
	r->desc[0].len = sizeof(r->rq);
	r->desc[0].flags = 1;
	r->desc[0].next = 1;
	r->desc[1].addr = (uint64_t)&r->resp;
	r->desc[1].len = sizeof(r->resp);
	r->desc[1].flags = 2;
	r->avail[d->next % QUEUE] = 0;
	__asm__ volatile("" : : : "memory");
	r->avail_idx = ++d->next;
	__asm__ volatile("mfence" : : : "memory");
	write32(d->doorbell, 0);
	while (r->used_idx != d->next) {
		if (read8(d->common + 20) & 0x40)
			return 0xffff;
		for (unsigned i = 0; i < 10000 && r->used_idx != d->next; i++)
			cpu_relax();
	}
	return r->resp.type;
}

const char *vmem_print(void)
{
	const char *err = find();

	for (unsigned i = 0; !err && i < n_dev; i++) {
		uint64_t c = dev[i].config;

		print("%u: block 0x%lx node %u at 0x%lx region 0x%lx usable 0x%lx plugged 0x%lx requested 0x%lx status 0x%x\n", i,
		      read64(c), read16(c + 8), read64(c + 16), read64(c + 24), read64(c + 32), read64(c + 40), read64(c + 48),
		      read8(dev[i].common + 20));
	}
	return err;
}

static const char *say(uint16_t type)
{
	static const char *const word[] = {"ack", "nack", "busy", "error"};

	print("%s\n", type < 4 ? word[type] : "needs reset");
	return NULL;
}

const char *vmem_request(uint64_t n, unsigned type, uint64_t addr, uint64_t blocks)
{
	struct vmem *d;
	const char *err = get(n, &d);
	uint16_t r;

	if (err)
		return err;
	r = request(d, (uint16_t)type, addr, (uint16_t)blocks);
	if (type == REQ_STATE && r == 0)
		print("state %u\n", d->r->resp.state);
	return say(r);
}

const char *vmem_reset(uint64_t n)
{
	struct vmem *d;
	const char *err = get(n, &d);

	return err ? err : start(d);
}

/* What a good driver does: towards requested_size, so many blocks at once; from below when plugging, from above when unplugging.
 */
const char *vmem_follow(uint64_t n, uint64_t at_once)
{
	struct vmem *d;
	const char *err = get(n, &d);
	uint64_t block, start_at, plugged, t0, requests = 0, wanted, from;
	uint16_t r = 0;

	if (err)
		return err;
	block = read64(d->config);
	start_at = read64(d->config + 16);
	plugged = from = read64(d->config + 40);
	wanted = read64(d->config + 48);
	if (at_once == 0)
		at_once = 1;
	t0 = rdtsc();
	while (plugged != wanted && r == 0) {
		uint64_t left = (plugged < wanted ? wanted - plugged : plugged - wanted) / block;
		uint64_t k = left < at_once ? left : at_once;

		if (plugged < wanted) {
			r = request(d, REQ_PLUG, start_at + plugged, (uint16_t)k);
			plugged += r ? 0 : k * block;
		} else {
			r = request(d, REQ_UNPLUG, start_at + plugged - k * block, (uint16_t)k);
			plugged -= r ? 0 : k * block;
		}
		requests++;
	}
	print("from 0x%lx to 0x%lx in %lu requests, %lu us\n", from, plugged, requests,
	      (rdtsc() - t0) * 1000 / (tsc_khz ? tsc_khz : 1000000));
	return say(r);
}
