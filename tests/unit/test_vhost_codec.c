/* Messages to and from a vhost-user back-end: how ours look on the wire, and that no impossible one of theirs passes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "vhost/codec.h"

#include <errno.h>
#include <string.h>

static struct vu_msg m;
static struct err e;

static void reply(uint32_t request, const void *payload, uint32_t len, unsigned n_fds)
{
	memset(&m, 0, sizeof(m));
	m.hdr = (struct vu_hdr){request, VU_VERSION | VU_REPLY, len};
	if (len)
		memcpy(m.payload, payload, len);
	m.n_fds = n_fds;
}

static void requests_look_as_specified(void **state)
{
	static const uint8_t enable[] = {18, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0};
	static const uint8_t kick[] = {12, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t none[] = {13, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0};

	vu_put_state(&m, VU_SET_VRING_ENABLE, 3, 1);
	assert_int_equal(vu_len(&m), sizeof(enable));
	assert_memory_equal(&m, enable, sizeof(enable));
	vu_put_vring_fd(&m, VU_SET_VRING_KICK, 2, 7);
	assert_memory_equal(&m, kick, sizeof(kick));
	assert_int_equal(m.n_fds, 1);
	assert_int_equal(m.fds[0], 7);
	vu_put_vring_fd(&m, VU_SET_VRING_CALL, 2, -1);
	assert_memory_equal(&m, none, sizeof(none));
	assert_int_equal(m.n_fds, 0);
}

static void memory_tables_hold_what_is_granted(void **state)
{
	struct vu_region r[8] = {{0, 0x1000, 0, 0x2000}, {0x100000000, 0x3000, 0x100000000, 0}};
	int fds[8] = {4, 5, 6, 7, 8, 9, 10, 11};
	struct vu_mem_table t;

	vu_put_mem_table(&m, r, fds, 2);
	assert_int_equal(vu_len(&m), 12 + 8 + 2 * 32);
	memcpy(&t, m.payload, m.hdr.size);
	assert_int_equal(t.n, 2);
	assert_memory_equal(t.region, r, 2 * sizeof(*r));
	assert_int_equal(m.n_fds, 2);
	vu_put_mem_table(&m, r, fds, VU_REGIONS_MAX);
	assert_int_equal(m.fds[7], 11);
	vu_put_mem_reg(&m, VU_ADD_MEM_REG, &r[1], 5);
	assert_int_equal(vu_len(&m), 12 + 40);
	assert_memory_equal(m.payload + 8, &r[1], sizeof(r[1]));
}

static void answers_are_believed(void **state)
{
	uint64_t v = 0x123456789abcdef0;
	struct vu_vring_state s = {1, 65535};
	struct vu_inflight in = {.mmap_size = 4096, .num_queues = 1, .queue_size = 128};
	struct vu_config c = {.size = 4, .data = {1, 2, 3, 4}};
	uint8_t config[VU_CONFIG_MAX];

	reply(VU_GET_FEATURES, &v, 8, 0);
	assert_int_equal(vu_check_answer(&m, &e), 0);
	assert_true(vu_get_u64(&m) == v);
	reply(VU_GET_VRING_BASE, &s, 8, 0);
	assert_int_equal(vu_check_answer(&m, &e), 0);
	assert_int_equal(vu_get_state(&m).num, 65535);
	for (uint32_t len = VU_INFLIGHT_SHORT; len <= sizeof(in); len += 4) {
		reply(VU_GET_INFLIGHT_FD, &in, len, 1);
		assert_int_equal(vu_check_answer(&m, &e), 0);
		assert_int_equal(vu_get_inflight(&m).mmap_size, 4096);
	}
	reply(VU_GET_CONFIG, &c, 16, 0);
	assert_int_equal(vu_check_answer(&m, &e), 0);
	assert_int_equal(vu_get_config(&m, config), 4);
	assert_memory_equal(config, c.data, 4);
	reply(VU_GET_CONFIG, NULL, 0, 0);
	assert_int_equal(vu_check_answer(&m, &e), 0);
	assert_int_equal(vu_get_config(&m, config), 0);
	reply(VU_SET_OWNER, &v, 8, 0); /* an acknowledgement */
	assert_int_equal(vu_check_answer(&m, &e), 0);
}

