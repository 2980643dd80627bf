/* The front-end against a back-end that does one thing wrong: every kind of wrong answer at every message of its life. Whatever
 * it is, the connection ends with a reason or nothing happens, no descriptor is left open, and a good back-end can follow. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "vhost_fixture.h"

static void connect_front(void)
{
	int pair[2], requests[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, requests), 0);
	be.sock = pair[1];
	be.n = be.n_fds = be.enabled = 0;
	be.n_table = be.tables = be.added = be.removed = 0;
	be.rings_run = be.removed_under_way = false;
	vu_front_connect(&f, pair[0], requests[0], requests[1], now);
	pump();
}

static bool knows(unsigned n)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < be.n_table; k++)
			found += memcmp(&be.table[k], &f.map[i].region, sizeof(be.table[k])) == 0;
	return be.n_table == n && found == n;
}

/* A life: greeting, start, stop, start again, with more memory. */
static void live(void)
{
	connect_front();
	for (unsigned i = 0; i < 2 && f.phase == VU_IDLE; i++) {
		f.n_map = 2 + i;
		vu_front_start(&f, i == 0, now);
		pump();
		if (f.phase == VU_RUNNING && vu_front_adds(&f) && i == 0) {
			f.n_map = 3;
			vu_front_tell(&f, now);
			pump();
		}
		if (f.phase == VU_RUNNING) {
			vu_front_stop(&f, now);
			pump();
		}
	}
}

static void end(void)
{
	if (f.phase != VU_DOWN)
		vu_front_drop(&f, "the end");
	if (be.sock >= 0)
		close(be.sock);
	be.sock = -1;
}

static void prepare(uint64_t protocol, enum fault fault, unsigned at)
{
	memset(&f, 0, sizeof(f));
	memset(&be, 0, sizeof(be));
	be.protocol = protocol;
	be.fault = fault;
	be.fault_at = at;
	vu_front_init(&f);
	f.n_queues = QUEUES;
	f.queues_per_unit = 1;
	f.config_want = CONFIG_LEN;
	f.map = map;
	f.n_map = 2;
	f.accepted = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM);
	for (unsigned i = 0; i < QUEUES; i++)
		f.ring[i] = (struct vu_ring){.on = true, .enabled = true, .size = 128, .kick = kick, .call = call};
}

static void forget(void)
{
	end();
	if (f.inflight_fd >= 0)
		close(f.inflight_fd);
}

#define ALL                                                                                                                      \
	(BIT(VU_PF_MQ) | BIT(VU_PF_REPLY_ACK) | BIT(VU_PF_BACKEND_REQ) | BIT(VU_PF_CONFIG) | BIT(VU_PF_INFLIGHT_SHMFD) |         \
	 BIT(VU_PF_CONFIGURE_MEM_SLOTS) | BIT(VU_PF_STATUS))

static void good_backends_run(void **state)
{
	static const uint64_t kinds[] = {0,   BIT(VU_PF_CONFIG),           BIT(VU_PF_REPLY_ACK),
					 ALL, ALL & ~BIT(VU_PF_REPLY_ACK), ALL & ~BIT(VU_PF_CONFIGURE_MEM_SLOTS)};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		unsigned before = open_fds();

		prepare(kinds[i], FINE, 0);
		live();
		if (f.phase != VU_IDLE)
			fail_msg("kind %zu: %s", i, f.why.text);
		assert_int_equal(be.enabled, 2 * QUEUES);
		assert_int_equal(be.base[1], 101); /* the second start went on where the first had stopped */
		assert_int_equal(f.config_len, kinds[i] & BIT(VU_PF_CONFIG) ? CONFIG_LEN : 0);
		assert_int_equal(f.inflight_fd >= 0, (kinds[i] & BIT(VU_PF_INFLIGHT_SHMFD)) != 0);
		forget();
		assert_int_equal(open_fds(), before);
	}
}

