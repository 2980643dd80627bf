/* A driver for virtio-balloon (virtio 1.2, 5.5) that does what it is told, sensible or not. Polled; one request at a time, but
 * for a storm. */
#include "virtio.h"

#define TYPE_BALLOON 5u
#define QUEUE        16u
#define PFNS         1024u
#define OOM          (UINT64_C(1) << 2)
#define REPORTING    (UINT64_C(1) << 5)
#define CONFIG       0u /* num_pages, and actual behind it */

enum { INFLATE, DEFLATE, REPORT, N_QUEUES };

struct rings {
	struct vdesc desc[QUEUE];
	uint16_t avail_flags, avail_idx, avail[QUEUE], avail_event;
	uint16_t used_flags __attribute__((aligned(4)));
	uint16_t used_idx;
	struct {
		uint32_t id, len;
	} used[QUEUE];
};

static struct {
	bool found;
	struct vpci pci;
	uint64_t features;
	volatile uint32_t *list; /* a page of page numbers */
	struct {
		volatile struct rings *r;
		uint64_t doorbell;
		uint16_t next;
	} q[N_QUEUES];
} b;

static const char *start(void)
{
	const char *err = vpci_negotiate(&b.pci, OOM | REPORTING, &b.features);

	if (!b.list)
		b.list = mem_page();
	for (uint16_t i = 0; !err && i < N_QUEUES; i++) {
		uint16_t queue = i;

		if (i == REPORT && !(b.features & REPORTING))
			break;
		if (!b.q[i].r)
			b.q[i].r = mem_page();
		if (!b.list || !b.q[i].r)
			return "no page left";
		if (i == REPORT)
			queue = vpci_queue_size(&b.pci, 4) ? 4 : 3;
		memset((void *)b.q[i].r, 0, sizeof(*b.q[i].r));
		b.q[i].next = 0;
		/* 5.5.2: 3 would be of free page hints, 2 of statistics. QEMU leaves out 3. */
		b.q[i].doorbell = vpci_queue(&b.pci, queue, QUEUE, (uint64_t)&b.q[i].r->desc, (uint64_t)&b.q[i].r->avail_flags,
					     (uint64_t)&b.q[i].r->used_flags, VIRTIO_NO_VECTOR);
		if (!b.q[i].doorbell)
			return "a doorbell cannot be reached";
	}
	if (!err)
		vpci_go(&b.pci);
	return err;
}

static const char *find(void)
{
	unsigned slot = 0;
	const char *err;

	if (b.found)
		return NULL;
	if (!vpci_next(TYPE_BALLOON, &slot))
		return "there is no balloon";
	if (!vpci_open(&b.pci, slot))
		return "the balloon cannot be reached";
	err = start();
	b.found = !err;
	return err;
}

static const char *wait_for(unsigned queue)
{
	while (b.q[queue].r->used_idx != b.q[queue].next) {
		if (vpci_status(&b.pci) & VIRTIO_NEEDS_RESET)
			return "the device needs a reset";
		for (unsigned i = 0; i < 10000 && b.q[queue].r->used_idx != b.q[queue].next; i++)
			cpu_relax();
	}
	return NULL;
}

/* Offers one buffer n times at once. */
static void offer(unsigned queue, uint64_t addr, uint32_t len, uint16_t flags, unsigned n)
{
	volatile struct rings *r = b.q[queue].r;

	r->desc[0].addr = addr;
	r->desc[0].len = len;
	r->desc[0].flags = flags;
	for (unsigned i = 0; i < n; i++)
		r->avail[b.q[queue].next++ % QUEUE] = 0;
	__asm__ volatile("" : : : "memory");
	r->avail_idx = b.q[queue].next;
	__asm__ volatile("mfence" : : : "memory");
	write32(b.q[queue].doorbell, 0);
}

const char *balloon_print(void)
{
	const char *err = find();

	if (!err)
		print("wanted %u actual %u features 0x%lx status 0x%x\n", read32(b.pci.config + CONFIG),
		      read32(b.pci.config + CONFIG + 4), b.features, vpci_status(&b.pci));
	return err;
}

static void took(uint64_t t0)
{
	print("%lu us\n", (rdtsc() - t0) * 1000 / (tsc_khz ? tsc_khz : 1000000));
}

const char *balloon_pages(bool inflate, uint64_t addr, uint64_t len, uint64_t at_once)
{
	unsigned queue = inflate ? INFLATE : DEFLATE;
	uint64_t pfn = addr / PAGE, end = (addr + len) / PAGE, t0 = rdtsc();
	const char *err = find();

	if (at_once == 0 || at_once > PFNS)
		return "1 to 1024 pages at once";
	while (!err && pfn < end) {
		uint32_t n = 0;

		while (n < at_once && pfn < end)
			b.list[n++] = (uint32_t)pfn++;
		offer(queue, (uint64_t)b.list, n * 4, 0, 1);
		err = wait_for(queue);
	}
	took(t0);
	return err;
}

const char *balloon_report(uint64_t addr, uint64_t len, uint64_t most)
{
	uint64_t t0 = rdtsc(), n;
	const char *err = find();

	if (!err && !(b.features & REPORTING))
		err = "the device does not want to know";
	for (; !err && len; addr += n, len -= n) {
		n = len < most ? len : most;
		offer(REPORT, addr, (uint32_t)n, VDESC_WRITE, 1);
		err = wait_for(REPORT);
	}
	took(t0);
	return err;
}

const char *balloon_actual(uint64_t pages)
{
	const char *err = find();

	if (!err)
		write32(b.pci.config + CONFIG + 4, (uint32_t)pages);
	return err;
}

const char *balloon_reset(void)
{
	const char *err = find();

	return err ? err : start();
}

/* Never lets a queue run empty: the same page, and one that is no memory, again and again. */
const char *balloon_storm(uint64_t addr, uint64_t ms)
{
	uint64_t t0 = rdtsc(), cycles = ms * (tsc_khz ? tsc_khz : 1000000), requests = 0;
	const char *err = find();

	if (err)
		return err;
	for (unsigned i = 0; i < PFNS; i++)
		b.list[i] = i % 2 ? ~0u - i : (uint32_t)(addr / PAGE);
	while (!err && rdtsc() - t0 < cycles && !serial_waiting()) {
		for (unsigned q = 0; q < 2; q++) {
			uint16_t busy = (uint16_t)(b.q[q].next - b.q[q].r->used_idx);

			if (busy > QUEUE)
				err = "more came back than was given";
			else if (busy < QUEUE)
				offer(q, (uint64_t)b.list, PAGE, 0, QUEUE - busy);
			requests += QUEUE - busy;
		}
		write32(b.pci.config + CONFIG + 4, (uint32_t)requests);
	}
	for (unsigned q = 0; !err && q < 2; q++)
		err = wait_for(q);
	print("%lu requests\n", requests);
	return err;
}
