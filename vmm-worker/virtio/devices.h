/* The virtio devices of one machine, and their main thread. */
#pragma once
#include "dev/term.h"
#include "vhost/device.h"
#include "virtio/balloon.h"
#include "virtio/mem.h"

#include <poll.h>

#define VIRTIO_ROWS        2u /* in devices.c */
#define VIRTIO_MEM_MAX     16u
#define VIRTIO_DEVICES_MAX (VIRTIO_ROWS + 1u + VIRTIO_MEM_MAX) /* 1: the balloon */

/* What the machine was granted, as far as it concerns virtio devices. */
struct vhost_connection {
	int sock, request_sock, request_peer;
};

struct virtio_config {
	struct term *console; /* NULL: no virtio-console */
	size_t n_vhost; /* devices with a back-end */
	const struct device_plan *vhost;
	const struct vhost_connection *connection; /* of each; taken over */
	struct vhost_host vhost_host;
	size_t n_mem;   /* at most VIRTIO_MEM_MAX */
	struct mem_device *mem;
	struct balloon_device *balloon; /* NULL: none */
};

struct virtio {
	struct virtio_host host;
	int vm_fd, kick_fd; /* kick_fd: eventfd, own; ioeventfds and vCPU threads write it */
	bool rang; /* virtio_rang */
	size_t n;
	struct virtio_dev dev[VIRTIO_DEVICES_MAX];
	struct vhost_host vhost_host;
	size_t n_vhost;
	struct vhost_dev vhost[LIM_DEVICES];
	struct virtio_dev *balloon; /* one of dev; NULL: none */
	size_t first_mem, n_mem; /* dev[first_mem] and on are virtio-mem, in the order of the configuration */
};

/* Main thread, while the machine is built. memory: how to reach the guest's. */
int virtio_init(struct virtio *v, const struct virtio_config *config, const struct virtq_memory *memory, int vm_fd,
		struct pci *pci, struct err *e);

/* vCPU threads after an access, under the device lock: this one rang for something that it is to wait for. It kicks, and waits,
 * without the lock, which the main thread needs at once. */
bool virtio_rang(struct virtio *v);
void virtio_kick(struct virtio *v);

#define VIRTIO_POLL_MAX (1u + VIRTIO_DEVICES_MAX + VU_FRONT_POLL * LIM_DEVICES)
/* Main thread's loop, both under the device lock: what to wait for (writes at most VIRTIO_POLL_MAX, returns how many), and what
 * to do when one of those has something. p: the same n entries. */
size_t virtio_poll(struct virtio *v, struct pollfd *p);
void virtio_ready(struct virtio *v, const struct pollfd *p, size_t n);
/* Milliseconds until virtio_ready has something to do even if nothing comes; -1: never. */
int virtio_timeout(const struct virtio *v);

/* All descriptors of the devices with a back-end; returns how many. */
size_t virtio_list_fds(const struct virtio *v, int *fds, size_t cap);
