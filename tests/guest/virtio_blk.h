/* A driver for virtio-blk (virtio 1.2, 5.2): many requests on several queues, completions polled or announced by interrupts. One
 * device is in use at a time. */
#pragma once
#include "virtio.h"

#define SECTOR         512u
#define BLK_QUEUES_MAX 4u
#define BLK_DEPTH_MAX  256u       /* of one queue */
#define BLK_DATA       (4u << 20) /* bytes of all requests together */

enum blk_op { BLK_READ = 0, BLK_WRITE = 1, BLK_FLUSH = 4 };

struct blk {
	struct vpci pci;
	uint64_t features, capacity;            /* in sectors */
	unsigned queues_max, queues, depth_max; /* depth_max: of one queue */
	uint64_t kicks;
};

const char *blk_find(unsigned n, struct blk **ret);
unsigned blk_count(void);
/* From reset to running, with so many queues. */
const char *blk_start(struct blk *d, unsigned queues, bool irq);
uint8_t *blk_data(void); /* BLK_DATA bytes */
void blk_submit(struct blk *d, unsigned queue, unsigned slot, enum blk_op op, uint64_t sector, const void *data, uint32_t len);
/* Tells the device what was submitted to a queue, if it wants to be told. */
void blk_kick(struct blk *d, unsigned queue);
/* One completion of a queue. 1: *ret_slot with *ret_status; 0: none; -1: the device completed what it was not asked for. */
int blk_reap(struct blk *d, unsigned queue, unsigned *ret_slot, uint8_t *ret_status);
/* All that has come is reaped: asks for an interrupt at the next one. false: there is one already. */
bool blk_ask_irq(struct blk *d);
