#include "queue_fixture.h"

#include <string.h>

uint8_t guest[GUEST_LEN] __attribute__((aligned(4096)));

static void *chunk(const void *arg, uint64_t at, uint64_t *len)
{
	uint64_t end = at < ZONE_BORDER ? ZONE_BORDER : GUEST_LEN;

	if (at >= GUEST_LEN || *len == 0)
		return NULL;
	if (*len > end - at)
		*len = end - at;
	return guest + at;
}

const struct virtq_memory guest_memory = {chunk, NULL};

void guest_reset(struct virtq *q)
{
	memset(guest, 0, sizeof(guest));
	*q = (struct virtq){.desc = AT_DESC, .avail = AT_AVAIL, .used = AT_USED, .size = Q_SIZE};
}

void guest_desc(uint64_t table, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc d = {.addr = addr, .len = len, .flags = flags, .next = next};

	memcpy(guest + table + i * sizeof(d), &d, sizeof(d));
}

struct vring_avail *guest_avail(void)
{
	return (struct vring_avail *)(guest + AT_AVAIL);
}

struct vring_used *guest_used(void)
{
	return (struct vring_used *)(guest + AT_USED);
}

void guest_offer(uint16_t head)
{
	struct vring_avail *a = guest_avail();

	a->ring[a->idx % Q_SIZE] = head;
	a->idx++;
}
