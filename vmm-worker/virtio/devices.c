#include "virtio/devices.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

extern const struct virtio_type virtio_rng, virtio_console;

/* All there are: where each sits if the machine has it. */
static const struct {
	const struct virtio_type *type;
	uint16_t segment;
	uint8_t slot;
} rows[] = {
    {&virtio_rng, 0, 1},
    {&virtio_console, 0, 2},
};
_Static_assert(ARRAY_LEN(rows) == VIRTIO_DEVICES_MAX, "one place per row");

static void kick(void *arg)
{
	static const uint64_t one = 1;
	struct virtio *v = arg;
	ssize_t n = write(v->kick_fd, &one, sizeof(one));

	(void)n; /* can only fail when it is kicked already */
}

static int ioeventfd(void *arg, uint64_t addr, bool assign)
{
	struct virtio *v = arg;
	struct kvm_ioeventfd io = {.addr = addr, .fd = v->kick_fd, .flags = assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN};

	/* len 0: writes of any width */
	return ioctl(v->vm_fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}

int virtio_init(struct virtio *v, const struct virtio_config *config, const struct virtq_memory *memory, int vm_fd,
		struct pci *pci, struct err *e)
{
	v->host = (struct virtio_host){*memory, kick, ioeventfd, v};
	v->vm_fd = vm_fd;
	v->n = 0;
	v->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->kick_fd < 0)
		return err_sys(e, -errno, "eventfd");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct virtio_dev *d = &v->dev[v->n];
		int r;

		if (rows[i].type->wanted && !rows[i].type->wanted(config))
			continue;
		r = virtio_pci_init(d, rows[i].type, &v->host, pci, rows[i].segment, rows[i].slot, e);
		if (r < 0)
			return err_wrap(e, "%s", rows[i].type->name);
		if (d->type->init)
			d->type->init(d, config);
		v->n++;
	}
	return 0;
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
	return 1 + v->n;
}

static void work(struct virtio *v)
{
	uint64_t n;

	if (read(v->kick_fd, &n, sizeof(n)) < 0)
		return;
	for (size_t i = 0; i < v->n; i++) {
		struct virtio_dev *d = &v->dev[i];

		virtio_pci_wire(d);
		for (unsigned q = 0; q < d->type->n_queues && virtio_is_live(d); q++)
			if (d->queue[q].enabled && d->type->process)
				d->type->process(d, q);
	}
}

void virtio_ready(struct virtio *v, const struct pollfd *p, size_t n)
{
	if (p[0].revents)
		work(v);
	for (size_t i = 0; i + 1 < n; i++)
		if (p[1 + i].revents)
			v->dev[i].type->ready(&v->dev[i], p[1 + i].revents);
}