static void memory_is_sent_once(void **state)
{
	unsigned regions = 0, tables = 0;

	prepare(ALL, FINE, 0);
	live();
	for (unsigned i = 0; i < be.n; i++) {
		regions += be.seen[i] == VU_ADD_MEM_REG;
		tables += be.seen[i] == VU_SET_MEM_TABLE;
	}
	assert_int_equal(regions, 3);
	assert_int_equal(tables, 0);
	forget();
}

/* With the two ways to be told, and with and without acknowledgements: what the back-end knows is what it shall know when the
 * phase ends, and nothing is taken from under rings that run. */
static void changes_of_memory_are_followed(void **state)
{
	static const uint64_t kinds[] = {ALL, ALL & ~BIT(VU_PF_REPLY_ACK), ALL & ~BIT(VU_PF_CONFIGURE_MEM_SLOTS),
					 ALL & ~BIT(VU_PF_CONFIGURE_MEM_SLOTS) & ~BIT(VU_PF_REPLY_ACK), 0};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct vu_map other[2] = {map[0], {{0x100000, 0x3000, 0x100000, 0x1000}, zone}};
		bool adds = kinds[i] & BIT(VU_PF_CONFIGURE_MEM_SLOTS);

		prepare(kinds[i], FINE, UINT32_MAX);
		connect_front();
		vu_front_start(&f, true, now);
		pump();
		assert_int_equal(f.phase, VU_RUNNING);
		assert_true(knows(2));
		/* More, while the rings run. */
		if (adds) {
			unsigned added = be.added;

			f.n_map = 4;
			vu_front_tell(&f, now);
			pump();
			assert_int_equal(f.phase, VU_RUNNING);
			assert_true(knows(4) && be.rings_run);
			assert_int_equal(be.added, added + 2);
			assert_int_equal(be.removed, 0);
		}
		/* Regions become one, and others go: between stop and start. */
		vu_front_stop(&f, now);
		pump();
		f.map = other;
		f.n_map = 2;
		vu_front_start(&f, false, now);
		pump();
		assert_int_equal(f.phase, VU_RUNNING);
		assert_true(knows(2) && be.rings_run && !be.removed_under_way);
		/* At rest. */
		vu_front_stop(&f, now);
		pump();
		f.n_map = 1;
		vu_front_tell(&f, now);
		pump();
		assert_int_equal(f.phase, VU_IDLE);
		assert_true(knows(1) && !be.removed_under_way);
		assert_int_equal(be.tables, adds ? 0 : 3);
		/* The same once more is said to nobody. */
		be.n = 0;
		vu_front_tell(&f, now);
		pump();
		assert_int_equal(f.phase, VU_IDLE);
		assert_int_equal(be.n, 0);
		forget();
	}
}

static void more_regions_than_it_takes_end_it(void **state)
{
	struct vu_map many[VU_REGIONS_MAX + 1];

	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct vu_map){{i * 0x10000, 0x1000, i * 0x10000, 0}, zone};
	prepare(ALL & ~BIT(VU_PF_CONFIGURE_MEM_SLOTS), FINE, UINT32_MAX);
	connect_front();
	f.map = many;
	f.n_map = VU_REGIONS_MAX;
	vu_front_start(&f, true, now);
	pump();
	assert_int_equal(f.phase, VU_RUNNING);
	vu_front_stop(&f, now);
	pump();
	f.n_map++;
	vu_front_start(&f, true, now);
	assert_int_equal(f.phase, VU_DOWN);
	assert_non_null(strstr(f.why.text, "takes 8 regions"));
	forget();
}

/* What one connection has said of its regions is not the next one's. */
static void who_follows_takes_what_he_says(void **state)
{
	struct vu_map many[VU_REGIONS_MAX + 4];

	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct vu_map){{i * 0x10000, 0x1000, i * 0x10000, 0}, zone};
	prepare(ALL, FINE, UINT32_MAX);
	connect_front();
	f.map = many;
	f.n_map = ARRAY_LEN(many);
	vu_front_start(&f, true, now);
	pump();
	assert_int_equal(f.phase, VU_RUNNING);
	end();
	be.plain = true;
	connect_front();
	assert_int_equal(f.phase, VU_IDLE);
	assert_int_equal(f.max_map, VU_REGIONS_MAX);
	vu_front_start(&f, false, now);
	assert_int_equal(f.phase, VU_DOWN);
	assert_non_null(strstr(f.why.text, "takes 8 regions"));
	forget();
}

