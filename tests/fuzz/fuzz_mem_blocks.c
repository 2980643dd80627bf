/* Fuzz target: requests of a guest to virtio-mem's block state machine. The input is a row of requests; what is accepted is done.
 *The counters must hold whatever comes.
 *
 *	meson setup build/fuzz -Dfuzz=true && ninja -C build/fuzz tests/fuzz/fuzz_mem_blocks
 */
#include "fuzz.h"

#include "virtio/mem_blocks.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem_blocks b;
	struct virtio_mem_req rq;
	uint64_t n, *bits;

	if (size < 4)
		return 0;
	n = 1 + data[0] + 256u * (data[1] % 8);
	bits = calloc(mem_blocks_words(n), sizeof(*bits)); /* its own, so that one word too far is seen */
	if (!bits)
		abort();
	mem_blocks_init(&b, data[2] & 1 ? 0 : UINT64_C(1) << 40, UINT64_C(1) << 21, n, bits);
	b.wanted = n * data[3] / 255;
	for (data += 4, size -= 4; size >= sizeof(rq); data += sizeof(rq), size -= sizeof(rq)) {
		struct mem_range r = {0};
		uint16_t state = 0;
		uint64_t plugged = 0;

		memcpy(&rq, data, sizeof(rq));
		if (data[1] & 1) /* near the window, so that it is found */
			rq.u.plug.addr = b.start + (rq.u.plug.addr % (n + 1)) * b.block_size;
		if (mem_blocks_judge(&b, &rq, &r, &state) == VIRTIO_MEM_RESP_ACK) {
			if (r.n == 0 || r.first >= n || r.n > n - r.first)
				abort();
			if (rq.type != VIRTIO_MEM_REQ_STATE)
				mem_blocks_set(&b, r, rq.type == VIRTIO_MEM_REQ_PLUG);
		}
		for (uint64_t i = 0; i < n; i += mem_blocks_run(&b, i, n))
			plugged += mem_blocks_has(&b, i) ? mem_blocks_run(&b, i, n) : 0;
		if (plugged != b.n_plugged || (rq.type == VIRTIO_MEM_REQ_PLUG && r.n && b.n_plugged > b.wanted))
			abort();
	}
	free(bits);
	return 0;
}
