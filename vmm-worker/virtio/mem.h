/* virtio-mem (5.15): the device's face towards the guest. What a request means for memory is done by hotplug.c, which takes one
 * job after the other; everything here runs under the device lock. */
#pragma once
#include "virtio/device.h"
#include "virtio/mem_blocks.h"

/* A request that was judged and may be done. The guest waits for its answer. */
struct mem_job {
	bool there;
	uint16_t type;
	unsigned epoch; /* of the queue: if it has another one by then, nobody waits for the answer */
	struct mem_range range;
};

struct mem_device {
	struct mem_blocks *blocks;
	bool has_node;
	uint16_t node; /* proximity domain of the guest's NUMA node */
	uint64_t region_size;
	bool driver;  /* DRIVER_OK was seen, and no reset since */
	bool changed; /* something to tell the broker */
	struct mem_job job;
	uint64_t refused; /* requests that ended in anything but ACK */
};

/* What virtio_init needs to know about each; m must live as long as the machine. */
void virtio_mem_attach(struct virtio_dev *d, struct mem_device *m);

/* How many blocks the guest is to have from now on; tells it. */
void virtio_mem_request(struct virtio_dev *d, uint64_t blocks);

/* Answers the job with a VIRTIO_MEM_RESP_ and looks for the next one. */
void virtio_mem_finish(struct virtio_dev *d, uint16_t response);

/* Looks for a request that may have come without anybody having been told yet. true: there is a job. */
bool virtio_mem_look(struct virtio_dev *d);