static void no_fault_does_harm(void **state)
{
	unsigned downs = 0;

	for (unsigned fault = OTHER_REQUEST; fault < FAULTS; fault++) {
		for (unsigned at = 0; at < 60; at++) {
			unsigned before = open_fds();
			bool hopeless;

			prepare(ALL, fault, at);
			live();
			if (f.phase != VU_DOWN && f.phase != VU_IDLE)
				fail_msg("fault %u at %u: phase %d", fault, at, f.phase);
			if (f.phase == VU_DOWN) {
				downs++;
				assert_int_not_equal(f.why.code, 0);
				assert_true(f.why.text[0]);
			}
			/* A good one follows. */
			hopeless = f.hopeless;
			end();
			be.fault_at = UINT32_MAX;
			if (!hopeless) {
				connect_front();
				vu_front_start(&f, false, now);
				pump();
				if (f.phase != VU_RUNNING)
					fail_msg("after fault %u at %u: %s", fault, at, f.why.text);
			}
			forget();
			/* Descriptors that must not be let go of stay where they are, in a connection that stays open. */
			if (hopeless)
				close_range((unsigned)call + 1, ~0u, 0);
			else
				assert_int_equal(open_fds(), before);
		}
	}
	assert_true(downs > 300);
}

static void floods_end_it(void **state)
{
	struct vu_hdr h = {VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 0};
	int pair[2];

	prepare(ALL, FINE, UINT32_MAX);
	connect_front();
	assert_int_equal(f.phase, VU_IDLE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	close(f.request_sock);
	f.request_sock = pair[0];
	/* One change is read at once. */
	be.n = 0;
	assert_int_equal(send(pair[1], &h, sizeof(h), 0), sizeof(h));
	pump();
	assert_int_equal(be.seen[0], VU_GET_CONFIG);
	assert_int_equal(f.phase, VU_IDLE);
	for (unsigned i = 0; i < 200 && f.phase != VU_DOWN; i++) {
		struct pollfd p[VU_FRONT_POLL];

		send(pair[1], &h, sizeof(h), MSG_NOSIGNAL);
		vu_front_poll(&f, p);
		poll(p, VU_FRONT_POLL, 0);
		vu_front_work(&f, p, now);
		backend_step();
	}
	assert_int_equal(f.phase, VU_DOWN);
	close(pair[1]);
	forget();
}

static void what_was_not_asked_for_ends_it(void **state)
{
	uint64_t junk[4] = {0};

	prepare(ALL, FINE, UINT32_MAX);
	connect_front();
	vu_front_start(&f, true, now);
	pump();
	assert_int_equal(f.phase, VU_RUNNING);
	send_with(junk, sizeof(junk), &zone, 1);
	pump();
	assert_int_equal(f.phase, VU_DOWN);
	forget();
}

/* Handed over in another way each time: the write end of a pipe whose other holders are gone. */
enum way {
	IN_BAND,
	BEHIND_GARBAGE,   /* the connection ends before that is read */
	OUT_OF_BAND,      /* the byte that nobody reads */
	WITH_A_REQUEST,   /* on the other socket */
	BEHIND_A_REQUEST, /* that is wrong */
	WITH_AN_ANSWER,   /* beside the descriptor that it brings */
	AS_AN_ANSWER,     /* in its place */
	WAYS,
};

static void hand_over(enum way way, const int *requests)
{
	struct vu_hdr change = {VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 0}, wrong = {99, VU_VERSION, 0};
	struct vu_inflight in = {.mmap_size = 4096, .num_queues = QUEUES, .queue_size = 128};
	static struct vu_msg inflight;
	const int channel = be.sock;
	int pipes[2], fds[2];

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(dup2(pipes[0], requests[2]), requests[2]);
	close(pipes[0]);
	vu_put(&inflight, VU_GET_INFLIGHT_FD, &in, sizeof(in));
	inflight.hdr.flags = VU_VERSION | VU_REPLY;
	fds[0] = way == WITH_AN_ANSWER ? zone : pipes[1];
	fds[1] = pipes[1];
	if (way == WITH_A_REQUEST || way == BEHIND_A_REQUEST)
		be.sock = requests[1];
	if (way == BEHIND_A_REQUEST)
		send_with(&wrong, sizeof(wrong), NULL, 0);
	if (way == BEHIND_GARBAGE)
		send_with("garbage", 7, NULL, 0);
	if (way == WITH_AN_ANSWER || way == AS_AN_ANSWER)
		send_with(&inflight, vu_len(&inflight), fds, way == WITH_AN_ANSWER ? 2 : 1);
	else if (way == OUT_OF_BAND)
		send_with_flags(&change, 1, fds, 1, MSG_OOB);
	else
		send_with(&change, sizeof(change), fds, 1);
	close(pipes[1]);
	be.sock = channel;
}

static void nothing_of_its_is_let_go_of(void **state)
{
	for (enum way way = IN_BAND; way < WAYS; way++) {
		struct pollfd p[VU_FRONT_POLL], held;
		int requests[3];

		prepare(ALL, FINE, UINT32_MAX);
		connect_front();
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, requests), 0);
		close(f.request_sock);
		f.request_sock = requests[0];
		requests[2] = dup(kick);
		if (way == WITH_AN_ANSWER || way == AS_AN_ANSWER) {
			vu_front_start(&f, true, now);
			while (f.phase == VU_STARTING && f.out.hdr.request != VU_GET_INFLIGHT_FD) {
				backend_step();
				vu_front_poll(&f, p);
				poll(p, VU_FRONT_POLL, 0);
				vu_front_work(&f, p, now);
			}
			assert_int_equal(f.phase, VU_STARTING);
		}
		hand_over(way, requests);
		vu_front_poll(&f, p);
		assert_true(poll(p, VU_FRONT_POLL, 240000) > 0);
		vu_front_work(&f, p, now);
		assert_int_equal(f.phase, VU_DOWN);
		assert_true(f.hopeless);
		if (!strstr(f.why.text, "descriptors that nobody asked for"))
			fail_msg("way %d: %s", way, f.why.text);
		held = (struct pollfd){.fd = requests[2], .events = POLLIN};
		if (poll(&held, 1, 0) != 0)
			fail_msg("way %d: it was let go of", way);
		forget();
		close_range((unsigned)call + 1, ~0u, 0);
	}
}

static int setup(void **state)
{
	zone = memfd_create("zone", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	kick = eventfd(0, EFD_CLOEXEC);
	call = eventfd(0, EFD_CLOEXEC);
	map[0] = (struct vu_map){{0, 0x1000, 0, 0}, zone};
	map[1] = (struct vu_map){{0x100000, 0x1000, 0x100000, 0x1000}, zone};
	map[2] = (struct vu_map){{0x101000, 0x1000, 0x101000, 0x2000}, zone};
	map[3] = (struct vu_map){{0x102000, 0x1000, 0x102000, 0x3000}, zone};
	return zone < 0 || kick < 0 || call < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_backends_run),
	    cmocka_unit_test(memory_is_sent_once),
	    cmocka_unit_test(changes_of_memory_are_followed),
	    cmocka_unit_test(more_regions_than_it_takes_end_it),
	    cmocka_unit_test(who_follows_takes_what_he_says),
	    cmocka_unit_test(no_fault_does_harm),
	    cmocka_unit_test(floods_end_it),
	    cmocka_unit_test(what_was_not_asked_for_ends_it),
	    cmocka_unit_test(nothing_of_its_is_let_go_of),
	};

	return cmocka_run_group_tests_name("vhost_front", tests, setup, NULL);
}
