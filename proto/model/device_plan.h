/* The devices of one VM whose back-end is another process: decided from a spec that spec_check accepted, handed to the worker,
 * and checked there again. PURE. */
#pragma once
#include "bulkhead/err.h"
#include "model/mem_plan.h"

#define DEVICE_QUEUES_MAX     32u  /* of one device, to its back-end */
#define DEVICE_QUEUES_ALL     256u /* of all devices of a VM: two descriptors each */
#define DEVICE_QUEUE_SIZE_MAX 256u
#define DEVICE_TAG_MAX        36u

struct device_plan {
	char id[LIM_ID + 1];
	enum device_kind kind;
	uint16_t virtio_id; /* virtio 1.2, chapter 5 */
	uint16_t pci_segment;
	uint16_t n_queues;
	uint16_t queue_size[DEVICE_QUEUES_MAX];
	uint64_t zones; /* bit by zone of the plan: what its back-end gets */
	bool narrowed;  /* not all memory: the guest must keep its buffers there */
	bool own;       /* its back-end is one that the broker starts: qemu-storage-daemon, virtiofsd */
	bool has_mac;
	uint8_t mac[6];
	uint16_t mtu; /* 0: not given */
	char tag[DEVICE_TAG_MAX + 1];
};
_Static_assert(LIM_ZONES <= 64, "zones are one word");

/* Returns how many; ret has room for LIM_DEVICES. Devices without a back-end are left out. */
size_t device_plan_build(const struct vm_spec *spec, const struct mem_plan *plan, struct device_plan *ret);

/* What a receiver verifies before it believes them: bounds, enumerations, ids, grants of zones that can be shared only. Returns 0
 * or -EINVAL. */
int device_plan_check(const struct device_plan *d, size_t n, const struct mem_plan *plan, struct err *e);
