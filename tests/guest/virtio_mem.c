/* A driver for virtio-mem (virtio 1.2, 5.15) that does what it is told, sensible or not. One request at a time, polled. */
#include "virtio.h"

#define DEVICES_MAX 16
#define QUEUE       4u
#define TYPE_MEM    24u

enum { REQ_PLUG, REQ_UNPLUG, REQ_UNPLUG_ALL, REQ_STATE };

struct rings {
	struct vdesc desc[QUEUE];
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
	struct vpci pci;
	uint64_t doorbell;
	volatile struct rings *r;
	uint16_t next;
} dev[DEVICES_MAX];
static unsigned n_dev;

static const char *start(struct vmem *d)
{
	uint64_t accepted;
	const char *err = vpci_negotiate(&d->pci, 3, &accepted); /* ACPI_PXM, UNPLUGGED_INACCESSIBLE */

	if (err)
		return err;
	if (!d->r)
		d->r = mem_page();
	if (!d->r)
		return "no page left";
	memset((void *)d->r, 0, sizeof(*d->r));
	d->next = 0;
	d->doorbell = vpci_queue(&d->pci, 0, QUEUE, (uint64_t)&d->r->desc, (uint64_t)&d->r->avail_flags,
				 (uint64_t)&d->r->used_flags, VIRTIO_NO_VECTOR);
	if (!d->doorbell)
		return "a virtio-mem device cannot be reached";
	vpci_go(&d->pci);
	write32(d->doorbell, 0);
	return NULL;
}

static const char *find(void)
{
	if (n_dev)
		return NULL;
	for (unsigned slot = 0; n_dev < DEVICES_MAX && vpci_next(TYPE_MEM, &slot); slot++, n_dev++)
		if (!vpci_open(&dev[n_dev].pci, slot))
			return "a virtio-mem device cannot be reached";
	/* In the order of their windows. */
	for (unsigned i = 0; i < n_dev; i++)
		for (unsigned k = i + 1; k < n_dev; k++)
			if (read64(dev[k].pci.config + 16) < read64(dev[i].pci.config + 16)) {
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

/* Without waiting for the answer. */
static void post(struct vmem *d, uint16_t type, uint64_t addr, uint16_t n)
{
	volatile struct rings *r = d->r;

	r->rq.type = type;
	r->rq.addr = addr;
	r->rq.n = n;
	r->resp.type = 0xfffe;
	r->desc[0].addr = (uint64_t)&r->rq;
	r->desc[0].len = sizeof(r->rq);
	r->desc[0].flags = VDESC_NEXT;
	r->desc[0].next = 1;
	r->desc[1].addr = (uint64_t)&r->resp;
	r->desc[1].len = sizeof(r->resp);
	r->desc[1].flags = VDESC_WRITE;
	r->avail[d->next % QUEUE] = 0;
	__asm__ volatile("" : : : "memory");
	r->avail_idx = ++d->next;
	__asm__ volatile("mfence" : : : "memory");
	write32(d->doorbell, 0);
}

/* The response's type, or 0xffff when the device has given up on us. */
static uint16_t request(struct vmem *d, uint16_t type, uint64_t addr, uint16_t n)
{
	volatile struct rings *r = d->r;

	post(d, type, addr, n);
	for (unsigned i = 1; r->used_idx != d->next; i++) {
		/* Looking costs an exit, which would only keep the device from its work. */
		if (i % 100000 == 0 && (vpci_status(&d->pci) & VIRTIO_NEEDS_RESET))
			return 0xffff;
		cpu_relax();
	}
	return r->resp.type;
}

const char *vmem_print(void)
{
	const char *err = find();

	for (unsigned i = 0; !err && i < n_dev; i++) {
		uint64_t c = dev[i].pci.config;

		print("%u: block 0x%lx node %u at 0x%lx region 0x%lx usable 0x%lx plugged 0x%lx requested 0x%lx status 0x%x\n", i,
		      read64(c), read16(c + 8), read64(c + 16), read64(c + 24), read64(c + 32), read64(c + 40), read64(c + 48),
		      vpci_status(&dev[i].pci));
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

const char *vmem_cut(uint64_t n, unsigned type, uint64_t addr, uint64_t blocks)
{
	struct vmem *d;
	const char *err = get(n, &d);

	if (err)
		return err;
	post(d, (uint16_t)type, addr, (uint16_t)blocks);
	return start(d); /* resets first, with the request on its way */
}

static struct {
	struct vmem *d;
	volatile bool over;
	volatile uint64_t rounds, torn;
	volatile unsigned out;
} race;

/* The other CPUs: change the request while it is looked at, ring, move the ring's end on, and read the configuration, whose sizes
 * must be whole blocks of the window whenever that is. */
static void disturb(uint64_t unused)
{
	struct vmem *d = race.d;
	volatile struct rings *r = d->r;
	uint64_t block = read64(d->pci.config), size = read64(d->pci.config + 24), i = rdtsc() | 1;

	while (!race.over) {
		uint64_t plugged = read64(d->pci.config + 40);

		if (plugged % block || plugged > size)
			race.torn++;
		i ^= i << 13;
		i ^= i >> 7;
		i ^= i << 17;
		r->rq.addr = read64(d->pci.config + 16) + i % (size + 2 * block) / (i & 64 ? 1 : block) * (i & 64 ? 1 : block);
		r->rq.n = (uint16_t)(i >> 32);
		r->rq.type = (uint16_t)(i >> 48) % 5;
		r->desc[i & 1].len = (uint32_t)(i >> 20) % 40;
		if ((i & 0xf00) == 0)
			r->avail_idx++;
		if ((i & 0xff000) == 0)
			r->desc[i & 1].addr = i;
		write32(d->doorbell, 0);
		race.rounds++;
	}
	__atomic_fetch_add(&race.out, 1, __ATOMIC_RELEASE);
}

/* Two CPUs at one queue. Whatever the answers are, the device stays in order: a reset and UNPLUG_ALL, and nothing is plugged. */
const char *vmem_race(uint64_t n, uint64_t ms)
{
	struct vmem *d;
	const char *err = get(n, &d);
	uint64_t end, resets = 0, rounds = 0, block, at;

	if (err)
		return err;
	if (smp_running() < 2)
		return "that takes two CPUs";
	block = read64(d->pci.config);
	at = read64(d->pci.config + 16);
	race.d = d;
	race.over = false;
	race.out = 0;
	race.rounds = race.torn = 0;
	smp_run_all(disturb, 0);
	for (end = rdtsc() + ms * tsc_khz; rdtsc() < end; rounds++) {
		uint16_t used = d->r->used_idx;
		uint64_t t = rdtsc();

		post(d, (uint16_t)(rounds % 3), at + rounds % 64 * block, 1);
		while (d->r->used_idx == used && rdtsc() < t + tsc_khz)
			cpu_relax();
		if (vpci_status(&d->pci) & VIRTIO_NEEDS_RESET || rounds % 16 == 15) {
			err = start(d);
			if (err)
				break;
			resets++;
		}
	}
	race.over = true;
	while (race.out < smp_running() - 1)
		cpu_relax();
	print("%lu requests, %lu disturbances, %lu resets, %lu torn sizes\n", rounds, race.rounds, resets, race.torn);
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
	block = read64(d->pci.config);
	start_at = read64(d->pci.config + 16);
	plugged = from = read64(d->pci.config + 40);
	wanted = read64(d->pci.config + 48);
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
