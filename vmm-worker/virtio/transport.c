/* Virtio over PCI (4.1), the modern interface only. PURE. */
#include "virtio/device.h"

#include <assert.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define VENDOR      0x1af4u
#define DEVICE_BASE 0x1040u /* 4.1.2: plus the device's number */
#define SUBSYSTEM   0x1100u
#define REVISION    1u

/* BAR 0, a page for each so that none shares one with MSI-X */
#define BAR           0u
#define BAR_LEN       0x8000u
#define COMMON        0x0000u
#define ISR           0x1000u
#define CONFIG        0x2000u
#define NOTIFY        0x3000u
#define MSIX_TABLE    0x4000u
#define MSIX_PBA      0x5000u
#define REGION_LEN    0x1000u
#define NOTIFY_STRIDE 4u
#define CONFIG_MAX    256u

#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

#define BIT(n) (UINT64_C(1) << (n))
#define FEATURES_OF_ALL                                                                                                          \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_RESET) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX))

_Static_assert(sizeof(struct virtio_pci_common_cfg) == VIRTIO_PCI_COMMON_Q_NDATA, "4.1.4.3: what 1.0 had");
#define COMMON_LEN (VIRTIO_PCI_COMMON_Q_RESET + 2u)

bool virtio_is_live(const struct virtio_dev *d)
{
	return (d->status & VIRTIO_CONFIG_S_DRIVER_OK) && !(d->status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)) &&
	       pci_config_is_master(&d->pci.config);
}

void virtio_config_changed(struct virtio_dev *d)
{
	d->config_generation++;
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK) {
		d->isr |= ISR_CONFIG;
		msix_trigger(&d->pci.msix, d->config_vector);
	}
}

void virtio_needs_reset(struct virtio_dev *d)
{
	d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK) {
		d->isr |= ISR_CONFIG;
		msix_trigger(&d->pci.msix, d->config_vector);
	}
}

