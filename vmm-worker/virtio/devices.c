#include "virtio/devices.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

extern const struct virtio_type virtio_rng, virtio_console, virtio_mem, virtio_balloon;

#define BALLOON_SLOT  3u
#define MEM_LAST_SLOT 31u /* from there downwards */

/* All there are: where each sits if the machine has it. */
static const struct {
	const struct virtio_type *type;
	uint16_t segment;
	uint8_t slot;
} rows[] = {
    {&virtio_rng, 0, 1},
    {&virtio_console, 0, 2},
};
_Static_assert(ARRAY_LEN(rows) == VIRTIO_ROWS, "one place per row");

#define FIRST_VHOST_SLOT 4u /* below are those that are always in the same place */

static void kick(void *arg)
{
	static const uint64_t one = 1;
	struct virtio *v = arg;
	ssize_t n = write(v->kick_fd, &one, sizeof(one));

	(void)n; /* can only fail when it is kicked already */
}

bool virtio_rang(struct virtio *v)
{
	bool rang = v->rang;

	v->rang = false;
	return rang;
}

void virtio_kick(struct virtio *v)
{
	kick(v);
}

static void await(void *arg)
{
	((struct virtio *)arg)->rang = true;
}

static void ring(int fd)
{
	static const uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n;
}

static int ioeventfd(void *arg, uint64_t addr, int fd, bool assign)
{
	struct virtio *v = arg;
	struct kvm_ioeventfd io = {
	    .addr = addr, .fd = fd < 0 ? v->kick_fd : fd, .flags = assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN};

	/* len 0: writes of any width */
	return ioctl(v->vm_fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}

static int add(struct virtio *v, const struct virtio_type *type, struct pci *pci, uint16_t segment, unsigned slot, struct err *e)
{
	int r = virtio_pci_init(&v->dev[v->n], type, &v->host, pci, segment, (uint8_t)slot, e);

	if (r < 0)
		return err_wrap(e, "%s", type->name);
	v->n++;
	return 0;
}

/* In the lowest free slot of its segment. */
static int slot_for(const struct pci *pci, uint16_t segment)
{
	for (unsigned s = FIRST_VHOST_SLOT; segment < pci->n_segments && s < PCI_SLOTS; s++)
		if (!pci->segment[segment].slot[s])
			return (int)s;
	return -1;
}

static int add_vhost(struct virtio *v, const struct virtio_config *config, struct pci *pci, struct err *e)
{
	v->vhost_host = config->vhost_host;
	v->n_vhost = 0;
	for (size_t i = 0; i < config->n_vhost; i++) {
		const struct vhost_connection *c = &config->connection[i];
		struct vhost_dev *d = &v->vhost[i];
		int slot = slot_for(pci, config->vhost[i].pci_segment), r;

		if (slot < 0)
			return err_set(e, -ENOSPC, "device %s: no free place on PCI segment %u", config->vhost[i].id,
				       config->vhost[i].pci_segment);
		r = vhost_init(d, &config->vhost[i], &v->vhost_host, e);
		if (r < 0)
			return r;
		vhost_connect(d, c->sock, c->request_sock, c->request_peer);
		r = vhost_greet(d, e);
		if (r == 0)
			r = vhost_add(d, &v->host, pci, (uint8_t)slot, e);
		if (r < 0)
			return r;
		v->n_vhost++;
	}
	return 0;
}

int virtio_init(struct virtio *v, const struct virtio_config *config, const struct virtq_memory *memory, int vm_fd,
		struct pci *pci, struct err *e)
{
	v->host = (struct virtio_host){*memory, kick, ioeventfd, await, ring, v};
	v->vm_fd = vm_fd;
	v->n = v->n_mem = 0;
	v->rang = false;
	v->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->kick_fd < 0)
		return err_sys(e, -errno, "eventfd");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct virtio_dev *d = &v->dev[v->n];
		int r;

		if (rows[i].type->wanted && !rows[i].type->wanted(config))
			continue;
		r = add(v, rows[i].type, pci, rows[i].segment, rows[i].slot, e);
		if (r < 0)
			return r;
		if (d->type->init)
			d->type->init(d, config);
	}
	v->balloon = NULL;
	if (config->balloon) {
		int r = add(v, &virtio_balloon, pci, 0, BALLOON_SLOT, e);

		if (r < 0)
			return r;
		v->balloon = &v->dev[v->n - 1];
		virtio_balloon_attach(v->balloon, config->balloon);
	}
	v->first_mem = v->n;
	for (size_t i = 0; i < config->n_mem; i++) {
		int r = add(v, &virtio_mem, pci, 0, MEM_LAST_SLOT - (unsigned)i, e);

		if (r < 0)
			return r;
		virtio_mem_attach(&v->dev[v->n - 1], &config->mem[i]);
		v->n_mem++;
	}
	return add_vhost(v, config, pci, e);
}

