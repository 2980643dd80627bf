/* The front-end against a back-end that does one thing wrong: every kind of wrong answer at every message of its life. Whatever
 * it is, the connection ends with a reason or nothing happens, no descriptor is left open, and a good back-end can follow. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "vhost/front.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(n)     (UINT64_C(1) << (n))
#define QUEUES     2u
#define CONFIG_LEN 60u

enum fault {
	FINE,
	OTHER_REQUEST,
	NO_REPLY_FLAG,
	OTHER_VERSION,
	TOO_LONG,
	TOO_SHORT,
	HUGE,
	EXTRA_FD,
	MANY_FDS,
	NO_FD,
	NO_MEMFD,
	TWICE,
	REFUSES,
	SILENT,
	HALF,
	CLOSES,
	FAULTS,
};

static struct vu_front f;
static int zone, kick, call;
static struct vu_map map[2];
static struct {
	int sock;
	uint64_t protocol;
	unsigned n; /* messages so far */
	unsigned fault_at;
	enum fault fault;
	uint32_t seen[128];
	unsigned n_fds; /* that came */
	uint64_t sizes[8];
	uint32_t enabled;
	uint16_t base[QUEUES];
} be;
static uint64_t now;

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void send_with(const void *data, size_t len, const int *fds, unsigned n)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 32)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		struct cmsghdr *c;

		h.msg_control = control.room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	sendmsg(be.sock, &h, MSG_NOSIGNAL);
}

static void answer(struct vu_msg *m, enum fault fault)
{
	int memfd = -1, many[32];
	size_t len;

	m->hdr.flags = VU_VERSION | VU_REPLY;
	memset(m->payload + m->hdr.size, 0, sizeof(m->payload) - m->hdr.size);
	switch (m->hdr.request) {
	case VU_GET_FEATURES:
		vu_put_u64(m, m->hdr.request, BIT(VIRTIO_F_VERSION_1) | BIT(VU_F_PROTOCOL_FEATURES) | BIT(VIRTIO_BLK_F_FLUSH));
		break;
	case VU_GET_PROTOCOL_FEATURES:
		vu_put_u64(m, m->hdr.request, be.protocol | BIT(1) | BIT(63)); /* and some that we do not know */
		break;
	case VU_GET_QUEUE_NUM:
		vu_put_u64(m, m->hdr.request, QUEUES);
		break;
	case VU_GET_MAX_MEM_SLOTS:
		vu_put_u64(m, m->hdr.request, 32);
		break;
	case VU_GET_CONFIG:
		break;
	case VU_GET_INFLIGHT_FD: {
		struct vu_inflight in = {.mmap_size = 4096, .num_queues = QUEUES, .queue_size = 128};

		memfd = fault == NO_MEMFD ? open("/", O_RDONLY | O_CLOEXEC)
					  : memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		vu_put(m, m->hdr.request, &in, sizeof(in));
		break;
	}
	case VU_GET_VRING_BASE: {
		struct vu_vring_state s;

		memcpy(&s, m->payload, sizeof(s));
		s.num = 100 + s.index;
		vu_put(m, m->hdr.request, &s, sizeof(s));
		break;
	}
	default:
		vu_put_u64(m, m->hdr.request, fault == REFUSES);
		break;
	}
	m->hdr.flags = VU_VERSION | VU_REPLY;
	len = vu_len(m);
	many[0] = memfd;
	for (unsigned i = memfd >= 0; i < 32; i++)
		many[i] = zone;
	switch (fault) {
	case OTHER_REQUEST:
		m->hdr.request ^= 1;
		break;
	case NO_REPLY_FLAG:
		m->hdr.flags = VU_VERSION;
		break;
	case OTHER_VERSION:
		m->hdr.flags = VU_REPLY | 2;
		break;
	case TOO_LONG:
		m->hdr.size += 8;
		len += 8;
		break;
	case TOO_SHORT:
		m->hdr.size -= 5;
		len -= 5;
		break;
	case HUGE:
		m->hdr.size = UINT32_MAX;
		break;
	case HALF:
		len /= 2;
		break;
	case FINE:
	case EXTRA_FD:
	case MANY_FDS:
	case NO_FD:
	case NO_MEMFD:
	case TWICE:
	case REFUSES:
	case SILENT:
	case CLOSES:
	case FAULTS:
		break;
	}
	if (fault == EXTRA_FD || fault == MANY_FDS)
		send_with(m, len, many, fault == MANY_FDS ? 32 : memfd >= 0 ? 2 : 1);
	else
		send_with(m, len, many, memfd >= 0 && fault != NO_FD ? 1 : 0);
	if (fault == TWICE)
		send_with(m, len, NULL, 0);
	if (memfd >= 0)
		close(memfd);
}

