/* vhost-user: what a front-end (us) and a back-end (a device's daemon) say on their Unix stream socket, as QEMU's
 * docs/interop/vhost-user.rst defines it. All integers in the byte order of the host, which is the guest's here. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Requests of the front-end. */
#define VU_GET_FEATURES          1u
#define VU_SET_FEATURES          2u
#define VU_SET_OWNER             3u
#define VU_SET_MEM_TABLE         5u
#define VU_SET_VRING_NUM         8u
#define VU_SET_VRING_ADDR        9u
#define VU_SET_VRING_BASE        10u
#define VU_GET_VRING_BASE        11u
#define VU_SET_VRING_KICK        12u
#define VU_SET_VRING_CALL        13u
#define VU_SET_VRING_ERR         14u
#define VU_GET_PROTOCOL_FEATURES 15u
#define VU_SET_PROTOCOL_FEATURES 16u
#define VU_GET_QUEUE_NUM         17u
#define VU_SET_VRING_ENABLE      18u
#define VU_SET_BACKEND_REQ_FD    21u
#define VU_GET_CONFIG            24u
#define VU_GET_INFLIGHT_FD       31u
#define VU_SET_INFLIGHT_FD       32u
#define VU_RESET_DEVICE          34u
#define VU_GET_MAX_MEM_SLOTS     36u
#define VU_ADD_MEM_REG           37u
#define VU_REM_MEM_REG           38u
#define VU_SET_STATUS            39u

/* Requests of the back-end, on a socket of their own. */
#define VU_BACKEND_CONFIG_CHANGE 2u

/* struct vu_hdr.flags */
#define VU_VERSION      0x1u
#define VU_VERSION_MASK 0x3u
#define VU_REPLY        0x4u
#define VU_NEED_REPLY   0x8u

/* Virtio feature bit that says: there are protocol features. Never shown to a guest. */
#define VU_F_PROTOCOL_FEATURES 30u

/* Protocol feature bits. */
#define VU_PF_MQ                  0u
#define VU_PF_REPLY_ACK           3u
#define VU_PF_BACKEND_REQ         5u
#define VU_PF_CONFIG              9u
#define VU_PF_INFLIGHT_SHMFD      12u
#define VU_PF_RESET_DEVICE        13u
#define VU_PF_CONFIGURE_MEM_SLOTS 15u
#define VU_PF_STATUS              16u

struct vu_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload behind it */
};
_Static_assert(sizeof(struct vu_hdr) == 12, "vhost-user.rst, header");

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};
_Static_assert(sizeof(struct vu_vring_state) == 8, "vhost-user.rst, a vring state description");

struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc, used, avail; /* front-end ("user") addresses */
	uint64_t log;
};
_Static_assert(sizeof(struct vu_vring_addr) == 40, "vhost-user.rst, a vring address description");
_Static_assert(offsetof(struct vu_vring_addr, used) == 16, "vhost-user.rst, a vring address description");
_Static_assert(offsetof(struct vu_vring_addr, avail) == 24, "vhost-user.rst, a vring address description");

#define VU_VRING_NO_FD 0x100u /* SET_VRING_KICK, CALL, ERR: the u64 is the index, and this if no descriptor comes with it */

struct vu_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr;   /* by which rings are named */
	uint64_t mmap_offset; /* where it begins in its descriptor */
};
_Static_assert(sizeof(struct vu_region) == 32, "vhost-user.rst, memory region description");

#define VU_REGIONS_MAX 8u /* in one table, and descriptors in one message */

struct vu_mem_table {
	uint32_t n;
	uint32_t padding;
	struct vu_region region[VU_REGIONS_MAX];
};
_Static_assert(offsetof(struct vu_mem_table, region) == 8, "vhost-user.rst, multiple memory regions description");

struct vu_mem_reg {
	uint64_t padding;
	struct vu_region region;
};
_Static_assert(sizeof(struct vu_mem_reg) == 40, "vhost-user.rst, single memory region description");

#define VU_CONFIG_MAX 256u

struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VU_CONFIG_MAX];
};
_Static_assert(offsetof(struct vu_config, data) == 12, "vhost-user.rst, virtio device config space");

/* The last four bytes are padding that QEMU sends and some others do not. */
struct vu_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t padding;
};
#define VU_INFLIGHT_SHORT 20u
_Static_assert(sizeof(struct vu_inflight) == 24, "vhost-user.rst, inflight description");
_Static_assert(offsetof(struct vu_inflight, padding) == VU_INFLIGHT_SHORT, "vhost-user.rst, inflight description");