bool virtio_pop(struct virtio_dev *d, unsigned queue, struct virtq_chain *ret)
{
	int r = virtq_pop(&d->queue[queue], &d->host->memory, ret);

	if (r < 0 && !(d->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		virtio_needs_reset(d);
	return r > 0;
}

void virtio_push(struct virtio_dev *d, unsigned queue, uint16_t head, uint32_t written)
{
	virtq_push(&d->queue[queue], &d->host->memory, head, written);
}

bool virtio_done(struct virtio_dev *d, unsigned queue)
{
	struct virtq *q = &d->queue[queue];

	if (virtq_wants_interrupt(q, &d->host->memory)) {
		d->isr |= ISR_QUEUE;
		msix_trigger(&d->pci.msix, d->queue_vector[queue]);
	}
	return !virtq_ask_notify(q, &d->host->memory);
}

static uint16_t size_max(const struct virtio_dev *d, unsigned i)
{
	return d->type->queue_sizes ? d->type->queue_sizes[i] : d->type->queue_size;
}

static void reset_queue(struct virtio_dev *d, unsigned i)
{
	d->queue[i] = (struct virtq){.size = size_max(d, i), .epoch = d->queue[i].epoch + 1};
	d->queue_vector[i] = MSIX_NO_VECTOR;
}

static void reset(struct virtio_dev *d)
{
	d->accepted = 0;
	d->offered_select = d->accepted_select = 0;
	d->status = d->isr = 0;
	d->config_vector = MSIX_NO_VECTOR;
	d->queue_select = 0;
	for (unsigned i = 0; i < d->type->n_queues; i++)
		reset_queue(d, i);
	if (d->type->reset)
		d->type->reset(d);
	if (d->doorbells != VIRTIO_NO_ADDRESS)
		d->host->kick(d->host->arg);
}

/* 2.2.2, 3.1.1: all that is accepted was offered, and the device is driven as a modern one. */
static bool features_ok(const struct virtio_dev *d)
{
	return (d->accepted & ~d->offered) == 0 && (d->accepted & BIT(VIRTIO_F_VERSION_1));
}

static void write_status(struct virtio_dev *d, uint8_t v)
{
	uint8_t added = (uint8_t)(v & ~d->status);

	if (v == 0) {
		reset(d);
		return;
	}
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !features_ok(d))
		added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if ((added & VIRTIO_CONFIG_S_DRIVER_OK) && !((d->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	/* A driver takes no bit back but by a reset, and "needs reset" is ours to set. */
	d->status |= added & (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		d->host->kick(d->host->arg); /* doorbells, and what is in the queues already */
}

static uint16_t valid_vector(const struct virtio_dev *d, uint32_t v)
{
	return v < d->pci.msix.n ? (uint16_t)v : MSIX_NO_VECTOR;
}

static void enable_queue(struct virtio_dev *d, struct virtq *q)
{
	if (q->enabled || !(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (!virtq_enable(q, &d->host->memory, d->accepted & BIT(VIRTIO_RING_F_EVENT_IDX)))
		virtio_needs_reset(d);
}

static void set_half(uint64_t *v, bool high, uint32_t half)
{
	*v = high ? (*v & UINT32_MAX) | (uint64_t)half << 32 : (*v & ~(uint64_t)UINT32_MAX) | half;
}

/* Registers of the selected queue. */
static void write_queue(struct virtio_dev *d, unsigned offset, uint32_t v)
{
	struct virtq *q;

	if (d->queue_select >= d->type->n_queues)
		return;
	q = &d->queue[d->queue_select];
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_MSIX:
		d->queue_vector[d->queue_select] = valid_vector(d, v);
		if (d->type->vector_changed)
			d->type->vector_changed(d, d->queue_select);
		return;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (v == 1)
			enable_queue(d, q);
		return;
	case VIRTIO_PCI_COMMON_Q_RESET: /* 2.6.1 */
		if (v == 1 && (d->accepted & BIT(VIRTIO_F_RING_RESET)))
			reset_queue(d, d->queue_select);
		return;
	}
	if (q->enabled)
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (is_pow2(v) && v <= size_max(d, d->queue_select))
			q->size = (uint16_t)v;
		return;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&q->desc, offset == VIRTIO_PCI_COMMON_Q_DESCHI, v);
		return;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&q->avail, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, v);
		return;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&q->used, offset == VIRTIO_PCI_COMMON_Q_USEDHI, v);
		return;
	}
}

static void write_common(struct virtio_dev *d, unsigned offset, uint32_t v)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		d->offered_select = v;
		return;
	case VIRTIO_PCI_COMMON_GFSELECT:
		d->accepted_select = v;
		return;
	case VIRTIO_PCI_COMMON_GF:
		if (d->accepted_select < 2 && !(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&d->accepted, d->accepted_select == 1, v);
		return;
	case VIRTIO_PCI_COMMON_MSIX:
		d->config_vector = valid_vector(d, v);
		return;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(d, (uint8_t)v);
		return;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		d->queue_select = (uint16_t)v;
		return;
	default:
		write_queue(d, offset, v);
		return;
	}
}

/* Width of the register at offset, 0 if none begins there or it cannot be written. */
static unsigned register_len(unsigned offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_STATUS:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
	case VIRTIO_PCI_COMMON_Q_RESET:
		return 2;
	case VIRTIO_PCI_COMMON_DFSELECT:
	case VIRTIO_PCI_COMMON_GFSELECT:
	case VIRTIO_PCI_COMMON_GF:
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		return 4;
	default:
		return 0;
	}
}

static void put(uint8_t *image, unsigned offset, unsigned len, uint64_t v)
{
	memcpy(image + offset, &v, len);
}

/* 4.1.4.3, as it is for the selections made. */
static void common_image(const struct virtio_dev *d, uint8_t image[COMMON_LEN])
{
	const struct virtq *q = d->queue_select < d->type->n_queues ? &d->queue[d->queue_select] : NULL;

	memset(image, 0, COMMON_LEN);
	put(image, VIRTIO_PCI_COMMON_DFSELECT, 4, d->offered_select);
	if (d->offered_select < 2)
		put(image, VIRTIO_PCI_COMMON_DF, 4, d->offered >> (32 * d->offered_select));
	put(image, VIRTIO_PCI_COMMON_GFSELECT, 4, d->accepted_select);
	if (d->accepted_select < 2)
		put(image, VIRTIO_PCI_COMMON_GF, 4, d->accepted >> (32 * d->accepted_select));
	put(image, VIRTIO_PCI_COMMON_MSIX, 2, d->config_vector);
	put(image, VIRTIO_PCI_COMMON_NUMQ, 2, d->type->n_queues);
	/* 4.1.4.3.2: a driver waits after a reset until it reads 0. */
	put(image, VIRTIO_PCI_COMMON_STATUS, 1,
	    d->status == 0 && d->type->stopping && d->type->stopping(d) ? VIRTIO_CONFIG_S_ACKNOWLEDGE : d->status);
	put(image, VIRTIO_PCI_COMMON_CFGGENERATION, 1, d->config_generation);
	put(image, VIRTIO_PCI_COMMON_Q_SELECT, 2, d->queue_select);
	put(image, VIRTIO_PCI_COMMON_Q_MSIX, 2, q ? d->queue_vector[d->queue_select] : MSIX_NO_VECTOR);
	if (!q)
		return; /* 4.1.4.3.1: size 0 says that there is no such queue */
	put(image, VIRTIO_PCI_COMMON_Q_SIZE, 2, q->size);
	put(image, VIRTIO_PCI_COMMON_Q_ENABLE, 2, q->enabled);
	put(image, VIRTIO_PCI_COMMON_Q_NOFF, 2, d->queue_select);
	put(image, VIRTIO_PCI_COMMON_Q_DESCLO, 8, q->desc);
	put(image, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, q->avail);
	put(image, VIRTIO_PCI_COMMON_Q_USEDLO, 8, q->used);
}

