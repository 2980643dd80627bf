/* The codecs: what is not ours is refused, nothing a peer sends makes them leave their arena. */
#include "codec_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_too_long(void **state)
{
	struct ctl_request q = {.op = CTL_LIST};
	struct err e;
	size_t len = 4711;
	uint8_t small[11];

	assert_int_equal(ctl_request_encode(&q, small, sizeof(small), &len, &e), -EMSGSIZE);
	assert_int_equal(len, 4711);
	assert_non_null(strstr(e.text, "too long"));
}

static void test_header(void **state)
{
	static const size_t at[] = {0, 1, 2, 3, 6, 7};

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		sample_message(1, &msg);
		msg.data[at[i]] ^= 0x80;
		assert_int_equal(decode_with_all(&msg, mem, sizeof(mem)), 0);
	}
	for (unsigned op = 0; op <= UINT16_MAX; op += 7) { /* nothing but the known operations */
		struct wire_hdr h = {WIRE_MAGIC, WIRE_VERSION, (uint16_t)op, 0, 1};
		bool known =
		    op == CTL_LIST || op == CTL_REPLY || op == CTL_EVENT || (op >= MS_PLAN && op <= MS_FAILED) || op >= WK_GRANT;

		memcpy(msg.data, &h, sizeof(h));
		msg.len = sizeof(h);
		msg.nfds = 0;
		if (!known)
			assert_int_equal(decode_with_all(&msg, mem, sizeof(mem)), 0);
	}
}

