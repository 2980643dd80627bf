#include "virtio/mem_blocks.h"

#include <string.h>

void mem_blocks_init(struct mem_blocks *b, uint64_t start, uint64_t block_size, uint64_t n, uint64_t *bits)
{
	*b = (struct mem_blocks){.start = start, .block_size = block_size, .n = n, .bits = bits};
}

static uint64_t word(const struct mem_blocks *b, uint64_t w)
{
	return __atomic_load_n(&b->bits[w], __ATOMIC_RELAXED);
}

bool mem_blocks_has(const struct mem_blocks *b, uint64_t block)
{
	return block < b->n && (word(b, block / 64) >> block % 64 & 1);
}

uint64_t mem_blocks_run(const struct mem_blocks *b, uint64_t from, uint64_t most)
{
	bool state = mem_blocks_has(b, from);
	uint64_t n = 0;

	if (from >= b->n)
		return 0;
	if (most > b->n - from)
		most = b->n - from;
	while (n < most) {
		uint64_t at = from + n, left = 64 - at % 64;
		uint64_t v = word(b, at / 64) >> at % 64;
		uint64_t same;

		if (state)
			v = ~v;
		same = v ? (uint64_t)__builtin_ctzll(v) : 64;
		n += same < left ? same : left;
		if (same < left)
			break;
	}
	return n < most ? n : most;
}

static bool all_are(const struct mem_blocks *b, struct mem_range r, bool plugged)
{
	return mem_blocks_has(b, r.first) == plugged && mem_blocks_run(b, r.first, r.n) == r.n;
}

/* 5.15.6.2: the address is that of a block, and every block lies inside. */
static bool find_range(const struct mem_blocks *b, uint64_t addr, uint16_t n, struct mem_range *ret)
{
	uint64_t offset = addr - b->start;

	if (addr < b->start || !is_aligned(offset, b->block_size) || offset / b->block_size >= b->n || n == 0 ||
	    n > b->n - offset / b->block_size)
		return false;
	*ret = (struct mem_range){offset / b->block_size, n};
	return true;
}

uint16_t mem_blocks_judge(const struct mem_blocks *b, const struct virtio_mem_req *rq, struct mem_range *ret, uint16_t *ret_state)
{
	struct mem_range r;

	switch (rq->type) {
	case VIRTIO_MEM_REQ_PLUG:
		if (!find_range(b, rq->u.plug.addr, rq->u.plug.nb_blocks, &r) || !all_are(b, r, false))
			return VIRTIO_MEM_RESP_ERROR;
		if (b->n_plugged > b->wanted || r.n > b->wanted - b->n_plugged)
			return VIRTIO_MEM_RESP_NACK;
		break;
	case VIRTIO_MEM_REQ_UNPLUG:
		if (!find_range(b, rq->u.unplug.addr, rq->u.unplug.nb_blocks, &r) || !all_are(b, r, true))
			return VIRTIO_MEM_RESP_ERROR;
		break;
	case VIRTIO_MEM_REQ_UNPLUG_ALL:
		r = (struct mem_range){0, b->n};
		break;
	case VIRTIO_MEM_REQ_STATE:
		if (!find_range(b, rq->u.state.addr, rq->u.state.nb_blocks, &r))
			return VIRTIO_MEM_RESP_ERROR;
		*ret_state = all_are(b, r, true)    ? VIRTIO_MEM_STATE_PLUGGED
			     : all_are(b, r, false) ? VIRTIO_MEM_STATE_UNPLUGGED
						    : VIRTIO_MEM_STATE_MIXED;
		break;
	default:
		return VIRTIO_MEM_RESP_ERROR;
	}
	*ret = r;
	return VIRTIO_MEM_RESP_ACK;
}

void mem_blocks_set(struct mem_blocks *b, struct mem_range r, bool plugged)
{
	for (uint64_t i = r.first, end = r.first + r.n; i < end;) {
		uint64_t n = 64 - i % 64 < end - i ? 64 - i % 64 : end - i;
		uint64_t mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << i % 64;
		uint64_t old = word(b, i / 64), v = plugged ? old | mask : old & ~mask;

		__atomic_store_n(&b->bits[i / 64], v, __ATOMIC_RELAXED);
		b->n_plugged += (uint64_t)__builtin_popcountll(v) - (uint64_t)__builtin_popcountll(old);
		i += n;
	}
}
