/* virtio-mem's block states: every request against a model that looks at blocks one by one. */
#include "virtio/mem_blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define START (UINT64_C(5) << 32)
#define BLOCK (UINT64_C(2) << 20)
#define N     200u

static uint64_t bits[4];

static struct mem_blocks fresh(void)
{
	struct mem_blocks b;

	memset(bits, 0, sizeof(bits));
	mem_blocks_init(&b, START, BLOCK, N, bits);
	return b;
}

static struct virtio_mem_req request(uint16_t type, uint64_t addr, uint16_t n)
{
	struct virtio_mem_req rq = {.type = type};

	rq.u.plug.addr = addr;
	rq.u.plug.nb_blocks = n;
	return rq;
}

static uint16_t judge(const struct mem_blocks *b, uint16_t type, uint64_t addr, uint16_t n)
{
	struct virtio_mem_req rq = request(type, addr, n);
	struct mem_range r;
	uint16_t state;

	return mem_blocks_judge(b, &rq, &r, &state);
}

static void test_bounds(void **unused)
{
	static const uint16_t types[] = {VIRTIO_MEM_REQ_PLUG, VIRTIO_MEM_REQ_UNPLUG, VIRTIO_MEM_REQ_STATE};
	struct mem_blocks b = fresh();

	b.wanted = N;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(judge(&b, types[i], START - BLOCK, 1), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(judge(&b, types[i], START - BLOCK, 2), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(judge(&b, types[i], START + 1, 1), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(judge(&b, types[i], START, 0), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(judge(&b, types[i], START, N + 1), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(judge(&b, types[i], START + (N - 1) * BLOCK, 2), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(judge(&b, types[i], START + N * BLOCK, 1), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(judge(&b, types[i], -BLOCK, UINT16_MAX), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(judge(&b, types[i], 0, UINT16_MAX), VIRTIO_MEM_RESP_ERROR);
	}
	assert_int_equal(judge(&b, 4, START, 1), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(judge(&b, UINT16_MAX, START, 1), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(judge(&b, VIRTIO_MEM_REQ_PLUG, START, N), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(judge(&b, VIRTIO_MEM_REQ_PLUG, START + (N - 1) * BLOCK, 1), VIRTIO_MEM_RESP_ACK);
}

static void test_not_more_than_wanted(void **unused)
{
	struct mem_blocks b = fresh();

	assert_int_equal(judge(&b, VIRTIO_MEM_REQ_PLUG, START, 1), VIRTIO_MEM_RESP_NACK);
	b.wanted = 10;
	assert_int_equal(judge(&b, VIRTIO_MEM_REQ_PLUG, START, 10), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(judge(&b, VIRTIO_MEM_REQ_PLUG, START, 11), VIRTIO_MEM_RESP_NACK);
	mem_blocks_set(&b, (struct mem_range){60, 10}, true); /* across a word */
	assert_int_equal(b.n_plugged, 10);
	assert_int_equal(judge(&b, VIRTIO_MEM_REQ_PLUG, START, 1), VIRTIO_MEM_RESP_NACK);
	b.wanted = 5; /* has more than it is to have */
	assert_int_equal(judge(&b, VIRTIO_MEM_REQ_PLUG, START, 1), VIRTIO_MEM_RESP_NACK);
	assert_int_equal(judge(&b, VIRTIO_MEM_REQ_UNPLUG, START + 60 * BLOCK, 10), VIRTIO_MEM_RESP_ACK);
}

/* A model with a byte for each block. */
static void test_against_model(void **unused)
{
	struct mem_blocks b = fresh();
	bool model[N] = {0};
	unsigned acks[4] = {0};

	srand(7);
	b.wanted = N;
	for (unsigned round = 0; round < 200000; round++) {
		unsigned first = (unsigned)rand() % (N + 2), n = (unsigned)rand() % (round % 3 ? 4 : N + 2), plugged = 0, all = 0;
		uint16_t type = (uint16_t)((unsigned)rand() % 64 == 0 ? VIRTIO_MEM_REQ_UNPLUG_ALL : (unsigned)rand() % 4), got,
			 state = 9;
		struct virtio_mem_req rq = request(type, START + first * BLOCK, (uint16_t)n);
		bool inside = n && first < N && n <= N - first;
		struct mem_range r;

		if (type == VIRTIO_MEM_REQ_UNPLUG_ALL && rand() % 16)
			continue;
		if (rand() % 50 == 0)
			b.wanted = (unsigned)rand() % (N + 1);
		for (unsigned i = 0; i < N; i++)
			all += model[i];
		for (unsigned i = first; inside && i < first + n; i++)
			plugged += model[i];
		assert_int_equal(b.n_plugged, all);
		got = mem_blocks_judge(&b, &rq, &r, &state);
		if (type == VIRTIO_MEM_REQ_UNPLUG_ALL) {
			assert_int_equal(got, VIRTIO_MEM_RESP_ACK);
			assert_int_equal(r.n, N);
			memset(model, 0, sizeof(model));
			mem_blocks_set(&b, r, false);
		} else if (!inside) {
			assert_int_equal(got, VIRTIO_MEM_RESP_ERROR);
		} else if (type == VIRTIO_MEM_REQ_STATE) {
			assert_int_equal(got, VIRTIO_MEM_RESP_ACK);
			assert_int_equal(state, plugged == n ? VIRTIO_MEM_STATE_PLUGGED
						: plugged    ? VIRTIO_MEM_STATE_MIXED
							     : VIRTIO_MEM_STATE_UNPLUGGED);
		} else {
			bool plug = type == VIRTIO_MEM_REQ_PLUG;
			bool fits = plugged == (plug ? 0 : n);

			assert_int_equal(got, !fits                        ? VIRTIO_MEM_RESP_ERROR
					      : plug && all + n > b.wanted ? VIRTIO_MEM_RESP_NACK
									   : VIRTIO_MEM_RESP_ACK);
			if (got != VIRTIO_MEM_RESP_ACK)
				continue;
			assert_true(r.first == first && r.n == n);
			for (unsigned i = first; i < first + n; i++)
				model[i] = plug;
			mem_blocks_set(&b, r, plug);
		}
		acks[type] += got == VIRTIO_MEM_RESP_ACK;
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(mem_blocks_has(&b, i), model[i]);
		for (unsigned i = 0, same; i < N; i += same) {
			same = 1;
			while (i + same < N && model[i + same] == model[i])
				same++;
			assert_int_equal(mem_blocks_run(&b, i, N), same);
			assert_int_equal(mem_blocks_run(&b, i, 1), 1);
		}
	}
	assert_true(acks[0] > 1000 && acks[1] > 1000 && acks[2] > 10 && acks[3] > 1000);
	assert_int_equal(mem_blocks_run(&b, N, 5), 0);
	assert_false(mem_blocks_has(&b, N));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_not_more_than_wanted),
	    cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests_name("mem_blocks", tests, NULL, NULL);
}
