#include "virtio_blk.h"

#define DISKS_MAX 8u
#define TYPE_BLK  2u

enum { F_RO = 1 << 5, F_BLK_SIZE = 1 << 6, F_FLUSH = 1 << 9, F_MQ = 1 << 12 };

/* One request, in memory that the device reads: our own notes come last. */
struct slot {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} head;
	struct vdesc part[3];
	volatile uint8_t status;
	bool busy;
	uint8_t pad[62];
};
_Static_assert(sizeof(struct slot) == 128, "each by itself in a cache line");

struct queue {
	struct vdesc desc[BLK_DEPTH_MAX];
	struct {
		uint16_t flags, idx, ring[BLK_DEPTH_MAX];
		uint16_t used_event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[BLK_DEPTH_MAX];
		uint16_t avail_event;
	} used __attribute__((aligned(64)));
	struct slot slot[BLK_DEPTH_MAX] __attribute__((aligned(64)));
};

static struct blk disk[DISKS_MAX];
static unsigned n_disks;

/* Of the device in use. */
static struct queue *queue;
static uint8_t *data;
static struct {
	uint64_t doorbell;
	uint16_t size, next, told, seen;
} at[BLK_QUEUES_MAX];
static bool with_irq;

unsigned blk_count(void)
{
	if (n_disks)
		return n_disks;
	for (unsigned slot = 0; n_disks < DISKS_MAX && vpci_next(TYPE_BLK, &slot); slot++, n_disks++)
		if (!vpci_open(&disk[n_disks].pci, slot))
			break;
	return n_disks;
}

const char *blk_find(unsigned n, struct blk **ret)
{
	if (n >= blk_count())
		return "there is no such virtio-blk device";
	*ret = &disk[n];
	return NULL;
}

static bool memory(void)
{
	if (!queue) {
		uint64_t len = BLK_QUEUES_MAX * sizeof(*queue) + BLK_DATA, from = mem_take(len, "disk");

		if (!from)
			return false;
		data = (uint8_t *)from;
		queue = (struct queue *)(from + BLK_DATA);
	}
	memset(queue, 0, BLK_QUEUES_MAX * sizeof(*queue));
	return true;
}

uint8_t *blk_data(void)
{
	return data;
}

static void set_event(unsigned q, uint16_t v)
{
	*(volatile uint16_t *)(queue[q].avail.ring + at[q].size) = v;
}

const char *blk_start(struct blk *d, unsigned queues, bool irq)
{
	const char *err;

	err = vpci_negotiate(&d->pci, F_RO | F_BLK_SIZE | F_FLUSH | F_MQ | VIRTIO_RING_INDIRECT | VIRTIO_RING_EVENT_IDX,
			     &d->features);
	if (err)
		return err;
	if (!memory()) /* only now does no device look into it any more */
		return "no room below 4 GiB";
	d->capacity = read64(d->pci.config);
	d->queues_max = d->features & F_MQ ? read16(d->pci.config + 34) : 1;
	d->kicks = 0;
	if (queues == 0 || queues > d->queues_max || queues > BLK_QUEUES_MAX)
		return "it does not have so many queues";
	if (irq && d->pci.n_vectors < queues)
		return "it does not have so many interrupts";
	d->queues = queues;
	with_irq = irq;
	vpci_msix_off(&d->pci);
	vpci_config_vector(&d->pci, irq ? 0 : VIRTIO_NO_VECTOR); /* it may need a reset */
	for (unsigned q = 0; q < queues; q++) {
		uint16_t size = vpci_queue_size(&d->pci, (uint16_t)q);

		if (size > BLK_DEPTH_MAX)
			size = BLK_DEPTH_MAX;
		if (irq)
			vpci_msix_on(&d->pci, q, VEC_DISK);
		memset(&at[q], 0, sizeof(at[q]));
		at[q].size = size;
		at[q].doorbell = vpci_queue(&d->pci, (uint16_t)q, size, (uint64_t)queue[q].desc, (uint64_t)&queue[q].avail,
					    (uint64_t)&queue[q].used, irq ? (uint16_t)q : VIRTIO_NO_VECTOR);
		if (!at[q].doorbell || size < 3)
			return "a queue cannot be used";
		/* Nobody wants to be interrupted but who asks: by the flag, or by an event that is far away. */
		queue[q].avail.flags = !irq && !(d->features & VIRTIO_RING_EVENT_IDX);
		set_event(q, 0x8000);
		d->depth_max = d->features & VIRTIO_RING_INDIRECT ? size : size / 3u;
	}
	vpci_go(&d->pci);
	return NULL;
}

