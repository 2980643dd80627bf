/* Disk, network, file system, anything else: which features are passed on, and where configuration space comes from. */
#include "vhost/device.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Of all types: what is an agreement between driver and back-end alone. */
#define FEATURES_ANY                                                                                                             \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_ORDER_PLATFORM))
#define FEATURES_OF_TYPE (BIT(24) - 1)

#define FEATURES_BLK                                                                                                             \
	(BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_GEOMETRY) | BIT(VIRTIO_BLK_F_RO) |            \
	 BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_MQ) |              \
	 BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))
#define FEATURES_NET                                                                                                             \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |   \
	 BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_GUEST_UFO) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | \
	 BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_HOST_UFO) | BIT(VIRTIO_NET_F_MRG_RXBUF))

#define BLK_CONFIG_LEN 60u /* up to write zeroes: what every back-end knows */
#define FS_CONFIG_LEN  (DEVICE_TAG_MAX + 4u)

static unsigned pairs(const struct vhost_dev *d)
{
	return d->plan->n_queues / 2u;
}

int vhost_kind_own_queue(const struct vhost_dev *d)
{
	return d->plan->kind == DEVICE_NET && pairs(d) > 1 ? d->plan->n_queues : -1;
}

void vhost_kind_init(struct vhost_dev *d)
{
	struct virtio_type *t = &d->type;
	struct vu_front *f = &d->front;

	f->queues_per_unit = 1;
	d->pairs = 1;
	switch (d->plan->kind) {
	case DEVICE_DISK:
		t->name = "vhost-user disk";
		t->class_code = 0x010000;
		f->config_want = BLK_CONFIG_LEN;
		break;
	case DEVICE_NET:
		t->name = "vhost-user network";
		t->class_code = 0x020000;
		f->queues_per_unit = 2;
		break;
	case DEVICE_FS:
		t->name = "vhost-user file system";
		t->class_code = 0x018000;
		break;
	case DEVICE_VHOST_USER:
		t->name = "vhost-user device";
		t->class_code = 0xff0000;
		f->config_want = VU_CONFIG_MAX;
		f->config_any = true;
		break;
	}
}

uint64_t vhost_kind_features(const struct vhost_dev *d)
{
	uint64_t theirs = d->front.features, own = 0, types = 0;

	switch (d->plan->kind) {
	case DEVICE_DISK:
		types = FEATURES_BLK;
		if (d->plan->n_queues == 1)
			types &= ~BIT(VIRTIO_BLK_F_MQ);
		else
			own = BIT(VIRTIO_BLK_F_MQ);
		break;
	case DEVICE_NET:
		types = FEATURES_NET;
		own = BIT(VIRTIO_NET_F_STATUS) | (d->plan->has_mac ? BIT(VIRTIO_NET_F_MAC) : 0) |
		      (d->plan->mtu ? BIT(VIRTIO_NET_F_MTU) : 0) |
		      (pairs(d) > 1 ? BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ) : 0);
		break;
	case DEVICE_FS:
		break;
	case DEVICE_VHOST_USER:
		types = FEATURES_OF_TYPE;
		break;
	}
	/* Not all memory may be used for it: the driver has to ask its platform where buffers go. */
	if (d->plan->narrowed)
		own |= BIT(VIRTIO_F_ACCESS_PLATFORM);
	return (theirs & (FEATURES_ANY | types)) | own;
}

static void net_config(const struct vhost_dev *d, struct virtio_net_config *c)
{
	memcpy(c->mac, d->plan->mac, sizeof(c->mac));
	c->status = d->front.phase == VU_DOWN || d->front.phase == VU_GREETING ? 0 : VIRTIO_NET_S_LINK_UP;
	c->max_virtqueue_pairs = (uint16_t)pairs(d);
	c->mtu = d->plan->mtu;
}

uint32_t vhost_kind_config(const struct vhost_dev *d, uint8_t *config)
{
	uint32_t requests = d->plan->n_queues - 1u;
	struct virtio_net_config net = {0};

	switch (d->plan->kind) {
	case DEVICE_DISK:
		memcpy(config, d->front.config, BLK_CONFIG_LEN);
		if (d->plan->n_queues > 1)
			memcpy(config + offsetof(struct virtio_blk_config, num_queues), &d->plan->n_queues, 2);
		return BLK_CONFIG_LEN;
	case DEVICE_NET:
		net_config(d, &net);
		memcpy(config, &net, offsetof(struct virtio_net_config, speed));
		return offsetof(struct virtio_net_config, speed);
	case DEVICE_FS:
		memcpy(config, d->plan->tag, DEVICE_TAG_MAX);
		memcpy(config + DEVICE_TAG_MAX, &requests, sizeof(requests));
		return FS_CONFIG_LEN;
	case DEVICE_VHOST_USER:
		memcpy(config, d->front.config, d->front.config_len);
		return d->front.config_len;
	}
	return 0;
}

/* 5.1.6.5: the only command we take is how many pairs to use. */
static bool command(struct vhost_dev *d, const struct virtq_chain *c)
{
	struct {
		struct virtio_net_ctrl_hdr hdr;
		uint8_t pairs[2];
	} in;
	uint16_t n;

	if (seg_fetch(c->readable, c->n_readable, &in, sizeof(in)) != sizeof(in) || in.hdr.class != VIRTIO_NET_CTRL_MQ ||
	    in.hdr.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return false;
	memcpy(&n, in.pairs, sizeof(n));
	if (n == 0 || n > pairs(d))
		return false;
	if (n != d->pairs)
		d->restart = true;
	d->pairs = n;
	return true;
}

void vhost_kind_process(struct vhost_dev *d, unsigned queue)
{
	struct virtq_chain c;
	unsigned budget = DEVICE_QUEUE_SIZE_MAX;

	do {
		while (budget && virtio_pop(&d->v, queue, &c)) {
			uint8_t ack = command(d, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;

			budget--;
			virtio_push(&d->v, queue, c.head, (uint32_t)seg_fill(c.writable, c.n_writable, &ack, 1));
		}
	} while (!virtio_done(&d->v, queue) && budget);
	if (!budget)
		d->v.host->kick(d->v.host->arg);
	if (d->restart)
		vhost_sync(d);
}