/* One byte string per line of what must never pass: op, body, number of fds. */
static void test_refused(void **state)
{
	static const struct {
		const char *why;
		uint16_t op;
		size_t nfds;
		const char *body;
		size_t len;
	} rows[] = {
	    {"unknown field", CTL_LIST, 0, "\x78\x01", 2},
	    {"list names a VM", CTL_LIST, 0, "\x0a\x01x", 3},
	    {"info names none", CTL_INFO, 0, "", 0},
	    {"create without spec", CTL_CREATE, 0, "", 0},
	    {"stop with spec", CTL_STOP, 0, "\x0a\x01x\x12\x00", 5},
	    {"pause with boot", CTL_PAUSE, 0, "\x0a\x01x\x18\x01", 5},
	    {"NUL in a name", CTL_INFO, 0, "\x0a\x02x\x00", 4},
	    {"fd without tag", CTL_LIST, 1, "", 0},
	    {"tag without fd", CTL_CONSOLE, 0, "\x0a\x01x\x2a\x02\x08\x04", 7},
	    {"role 0", CTL_CONSOLE, 1, "\x0a\x01x\x2a\x00", 5},
	    {"role 12", CTL_CONSOLE, 1, "\x0a\x01x\x2a\x02\x08\x0c", 7},
	    {"new size without resize", CTL_INFO, 0, "\x0a\x01x\x38\x05", 5},
	    {"zone without resize", CTL_INFO, 0, "\x0a\x01x\x32\x01z", 6},
	    {"resize of no VM", CTL_RESIZE, 0, "\x38\x05", 2},
	    {"balloon without resize", CTL_INFO, 0, "\x0a\x01x\x48\x01", 5},
	    {"balloon of a zone", CTL_RESIZE, 0, "\x0a\x01x\x32\x01z\x48\x01", 8},
	    {"balloon of half a page", WK_BALLOON, 0, "\x08\x80\x10", 3},
	    {"balloon with fd", WK_BALLOON, 1, "\x08\x80\x20", 3},
	    {"balloon larger than any", WK_BALLOON_STATE, 0, "\x10\x80\x80\x80\x80\x80\x80\x08", 8},
	    {"plugger without fd", MS_PLUGGER, 0, "", 0},
	    {"plugger with two", MS_PLUGGER, 2, "", 0},
	    {"allowed for zone 64", MS_ALLOW, 0, "\x08\x40", 2},
	    {"resize of zone 64", WK_RESIZE, 0, "\x08\x40", 2},
	    {"memory of zone 64", WK_MEMORY, 0, "\x08\x40", 2},
	    {"index of a console", CTL_CONSOLE, 1, "\x0a\x01x\x2a\x04\x08\x04\x10\x01", 9},
	    {"two consoles", CTL_CONSOLE, 2, "\x0a\x01x\x2a\x02\x08\x04\x2a\x02\x08\x04", 11},
	    {"unknown field deep inside", CTL_CREATE, 0, "\x12\x04\x4a\x02\x78\x01", 6},
	    {"hotplug method 2", CTL_CREATE, 0, "\x12\x06\x12\x04\x12\x00\x18\x02", 8},
	    {"body on a query", MS_QUERY, 0, "\x08\x01", 2},
	    {"fd on a query", MS_QUERY, 1, "", 0},
	    {"plan missing", MS_PLAN, 0, "", 0},
	    {"done beyond total", MS_PROGRESS, 0, "\x10\x02\x18\x01", 4},
	    {"zone 64", MS_PROGRESS, 0, "\x08\x40", 2},
	    {"failure without text", MS_FAILED, 0, "\x08\x01", 2},
	    {"failure that is none", MS_FAILED, 0, "\x08\x02\x12\x01x", 5},
	    {"console without fd", WK_CONSOLE, 0, "", 0},
	    {"end without cause", WK_ENDED, 0, "", 0},
	    {"end cause 13", WK_ENDED, 0, "\x08\x0d", 2},
	    {"three registers", WK_ENDED, 0,
	     "\x08\x01\x22\x18"
	     "aaaaaaaabbbbbbbbcccccccc",
	     28},
	    {"sixteen instruction bytes", WK_ENDED, 0,
	     "\x08\x01\x3a\x10"
	     "aaaaaaaabbbbbbbb",
	     20},
	    {"page size 3", WK_STATS, 0, "\x0a\x02\x10\x03", 4},
	    {"zone reported twice", WK_STATS, 0, "\x0a\x03\x10\x80\x20\x0a\x03\x10\x80\x20", 10},
	    {"grant without plan", WK_GRANT, 0, "\x10\x01\x18\x01", 4},
	    {"grant with 256 vCPUs", WK_GRANT, 0, "\x0a\x00\x10\x80\x02\x18\x80\x02", 8},
	    {"not protobuf", CTL_LIST, 0, "\xff\xff\xff", 3},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_hdr h = {WIRE_MAGIC, WIRE_VERSION, rows[i].op, 0, 1};

		memcpy(msg.data, &h, sizeof(h));
		memcpy(msg.data + sizeof(h), rows[i].body, rows[i].len);
		msg.len = sizeof(h) + rows[i].len;
		msg.nfds = rows[i].nfds;
		msg.fds[0] = msg.fds[1] = -1;
		if (decode_with_all(&msg, mem, sizeof(mem)) != 0)
			fail_msg("accepted: %s", rows[i].why);
	}
}

/* A failing decoder leaves its output alone. */
static void test_untouched(void **state)
{
	struct ctl_request q, before;
	struct arena a = fresh();

	memset(&q, 0x5a, sizeof(q));
	before = q;
	sample_message(2, &msg);
	msg.nfds = 0;
	assert_int_equal(ctl_request_decode(&msg, &a, &q, NULL), -EPROTO);
	assert_memory_equal(&q, &before, sizeof(q));
}

