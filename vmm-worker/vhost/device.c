#include "vhost/device.h"
#include "vhost/intake.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define OWN_QUEUE_SIZE 64u

uint64_t vhost_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct vhost_dev *of(struct virtio_dev *v)
{
	return (struct vhost_dev *)((uint8_t *)v - offsetof(struct vhost_dev, v));
}

static void ring_fd(int fd)
{
	static const uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n; /* can only fail when it has been rung 2^64 - 2 times */
}

static bool drain_fd(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

/* --- interrupts --- */

static bool irqfd(struct vhost_dev *d, unsigned q, bool assign)
{
	struct kvm_irqfd i = {.fd = (uint32_t)d->call[q], .gsi = d->gsi[q], .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

	return ioctl(d->host->irq->vm_fd, KVM_IRQFD, &i) == 0;
}

static bool route(struct vhost_dev *d, unsigned q, const struct msix_entry *m)
{
	struct irq *irq = d->host->irq;
	uint32_t gsi = d->gsi[q];

	if (irq->route[gsi].used && irq->route[gsi].addr == m->addr && irq->route[gsi].data == m->data)
		return true;
	irq_route_set(irq, gsi, m->addr, m->data);
	if (irq_routes_commit(irq) == 0)
		return true;
	irq_route_clear(irq, gsi); /* the guest's nonsense: no interrupts from this queue */
	return false;
}

/* While the vector is open, the back-end's eventfd interrupts the guest without us. While it is not, the eventfd remembers, and
 * KVM looks at it when it is connected again. Any thread: a mask must be in force when the guest's write returns. */
static void update_irq(struct vhost_dev *d, unsigned q)
{
	const struct msix *m = &d->v.pci.msix;
	uint16_t vector = d->v.queue_vector[q];
	bool open = msix_is_open(m, vector) && route(d, q, &m->entry[vector]);

	if (open != d->direct[q] && irqfd(d, q, open))
		d->direct[q] = open;
}

static void rerouted(void *owner, unsigned vector)
{
	struct vhost_dev *d = owner;

	for (unsigned q = 0; q < d->plan->n_queues; q++)
		if (d->v.queue_vector[q] == vector)
			update_irq(d, q);
}

static void collect(void *owner)
{
	struct vhost_dev *d = owner;

	for (unsigned q = 0; q < d->plan->n_queues; q++)
		if (!d->direct[q] && drain_fd(d->call[q]))
			msix_trigger(&d->v.pci.msix, d->v.queue_vector[q]);
}

static void vector_changed(struct virtio_dev *v, unsigned queue)
{
	struct vhost_dev *d = of(v);

	if (queue < d->plan->n_queues)
		update_irq(d, queue);
}

/* --- the driver's side --- */

static int doorbell(struct virtio_dev *v, unsigned queue)
{
	struct vhost_dev *d = of(v);

	return queue < d->plan->n_queues ? d->kick[queue] : -1;
}

static bool is_active(const struct vhost_dev *d)
{
	switch (d->front.phase) {
	case VU_STARTING:
	case VU_RUNNING:
	case VU_STOPPING:
		return true;
	case VU_TELLING:
		return d->front.after == VU_RUNNING;
	case VU_DOWN:
	case VU_GREETING:
	case VU_IDLE:
		break;
	}
	return false;
}

static void reset(struct virtio_dev *v)
{
	struct vhost_dev *d = of(v);

	for (unsigned q = 0; q < d->plan->n_queues; q++)
		update_irq(d, q);
	d->pairs = 1;
	d->fresh = true;
	d->restart = d->refused = d->bases = false;
	if (!is_active(d))
		return;
	d->stopping = true;
	v->host->kick(v->host->arg);
}

static bool stopping(const struct virtio_dev *v)
{
	const struct vhost_dev *d = (const struct vhost_dev *)((const uint8_t *)v - offsetof(struct vhost_dev, v));

	return d->stopping;
}

static void config_read(struct virtio_dev *v, uint8_t *config)
{
	vhost_kind_config(of(v), config);
}

static void process(struct virtio_dev *v, unsigned queue)
{
	if ((int)queue == vhost_kind_own_queue(of(v)))
		vhost_kind_process(of(v), queue);
}

/* --- start and stop --- */

static void tell(struct vhost_dev *d, bool up, const char *text)
{
	d->told_up = up;
	d->tell = true;
	snprintf(d->text, sizeof(d->text), "%.*s", (int)sizeof(d->text) - 1, text);
}

static bool is_granted(const struct vhost_dev *d, uint64_t at, uint64_t len)
{
	for (unsigned i = 0; i < d->front.n_map; i++) {
		const struct vu_region *r = &d->map[i].region;

		if (at >= r->guest_addr && at - r->guest_addr < r->size && len <= r->size - (at - r->guest_addr))
			return true;
	}
	return false;
}

static bool ring_granted(const struct vhost_dev *d, const struct virtq *q)
{
	return is_granted(d, q->desc, sizeof(struct vring_desc) * (uint64_t)q->size) &&
	       is_granted(d, q->avail, sizeof(uint16_t) * (3 + (uint64_t)q->size)) &&
	       is_granted(d, q->used, 6 + sizeof(struct vring_used_elem) * (uint64_t)q->size);
}

static uint16_t ring_index(const struct vhost_dev *d, uint64_t at)
{
	uint64_t len = sizeof(uint16_t);
	const uint16_t *idx = d->v.host->memory.chunk(d->v.host->memory.arg, at, &len);

	return idx && len == sizeof(*idx) ? __atomic_load_n(idx, __ATOMIC_ACQUIRE) : 0;
}

/* Where to go on after a back-end that can no longer be asked: with inflight tracking it knows itself what lies before that. */
static uint16_t used_index(const struct vhost_dev *d, const struct virtq *q)
{
	return ring_index(d, q->used + offsetof(struct vring_used, idx));
}

/* Of more than one, it may have done a later one and not an earlier one; the rings do not tell. */
static bool order_matters(const struct vhost_dev *d)
{
	for (unsigned i = 0; i < d->plan->n_queues; i++) {
		const struct virtq *q = &d->v.queue[i];

		if (q->enabled && (uint16_t)(ring_index(d, q->avail + offsetof(struct vring_avail, idx)) - used_index(d, q)) > 1)
			return true;
	}
	return false;
}

static bool fill_rings(struct vhost_dev *d)
{
	for (unsigned i = 0; i < d->plan->n_queues; i++) {
		const struct virtq *q = &d->v.queue[i];
		struct vu_ring *r = &d->front.ring[i];

		r->on = q->enabled;
		if (!r->on)
			continue;
		if (!ring_granted(d, q))
			return false;
		r->enabled = d->plan->kind != DEVICE_NET || i < 2u * d->pairs;
		r->size = q->size;
		r->desc = q->desc + VHOST_USER_BASE;
		r->avail = q->avail + VHOST_USER_BASE;
		r->used = q->used + VHOST_USER_BASE;
		if (d->fresh)
			r->base = 0;
		else if (!d->bases)
			r->base = used_index(d, q);
	}
	return true;
}

static void start(struct vhost_dev *d)
{
	d->restart = false;
	vhost_memory_all(d);
	if (!fill_rings(d)) {
		d->refused = true;
		tell(d, true, "the guest put a queue into memory that is not granted to the back-end");
		virtio_needs_reset(&d->v);
		return;
	}
	d->changed.there = false;
	if (d->plan->kind == DEVICE_FS && !d->fresh && !d->bases)
		tell(d, true,
		     "connected; what the guest had mounted is lost with the back-end before: it has to unmount it, and mount it "
		     "anew");
	else if (d->plan->kind != DEVICE_NET && !d->fresh && !d->bases &&
		 !(d->front.protocol & UINT64_C(1) << VU_PF_INFLIGHT_SHMFD) && order_matters(d))
		tell(d, true,
		     "connected; it keeps no record of requests in flight, and there were several: some may be lost or done "
		     "twice");
	d->front.accepted = d->v.accepted;
	vu_front_start(&d->front, d->fresh, vhost_now());
	d->bases = false;
}

void vhost_kick(struct vhost_dev *d)
{
	for (unsigned i = 0; i < d->plan->n_queues; i++)
		if (d->front.ring[i].on)
			ring_fd(d->kick[i]);
}

/* Requests that were made, and answers that came, while nobody listened. */
static void wake_rings(struct vhost_dev *d)
{
	vhost_kick(d);
	for (unsigned i = 0; i < d->plan->n_queues && !d->fresh; i++)
		if (d->front.ring[i].on)
			ring_fd(d->call[i]);
	d->fresh = d->stopping; /* a driver that has reset it while it was started begins anew all the same */
}

/* A new connection: is it the same device still? */
static bool greeted(struct vhost_dev *d)
{
	uint64_t lost = d->promised & ~d->front.features;

	if (d->front.n_map > d->front.max_map) {
		char why[80];

		snprintf(why, sizeof(why), "it takes %u regions of memory, there are %u: use fewer zones", d->front.max_map,
			 d->front.n_map);
		vu_front_drop(&d->front, why);
		return false;
	}
	if (d->plan->kind == DEVICE_DISK && d->front.config_len == 0) {
		vu_front_drop(&d->front, "it does not tell the disk's configuration");
		return false;
	}
	if (lost || (d->type.config_len && d->plan->kind == DEVICE_VHOST_USER && d->front.config_len != d->type.config_len)) {
		char why[80];

		snprintf(why, sizeof(why), "it can less than the one before (features %#llx are missing)",
			 (unsigned long long)lost);
		vu_front_drop(&d->front, why);
		return false;
	}
	d->greeted = true;
	d->trying = false;
	return true;
}

static void went_down(struct vhost_dev *d)
{
	d->stopping = d->bases = d->changed.there = false;
	d->drain = VHOST_BUSY;
	if (d->greeted && d->plan->kind == DEVICE_NET)
		virtio_config_changed(&d->v);
	d->greeted = d->trying = false;
	if (!d->told_up && d->tell)
		return;
	d->losses++;
	tell(d, false, d->front.why.text);
}

static void came_up(struct vhost_dev *d)
{
	if (!greeted(d))
		return;
	tell(d, true, "connected");
	if (d->plan->kind == DEVICE_NET)
		virtio_config_changed(&d->v);
}

static void stop(struct vhost_dev *d)
{
	vu_front_stop(&d->front, vhost_now());
}

/* One look; true: look again. */
static bool sync_once(struct vhost_dev *d)
{
	bool live = virtio_is_live(&d->v) && !d->stopping && !d->refused;
	enum vu_phase before = d->front.phase;

	switch (before) {
	case VU_DOWN:
		if (d->told_up || d->stopping || d->greeted || d->trying)
			went_down(d);
		return false;
	case VU_GREETING:
	case VU_STARTING:
	case VU_STOPPING:
	case VU_TELLING:
		return false;
	case VU_IDLE:
		d->drain = VHOST_BUSY;
		if (!d->greeted)
			came_up(d);
		d->stopping = false;
		if (d->front.phase == VU_IDLE && live)
			start(d);
		else if (d->front.phase == VU_IDLE && d->changed.there)
			vhost_memory_tell(d);
		break;
	case VU_RUNNING:
		if (!live || d->restart || (d->changed.there && vhost_memory_tell(d)))
			stop(d);
		break;
	}
	return d->front.phase != before;
}

void vhost_sync(struct vhost_dev *d)
{
	for (;;) {
		enum vu_phase before = d->front.phase;
		bool again = sync_once(d);

		/* Where nothing had to be waited for, a phase is over at once. */
		if (before == VU_IDLE && d->front.phase == VU_RUNNING)
			wake_rings(d);
		if (before == VU_RUNNING && d->front.phase == VU_IDLE)
			d->bases = true;
		if (!again)
			return;
	}
}

static void look_at_config(struct vhost_dev *d)
{
	if (!d->front.config_changed || !d->greeted)
		return;
	d->front.config_changed = false;
	virtio_config_changed(&d->v);
}

void vhost_poll(const struct vhost_dev *d, struct pollfd p[VU_FRONT_POLL])
{
	vu_front_poll(&d->front, p);
}

void vhost_work(struct vhost_dev *d, const struct pollfd p[VU_FRONT_POLL], uint64_t now)
{
	enum vu_phase before = d->front.phase;

	if (before == VU_DOWN)
		return;
	vu_front_work(&d->front, p, now);
	if (before == VU_STARTING && d->front.phase == VU_RUNNING)
		wake_rings(d);
	if (before == VU_STOPPING && d->front.phase == VU_IDLE)
		d->bases = true;
	look_at_config(d);
	if (d->front.phase != before)
		vhost_sync(d);
}

/* --- making --- */

int vhost_init(struct vhost_dev *d, const struct device_plan *plan, const struct vhost_host *host, struct err *e)
{
	d->plan = plan;
	d->host = host;
	d->fresh = true;
	vu_front_init(&d->front);
	d->front.n_queues = plan->n_queues;
	d->front.records = plan->own;
	vhost_kind_init(d);
	for (unsigned q = 0; q < plan->n_queues; q++) {
		int gsi = irq_gsi_alloc(host->irq);

		d->kick[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		d->call[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (d->kick[q] < 0 || d->call[q] < 0 || gsi < 0)
			return err_sys(e, gsi < 0 ? gsi : -errno, "device %s: queue %u", plan->id, q);
		d->gsi[q] = (uint32_t)gsi;
		d->front.ring[q].kick = d->kick[q];
		d->front.ring[q].call = d->call[q];
	}
	d->front.map = d->map;
	return 0;
}

void vhost_connect(struct vhost_dev *d, int sock, int request_sock, int request_peer)
{
	if (d->front.phase != VU_DOWN || d->front.hopeless) {
		d->front.hopeless |= !vu_intake_close(&sock);
		fd_cleanup(&request_sock);
		fd_cleanup(&request_peer);
		return;
	}
	d->greeted = false;
	vhost_memory_all(d);
	d->trying = true;
	vu_front_connect(&d->front, sock, request_sock, request_peer, vhost_now());
}

int vhost_greet(struct vhost_dev *d, struct err *e)
{
	struct pollfd p[VU_FRONT_POLL];

	while (d->front.phase == VU_GREETING) {
		uint64_t now = vhost_now(), until = vu_front_until(&d->front);

		vu_front_poll(&d->front, p);
		if (poll(p, VU_FRONT_POLL, until > now ? (int)(until - now < VU_ANSWER_MS ? until - now : VU_ANSWER_MS) : 0) <
			0 &&
		    errno != EINTR)
			return err_sys(e, -errno, "poll");
		vu_front_work(&d->front, p, vhost_now());
	}
	if (d->front.phase == VU_IDLE && greeted(d)) {
		d->front.config_changed = false;
		d->told_up = true;
		return 0;
	}
	return err_set(e, -EIO, "device %s: its back-end cannot be used: %s", d->plan->id, d->front.why.text);
}

int vhost_add(struct vhost_dev *d, const struct virtio_host *host, struct pci *pci, uint8_t slot, struct err *e)
{
	int own = vhost_kind_own_queue(d), r;
	uint8_t config[VU_CONFIG_MAX] = {0};
	uint64_t features = vhost_kind_features(d);

	d->type.id = d->plan->virtio_id;
	d->type.n_queues = (uint16_t)(d->plan->n_queues + (own >= 0 ? 1 : 0));
	memcpy(d->queue_size, d->plan->queue_size, sizeof(d->plan->queue_size));
	d->queue_size[d->plan->n_queues] = OWN_QUEUE_SIZE;
	d->type.queue_sizes = d->queue_size;
	d->type.config_len = vhost_kind_config(d, config);
	d->type.reset = reset;
	d->type.config_read = config_read;
	d->type.process = process;
	d->type.doorbell = doorbell;
	d->type.vector_changed = vector_changed;
	d->type.stopping = stopping;
	d->promised = features & d->front.features;
	r = virtio_pci_init(&d->v, &d->type, host, pci, d->plan->pci_segment, slot, e);
	if (r < 0)
		return err_wrap(e, "device %s", d->plan->id);
	d->v.offered = features;
	d->v.pci.msix.rerouted = rerouted;
	d->v.pci.msix.collect = collect;
	d->v.pci.msix.owner = d;
	return 0;
}