static void common_access(struct virtio_dev *d, unsigned offset, uint8_t *data, unsigned len, bool write)
{
	uint8_t image[COMMON_LEN];

	if (!write) {
		if (offset >= COMMON_LEN || len > COMMON_LEN - offset)
			return;
		common_image(d, image);
		memcpy(data, image + offset, len);
		return;
	}
	/* 4.1.3.1: registers are written whole; those of 64 bits also in one go */
	for (unsigned done = 0; done < len;) {
		unsigned part = register_len(offset + done);
		uint32_t v = 0;

		if (part == 0 || part > len - done || (done > 0 && part != 4))
			return;
		memcpy(&v, data + done, part);
		write_common(d, offset + done, v);
		done += part;
	}
}

static void config_access(struct virtio_dev *d, unsigned offset, uint8_t *data, unsigned len, bool write)
{
	uint8_t config[CONFIG_MAX] = {0};

	if (!d->type->config_read || offset >= d->type->config_len || len > d->type->config_len - offset)
		return;
	if (write) {
		if (d->type->config_write)
			d->type->config_write(d, offset, data, len);
		return;
	}
	d->type->config_read(d, config);
	memcpy(data, config + offset, len);
}

static struct virtio_dev *of_pci(struct pci_device *p)
{
	return (struct virtio_dev *)((uint8_t *)p - offsetof(struct virtio_dev, pci));
}

static int doorbell(struct virtio_dev *d, unsigned queue)
{
	return d->type->doorbell ? d->type->doorbell(d, queue) : -1;
}

static void notify(struct virtio_dev *d, unsigned queue)
{
	int fd = doorbell(d, queue);

	if (fd >= 0)
		d->host->ring(fd);
	else if (d->awaited)
		d->host->await(d->host->arg);
	else
		d->host->kick(d->host->arg);
}

static void bar_access(struct pci_device *p, unsigned bar, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct virtio_dev *d = of_pci(p);
	unsigned at = (unsigned)(offset % REGION_LEN);

	switch (offset - at) {
	case COMMON:
		common_access(d, at, data, len, write);
		break;
	case ISR:
		if (!write && at == 0) {
			data[0] = d->isr;
			d->isr = 0;
		}
		break;
	case CONFIG:
		config_access(d, at, data, len, write);
		break;
	case NOTIFY: /* where KVM does not know the doorbell (yet) */
		if (write && at / NOTIFY_STRIDE < d->type->n_queues)
			notify(d, at / NOTIFY_STRIDE);
		break;
	}
}

/* 4.1.4.9: registers of the BAR by way of configuration space. */
static void config_hook(struct pci_device *p, unsigned offset, unsigned len, bool write)
{
	struct virtio_dev *d = of_pci(p);
	unsigned cap = d->pci_cfg_cap, data = cap + (unsigned)offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
	uint32_t at, width;

	if (!cap || offset + len <= data || offset >= data + 4)
		return;
	at = pci_config_get(&p->config, cap + VIRTIO_PCI_CAP_OFFSET, 4);
	width = pci_config_get(&p->config, cap + VIRTIO_PCI_CAP_LENGTH, 4);
	if (p->config.byte[cap + VIRTIO_PCI_CAP_BAR] != BAR || (width != 1 && width != 2 && width != 4) || at % width ||
	    at >= BAR_LEN)
		return;
	bar_access(p, BAR, at, &p->config.byte[data], width, write);
}

static void changed(struct pci_device *p, unsigned what)
{
	struct virtio_dev *d = of_pci(p);

	if (what & (PCI_CHANGED_DECODE | PCI_CHANGED_MASTER) && (d->status & VIRTIO_CONFIG_S_DRIVER_OK))
		d->host->kick(d->host->arg);
}

