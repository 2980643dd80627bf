/* Fuzz target: the device's side of a virtqueue. The input is the guest's memory, which begins with the available ring; its first
 *four bytes say how the queue is set up. Every chain that comes out is read and written whole, so that the sanitizers see a
 *segment that is not the guest's.
 *
 *	meson setup build/fuzz -Dfuzz=true && ninja -C build/fuzz tests/fuzz/fuzz_queue      (clang: libFuzzer; gcc: reads files)
 *	mkdir corpus && build/fuzz/tests/fuzz/fuzz_queue corpus
 */
#include "fuzz.h"

#include "virtio/queue.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_LEN 0x4000u

struct memory {
	uint8_t *low, *high; /* two zones, each on its own heap block */
};

static void *chunk(const void *arg, uint64_t at, uint64_t *len)
{
	const struct memory *m = arg;
	uint64_t half = MEMORY_LEN / 2, end = at < half ? half : MEMORY_LEN;

	if (at >= MEMORY_LEN || *len == 0)
		return NULL;
	if (*len > end - at)
		*len = end - at;
	return at < half ? m->low + at : m->high + (at - half);
}

static void touch(const struct virtq_seg *seg, unsigned n, bool write)
{
	static uint8_t buf[4096];

	for (unsigned i = 0; i < n; i++) {
		size_t len = seg[i].len < sizeof(buf) ? seg[i].len : sizeof(buf);

		if (write) {
			((uint8_t *)seg[i].at)[seg[i].len - 1] = 1;
			seg_fill(&seg[i], 1, buf, len);
		} else {
			buf[0] = ((const uint8_t *)seg[i].at)[seg[i].len - 1];
			seg_fetch(&seg[i], 1, buf, len);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtq_chain c;
	struct memory m = {calloc(1, MEMORY_LEN / 2), calloc(1, MEMORY_LEN / 2)};
	struct virtq_memory mem = {chunk, &m};
	struct virtq q = {0};
	size_t n;

	if (!m.low || !m.high)
		abort();
	if (size >= 4) {
		q.size = (uint16_t)(1u << (data[0] % 9));
		/* Close together, so that short inputs reach far. */
		q.desc = ((6u + 2u * q.size + 15u) & ~15u) + 16u * (data[1] % 8);
		q.used = q.desc + 16u * q.size;
		n = size - 4 < MEMORY_LEN / 2 ? size - 4 : MEMORY_LEN / 2;
		memcpy(m.low, data + 4, n);
		if (size - 4 > n)
			memcpy(m.high, data + 4 + n, size - 4 - n < MEMORY_LEN / 2 ? size - 4 - n : MEMORY_LEN / 2);
		if (virtq_enable(&q, &mem, data[2] & 1)) {
			/* What we write may lie on the rings: twice around is enough to see what that does. */
			for (unsigned i = 0; i < 512 && virtq_pop(&q, &mem, &c) > 0; i++) {
				touch(c.readable, c.n_readable, false);
				touch(c.writable, c.n_writable, true);
				virtq_push(&q, &mem, c.head, (uint32_t)c.writable_len);
			}
			virtq_wants_interrupt(&q, &mem);
			virtq_ask_notify(&q, &mem);
		}
	}
	free(m.low);
	free(m.high);
	return 0;
}
