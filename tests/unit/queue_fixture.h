/* A guest of 64 KiB with a virtqueue in it, as a driver writes one. Memory lies in two zones: the border is at ZONE_BORDER. */
#pragma once
#include "virtio/queue.h"

#include <linux/virtio_ring.h>

#define GUEST_LEN   0x10000u
#define ZONE_BORDER 0x8000u
#define AT_DESC     0x1000u
#define AT_AVAIL    0x2000u
#define AT_USED     0x3000u
#define AT_INDIRECT 0x4000u
#define Q_SIZE      8u

extern uint8_t guest[GUEST_LEN];
extern const struct virtq_memory guest_memory;

/* Zeroes the guest and sets the addresses of *q, which is not enabled yet. */
void guest_reset(struct virtq *q);
void guest_desc(uint64_t table, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
/* Appends to the available ring. */
void guest_offer(uint16_t head);
struct vring_avail *guest_avail(void);
struct vring_used *guest_used(void);