#define REFUSED(request, payload, len, fds)                                                                                      \
	do {                                                                                                                     \
		reply(request, payload, len, fds);                                                                               \
		assert_int_equal(vu_check_answer(&m, &e), -EPROTO);                                                              \
	} while (0)

static void impossible_answers_are_refused(void **state)
{
	uint8_t zeroes[VU_PAYLOAD_MAX] = {0};
	struct vu_config c = {.size = 5};
	struct vu_config shifted = {.offset = 1, .size = 4};
	struct vu_inflight wraps = {.mmap_size = 4096, .mmap_offset = UINT64_MAX - 100};
	struct vu_hdr h = {VU_GET_FEATURES, VU_VERSION | VU_REPLY, 8};

	REFUSED(VU_GET_FEATURES, zeroes, 7, 0);
	REFUSED(VU_GET_FEATURES, zeroes, 9, 0);
	REFUSED(VU_GET_FEATURES, zeroes, 8, 1);
	REFUSED(VU_GET_VRING_BASE, zeroes, 4, 0);
	REFUSED(VU_GET_INFLIGHT_FD, zeroes, 24, 1); /* of no size */
	REFUSED(VU_GET_INFLIGHT_FD, &wraps, 24, 1);
	wraps.mmap_offset = 0;
	REFUSED(VU_GET_INFLIGHT_FD, &wraps, 24, 0);
	REFUSED(VU_GET_INFLIGHT_FD, &wraps, 24, 2);
	REFUSED(VU_GET_INFLIGHT_FD, &wraps, 19, 1);
	REFUSED(VU_GET_CONFIG, &c, 16, 0);
	REFUSED(VU_GET_CONFIG, &c, 11, 0);
	REFUSED(VU_GET_CONFIG, &shifted, 16, 0);
	REFUSED(VU_GET_CONFIG, zeroes, sizeof(struct vu_config) + 1, 0);
	REFUSED(VU_SET_MEM_TABLE, zeroes, 40, 0);
	assert_int_equal(vu_check_answer_header(&h, VU_GET_QUEUE_NUM, &e), -EPROTO);
	h.flags = VU_VERSION;
	assert_int_equal(vu_check_answer_header(&h, VU_GET_FEATURES, &e), -EPROTO);
	h.flags = VU_REPLY | 2;
	assert_int_equal(vu_check_answer_header(&h, VU_GET_FEATURES, &e), -EPROTO);
	h = (struct vu_hdr){VU_GET_FEATURES, VU_VERSION | VU_REPLY, UINT32_MAX};
	assert_int_equal(vu_check_answer_header(&h, VU_GET_FEATURES, &e), -EPROTO);
}

static void backends_ask_for_config_change_only(void **state)
{
	struct vu_hdr h = {VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_NEED_REPLY, 0};

	assert_int_equal(vu_check_request_header(&h, &e), 0);
	h.size = 1;
	assert_int_equal(vu_check_request_header(&h, &e), -EPROTO);
	for (uint32_t id = 0; id < 64; id++) {
		h = (struct vu_hdr){id, VU_VERSION, 0};
		assert_int_equal(vu_check_request_header(&h, &e), id == VU_BACKEND_CONFIG_CHANGE ? 0 : -EPROTO);
	}
	h = (struct vu_hdr){VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_REPLY, 0};
	assert_int_equal(vu_check_request_header(&h, &e), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_look_as_specified),
	    cmocka_unit_test(memory_tables_hold_what_is_granted),
	    cmocka_unit_test(answers_are_believed),
	    cmocka_unit_test(impossible_answers_are_refused),
	    cmocka_unit_test(backends_ask_for_config_change_only),
	};

	return cmocka_run_group_tests_name("vhost_codec", tests, NULL, NULL);
}