/* Takes one message if there is one. */
static bool backend_step(void)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VU_REGIONS_MAX)];
	} control;
	struct vu_msg m;
	struct iovec iov = {&m, sizeof(m.hdr)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	enum fault fault;

	if (be.sock < 0 || recvmsg(be.sock, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(m.hdr))
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		for (unsigned i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			close(fd);
			be.n_fds++;
		}
	}
	assert_true(m.hdr.size <= sizeof(m.payload));
	if (m.hdr.size)
		assert_int_equal(recv(be.sock, m.payload, m.hdr.size, 0), m.hdr.size);
	assert_int_equal(m.hdr.flags & VU_VERSION_MASK, VU_VERSION);
	be.seen[be.n % 128] = m.hdr.request;
	if (m.hdr.request == VU_SET_VRING_BASE) {
		struct vu_vring_state s;

		memcpy(&s, m.payload, sizeof(s));
		assert_true(s.index < QUEUES);
		be.base[s.index] = (uint16_t)s.num;
	}
	if (m.hdr.request == VU_SET_VRING_ENABLE)
		be.enabled++;
	fault = be.n++ == be.fault_at ? be.fault : FINE;
	if (fault == CLOSES) {
		close(be.sock);
		be.sock = -1;
	} else if (fault != SILENT && (vu_has_answer(m.hdr.request) || (m.hdr.flags & VU_NEED_REPLY))) {
		answer(&m, fault);
	}
	return true;
}

static void pump(void)
{
	struct pollfd p[VU_FRONT_POLL];

	for (unsigned i = 0; i < 1000; i++) {
		bool more = backend_step();

		vu_front_poll(&f, p);
		if (poll(p, VU_FRONT_POLL, 0) <= 0 && !more) {
			uint64_t until = vu_front_until(&f);

			if (until == UINT64_MAX)
				return;
			now = until; /* nobody says anything any more */
			poll(p, VU_FRONT_POLL, 0);
		}
		vu_front_work(&f, p, now);
	}
	fail_msg("no end");
}

static void connect_front(void)
{
	int pair[2], requests[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, requests), 0);
	be.sock = pair[1];
	be.n = be.n_fds = be.enabled = 0;
	vu_front_connect(&f, pair[0], requests[0], requests[1], now);
	pump();
}

/* A life: greeting, start, stop, start again, new configuration. */
static void live(void)
{
	connect_front();
	for (unsigned i = 0; i < 2 && f.phase == VU_IDLE; i++) {
		vu_front_start(&f, i == 0, now);
		pump();
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

static void memory_is_sent_once_and_not_more_than_granted(void **state)
{
	unsigned regions = 0, tables = 0;

	prepare(ALL, FINE, 0);
	live();
	for (unsigned i = 0; i < be.n; i++) {
		regions += be.seen[i] == VU_ADD_MEM_REG;
		tables += be.seen[i] == VU_SET_MEM_TABLE;
	}
	assert_int_equal(regions, 2);
	assert_int_equal(tables, 0);
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
			/* What is no shared memory is not even closed. */
			assert_int_equal(open_fds(), before + (hopeless ? 1 : 0));
			if (hopeless)
				close_range((unsigned)call + 1, ~0u, 0);
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

static int setup(void **state)
{
	zone = memfd_create("zone", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	kick = eventfd(0, EFD_CLOEXEC);
	call = eventfd(0, EFD_CLOEXEC);
	map[0] = (struct vu_map){{0, 0x1000, 0, 0}, zone};
	map[1] = (struct vu_map){{0x100000, 0x1000, 0x100000, 0x1000}, zone};
	return zone < 0 || kick < 0 || call < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_backends_run),
	    cmocka_unit_test(memory_is_sent_once_and_not_more_than_granted),
	    cmocka_unit_test(no_fault_does_harm),
	    cmocka_unit_test(floods_end_it),
	    cmocka_unit_test(what_was_not_asked_for_ends_it),
	};

	return cmocka_run_group_tests_name("vhost_front", tests, setup, NULL);
}