static const struct pci_device_ops pci_ops = {.bar_access = bar_access, .changed = changed, .config_hook = config_hook};

static unsigned add_cap(struct virtio_dev *d, uint8_t type, unsigned len, uint32_t offset, uint32_t length)
{
	struct pci_config *c = &d->pci.config;
	unsigned at = pci_config_cap(c, PCI_CAP_ID_VNDR, len);

	pci_config_set(c, at + VIRTIO_PCI_CAP_LEN, 1, len);
	pci_config_set(c, at + VIRTIO_PCI_CAP_CFG_TYPE, 1, type);
	pci_config_set(c, at + VIRTIO_PCI_CAP_BAR, 1, BAR);
	pci_config_set(c, at + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	pci_config_set(c, at + VIRTIO_PCI_CAP_LENGTH, 4, length);
	return at;
}

int virtio_pci_init(struct virtio_dev *d, const struct virtio_type *type, const struct virtio_host *host, struct pci *pci,
		    uint16_t segment, uint8_t slot, struct err *e)
{
	struct pci_id id = {
	    .vendor = VENDOR,
	    .device = (uint16_t)(DEVICE_BASE + type->id),
	    .subsystem_vendor = VENDOR,
	    .subsystem = SUBSYSTEM,
	    .class_code = type->class_code,
	    .revision = REVISION,
	};
	unsigned at;
	int r;

	assert(type->n_queues <= VIRTIO_QUEUES_MAX && type->queue_size <= VIRTQ_SIZE_MAX && type->config_len <= CONFIG_MAX);
	d->type = type;
	d->host = host;
	d->offered = type->features | FEATURES_OF_ALL;
	d->doorbells = VIRTIO_NO_ADDRESS;
	d->awaited = false;
	d->config_generation = 0;
	d->pci.ops = &pci_ops;
	r = pci_add(pci, segment, slot, &id, &d->pci, e);
	if (r == 0)
		r = pci_add_bar64(&d->pci, BAR, BAR_LEN, e);
	if (r < 0)
		return r;
	pci_add_msix(&d->pci, type->n_queues + 1u, BAR, MSIX_TABLE, MSIX_PBA);
	add_cap(d, VIRTIO_PCI_CAP_COMMON_CFG, sizeof(struct virtio_pci_cap), COMMON, COMMON_LEN);
	add_cap(d, VIRTIO_PCI_CAP_ISR_CFG, sizeof(struct virtio_pci_cap), ISR, 1);
	if (type->config_len)
		add_cap(d, VIRTIO_PCI_CAP_DEVICE_CFG, sizeof(struct virtio_pci_cap), CONFIG, type->config_len);
	at = add_cap(d, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap), NOTIFY, type->n_queues * NOTIFY_STRIDE);
	pci_config_set(&d->pci.config, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, NOTIFY_STRIDE);
	at = add_cap(d, VIRTIO_PCI_CAP_PCI_CFG, sizeof(struct virtio_pci_cfg_cap), 0, 0);
	d->pci.config.writable[at + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(&d->pci.config.writable[at + VIRTIO_PCI_CAP_OFFSET], 0xff, 12); /* offset, length, data */
	d->pci_cfg_cap = at;
	reset(d);
	return 0;
}

static void ring_doorbells(struct virtio_dev *d, uint64_t at, bool assign)
{
	/* One that KVM refuses comes as an ordinary access, which does the same, only slower. */
	for (unsigned i = 0; i < d->type->n_queues; i++)
		d->host->ioeventfd(d->host->arg, at + i * NOTIFY_STRIDE, doorbell(d, i), assign);
}

void virtio_pci_wire(struct virtio_dev *d)
{
	uint64_t want = VIRTIO_NO_ADDRESS, bar;

	if ((d->status & VIRTIO_CONFIG_S_DRIVER_OK) && !d->awaited && pci_config_bar_at(&d->pci.config, BAR, &bar))
		want = bar + NOTIFY;
	if (want == d->doorbells)
		return;
	if (d->doorbells != VIRTIO_NO_ADDRESS)
		ring_doorbells(d, d->doorbells, false);
	if (want != VIRTIO_NO_ADDRESS)
		ring_doorbells(d, want, true);
	d->doorbells = want;
}

void virtio_pci_await(struct virtio_dev *d, bool awaited)
{
	d->awaited = awaited;
	virtio_pci_wire(d);
}
