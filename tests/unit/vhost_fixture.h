/* A back-end for tests of the front-end: well-behaved but for one thing that it does wrong, and it remembers what it was told. */
#pragma once
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
static struct vu_map map[4];
static struct {
	int sock;
	uint64_t protocol;
	bool plain; /* it has no protocol features at all */
	unsigned n; /* messages so far */
	unsigned fault_at;
	enum fault fault;
	uint32_t seen[128];
	unsigned n_fds; /* that came */
	uint64_t sizes[8];
	uint32_t enabled;
	uint16_t base[QUEUES];
	struct vu_region table[16]; /* what it knows by now */
	unsigned n_table, tables, added, removed;
	bool rings_run, removed_under_way;
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

static void send_with_flags(const void *data, size_t len, const int *fds, unsigned n, int flags)
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
	sendmsg(be.sock, &h, MSG_NOSIGNAL | flags);
}

static void send_with(const void *data, size_t len, const int *fds, unsigned n)
{
	send_with_flags(data, len, fds, n, 0);
}

static void answer(struct vu_msg *m, enum fault fault)
{
	int memfd = -1, many[32];
	size_t len;

	m->hdr.flags = VU_VERSION | VU_REPLY;
	memset(m->payload + m->hdr.size, 0, sizeof(m->payload) - m->hdr.size);
	switch (m->hdr.request) {
	case VU_GET_FEATURES:
		vu_put_u64(m, m->hdr.request,
			   BIT(VIRTIO_F_VERSION_1) | (be.plain ? 0 : BIT(VU_F_PROTOCOL_FEATURES)) | BIT(VIRTIO_BLK_F_FLUSH));
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

/* What a back-end makes of messages about memory. */
static void remember(const struct vu_msg *m)
{
	struct vu_mem_table t;
	struct vu_mem_reg r;

	switch (m->hdr.request) {
	case VU_SET_MEM_TABLE:
		memset(&t, 0, sizeof(t));
		memcpy(&t, m->payload, m->hdr.size);
		memcpy(be.table, t.region, sizeof(t.region));
		be.n_table = t.n;
		be.tables++;
		be.removed_under_way |= be.rings_run;
		break;
	case VU_ADD_MEM_REG:
		memcpy(&r, m->payload, sizeof(r));
		for (unsigned i = 0; i < be.n_table; i++)
			assert_true(r.region.guest_addr + r.region.size <= be.table[i].guest_addr ||
				    be.table[i].guest_addr + be.table[i].size <= r.region.guest_addr);
		be.table[be.n_table++] = r.region;
		be.added++;
		break;
	case VU_REM_MEM_REG:
		memcpy(&r, m->payload, sizeof(r));
		for (unsigned i = 0; i < be.n_table; i++) {
			if (memcmp(&be.table[i], &r.region, sizeof(r.region)))
				continue;
			be.table[i] = be.table[--be.n_table];
			be.removed++;
			be.removed_under_way |= be.rings_run;
			return;
		}
		fail_msg("a region is removed that was never added");
		break;
	case VU_SET_VRING_KICK:
		be.rings_run = true;
		break;
	case VU_GET_VRING_BASE:
		be.rings_run = false;
		break;
	default:
		break;
	}
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
	remember(&m);
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