/* More than the bounds of limits.h. */
static void test_limits(void **state)
{
	static struct vm_spec s;
	struct ctl_request q = {.op = CTL_CREATE, .spec = &s}, out;
	static char longtext[LIM_CMDLINE + 2], name[LIM_ID + 2];
	static uint32_t cpus[LIM_CPUS + 1];
	struct arena a = fresh();

	memset(longtext, 'x', LIM_CMDLINE + 1);
	memset(name, 'x', LIM_ID + 1);
	msg.nfds = 0;
	for (unsigned k = 0; k < 4; k++) {
		memset(&s, 0, sizeof(s));
		if (k == 0)
			s.cmdline = longtext;
		if (k == 1)
			s.name = name;
		if (k == 2) {
			s.n_nodes = 1;
			s.nodes[0] = (struct numa_spec){.n_cpus = LIM_CPUS + 1, .cpus = cpus};
		}
		assert_int_equal(ctl_request_encode(&q, msg.data, sizeof(msg.data), &msg.len, NULL), 0);
		a = fresh();
		assert_int_equal(ctl_request_decode(&msg, &a, &out, NULL), k < 3 ? -EPROTO : 0);
	}
}

static void test_arena_full(void **state)
{
	struct err e = {0};
	struct ctl_request q;
	size_t need = 0;

	sample_message(0, &msg);
	for (size_t cap = 0; cap < sizeof(mem); cap += 64) {
		struct arena a = arena_over(mem, cap);
		int r = ctl_request_decode(&msg, &a, &q, &e);

		if (r == 0) {
			need = cap;
			break;
		}
		assert_int_equal(r, -ENOBUFS);
	}
	assert_in_range(need, 1024, 256 * KiB);
}

/* An exact-size copy on the heap, so that a sanitizer sees one byte too far. */
static void decode_tight(const uint8_t *data, size_t len, size_t nfds)
{
	struct chan_msg *m = malloc(offsetof(struct chan_msg, data) + len);

	assert_non_null(m);
	m->len = len;
	m->nfds = nfds;
	for (size_t i = 0; i < nfds; i++)
		m->fds[i] = -1;
	memcpy((uint8_t *)m + offsetof(struct chan_msg, data), data, len);
	decode_with_all(m, mem, sizeof(mem));
	free(m);
}

static void test_truncated(void **state)
{
	static struct chan_msg whole;

	for (unsigned k = 0; k < SAMPLE_KINDS; k++) {
		sample_message(k, &whole);
		for (size_t len = 0; len<whole.len; len += whole.len> 4096 ? 13 : 1)
			decode_tight(whole.data, len, whole.nfds);
	}
}

static uint64_t rnd_state = 0x2545f4914f6cdd1d;

static uint32_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (uint32_t)(rnd_state >> 32);
}

/* Noise with a good header, and good messages with a few bytes changed. */
static void test_random(void **state)
{
	static const uint16_t ops[] = {CTL_CREATE, CTL_LIST,    CTL_INFO,  CTL_REPLY, CTL_EVENT, MS_PLAN,
				       MS_ZONES,   MS_PROGRESS, MS_FAILED, WK_GRANT,  WK_READY,  WK_ENDED};
	static struct chan_msg m;

	for (unsigned i = 0; i < 100000; i++) {
		if (i & 1) {
			struct wire_hdr h = {WIRE_MAGIC, WIRE_VERSION, ops[rnd() % ARRAY_LEN(ops)], 0, rnd()};

			m.len = sizeof(h) + rnd() % 200;
			for (size_t j = 0; j < m.len; j++)
				m.data[j] = (uint8_t)rnd();
			memcpy(m.data, &h, sizeof(h));
			m.nfds = 0;
		} else {
			unsigned k = rnd() % SAMPLE_KINDS;

			if (k == 10 || k == 15) /* the two plans at their bounds are slow: one in sixteen */
				k = rnd() % 16 ? 3 : k;
			sample_message(k, &m);
			for (unsigned n = 1 + rnd() % 8; n; n--)
				m.data[12 + rnd() % (m.len > 12 ? m.len - 12 : 1)] = (uint8_t)rnd();
		}
		decode_tight(m.data, m.len, m.nfds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_too_long),  cmocka_unit_test(test_header), cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_untouched), cmocka_unit_test(test_limits), cmocka_unit_test(test_arena_full),
	    cmocka_unit_test(test_truncated), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