void blk_submit(struct blk *d, unsigned q, unsigned n, enum blk_op op, uint64_t sector, const void *buf, uint32_t len)
{
	struct slot *s = &queue[q].slot[n];
	bool indirect = d->features & VIRTIO_RING_INDIRECT;
	uint16_t head = (uint16_t)(indirect ? n : 3 * n), parts = len ? 3 : 2;
	struct vdesc *part = indirect ? s->part : &queue[q].desc[head];
	uint16_t first = indirect ? 0 : head;

	s->head.type = op;
	s->head.sector = sector;
	s->status = 0xff;
	s->busy = true;
	part[0] = (struct vdesc){(uint64_t)&s->head, sizeof(s->head), VDESC_NEXT, (uint16_t)(first + 1)};
	if (len)
		part[1] = (struct vdesc){(uint64_t)buf, len, (uint16_t)(VDESC_NEXT | (op == BLK_READ ? VDESC_WRITE : 0)),
					 (uint16_t)(first + 2)};
	part[parts - 1] = (struct vdesc){(uint64_t)&s->status, 1, VDESC_WRITE, 0};
	if (indirect)
		queue[q].desc[head] = (struct vdesc){(uint64_t)part, parts * (uint32_t)sizeof(*part), VDESC_INDIRECT, 0};
	queue[q].avail.ring[at[q].next++ % at[q].size] = head;
	__atomic_store_n(&queue[q].avail.idx, at[q].next, __ATOMIC_RELEASE);
}

/* 2.7.10 */
static bool wants_kick(const struct blk *d, unsigned q)
{
	volatile uint16_t *flags = &queue[q].used.flags;
	/* Its place follows from the queue's size, which may be less than ours. */
	volatile uint16_t *event = (volatile uint16_t *)(queue[q].used.ring + at[q].size);

	if (d->features & VIRTIO_RING_EVENT_IDX)
		return (uint16_t)(at[q].next - *event - 1) < (uint16_t)(at[q].next - at[q].told);
	return !(*flags & 1);
}

void blk_kick(struct blk *d, unsigned q)
{
	if (at[q].told == at[q].next)
		return;
	__asm__ volatile("mfence" : : : "memory");
	if (wants_kick(d, q)) {
		write16(at[q].doorbell, (uint16_t)q);
		d->kicks++;
	}
	at[q].told = at[q].next;
}

int blk_reap(struct blk *d, unsigned q, unsigned *ret_slot, uint8_t *ret_status)
{
	uint32_t id;
	unsigned n;

	if (__atomic_load_n(&queue[q].used.idx, __ATOMIC_ACQUIRE) == at[q].seen)
		return 0;
	id = queue[q].used.ring[at[q].seen++ % at[q].size].id;
	if (!with_irq && at[q].seen % 0x1000 == 0)
		set_event(q, (uint16_t)(at[q].seen + 0x8000));
	n = d->features & VIRTIO_RING_INDIRECT ? id : id / 3;
	if (n >= d->depth_max || !queue[q].slot[n].busy)
		return -1;
	queue[q].slot[n].busy = false;
	*ret_slot = n;
	*ret_status = queue[q].slot[n].status;
	return 1;
}

bool blk_ask_irq(struct blk *d)
{
	for (unsigned q = 0; q < d->queues; q++)
		set_event(q, at[q].seen);
	__asm__ volatile("mfence" : : : "memory");
	for (unsigned q = 0; q < d->queues; q++)
		if (__atomic_load_n(&queue[q].used.idx, __ATOMIC_ACQUIRE) != at[q].seen)
			return false;
	return true;
}