size_t virtio_poll(struct virtio *v, struct pollfd *p)
{
	p[0] = (struct pollfd){.fd = v->kick_fd, .events = POLLIN};
	for (size_t i = 0; i < v->n; i++) {
		struct virtio_dev *d = &v->dev[i];

		p[1 + i] = (struct pollfd){.fd = -1};
		if (d->type->wait_for)
			p[1 + i].fd = d->type->wait_for(d, &p[1 + i].events);
	}
	for (size_t i = 0; i < v->n_vhost; i++)
		vhost_poll(&v->vhost[i], &p[1 + v->n + i * VU_FRONT_POLL]);
	return 1 + v->n + v->n_vhost * VU_FRONT_POLL;
}

static void work_on(struct virtio_dev *d)
{
	virtio_pci_wire(d);
	for (unsigned q = 0; q < d->type->n_queues && virtio_is_live(d); q++)
		if (d->queue[q].enabled && d->type->process)
			d->type->process(d, q);
}

static void work(struct virtio *v)
{
	uint64_t n;

	if (read(v->kick_fd, &n, sizeof(n)) < 0)
		return;
	for (size_t i = 0; i < v->n; i++)
		work_on(&v->dev[i]);
	for (size_t i = 0; i < v->n_vhost; i++) {
		work_on(&v->vhost[i].v);
		vhost_sync(&v->vhost[i]);
	}
}

void virtio_ready(struct virtio *v, const struct pollfd *p, size_t n)
{
	if (p[0].revents)
		work(v);
	for (size_t i = 0; i < v->n; i++)
		if (p[1 + i].revents)
			v->dev[i].type->ready(&v->dev[i], p[1 + i].revents);
	for (size_t i = 0; i < v->n_vhost && 1 + v->n + (i + 1) * VU_FRONT_POLL <= n; i++)
		vhost_work(&v->vhost[i], &p[1 + v->n + i * VU_FRONT_POLL], vhost_now());
}

int virtio_timeout(const struct virtio *v)
{
	uint64_t until = UINT64_MAX, now;

	for (size_t i = 0; i < v->n_vhost; i++)
		if (vu_front_until(&v->vhost[i].front) < until)
			until = vu_front_until(&v->vhost[i].front);
	if (until == UINT64_MAX)
		return -1;
	now = vhost_now();
	return until <= now ? 0 : (int)(until - now);
}

static void list(int fd, int *fds, size_t cap, size_t *n)
{
	if (fd >= 0 && *n < cap)
		fds[(*n)++] = fd;
}

size_t virtio_list_fds(const struct virtio *v, int *fds, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_vhost; i++) {
		const struct vhost_dev *d = &v->vhost[i];

		list(d->front.sock, fds, cap, &n);
		list(d->front.request_sock, fds, cap, &n);
		for (unsigned q = 0; q < d->plan->n_queues; q++) {
			list(d->kick[q], fds, cap, &n);
			list(d->call[q], fds, cap, &n);
		}
	}
	return n;
}
