/* Messages that no front-end should send. A daemon may refuse them or close the connection; it must not go down, nor keep what
 * came along, nor wait for ever. That it still serves is tried after each test (main.c). */
#include "run.h"

#include "bulkhead/fd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static enum verdict truncated(struct run *r)
{
	struct vu_msg m;

	vu_put_u64(&m, VU_SET_FEATURES, BIT(VIRTIO_VERSION_1));
	for (size_t n = 1; n < vu_len(&m); n += n < 12 ? 1 : 3) {
		CLEANUP(session_close) struct session s;

		if (greet(r, &s, NULL) < 0)
			return lost(r);
		trying(r, "a message cut before byte %zu", n);
		if (link_send(&s.l, &m, n, NULL, 0, &r->e) < 0)
			return broke(r, "sending a part of a message");
	}
	return pass(r, "cut anywhere, then closed");
}

static enum verdict slow(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct vu_msg m;

	if (greet(r, &s, NULL) < 0)
		return broke(r, "greeting");
	vu_put(&m, VU_GET_FEATURES, NULL, 0);
	for (size_t n = 0; n < vu_len(&m); n++) {
		if (link_send(&s.l, (uint8_t *)&m + n, 1, NULL, 0, &r->e) < 0)
			return warn(r, "a message that arrives byte by byte: %s after byte %zu", r->e.text, n);
		link_drain(&s.l, 100);
	}
	if (link_answer(&s.l, VU_GET_FEATURES, &m, &r->e) < 0)
		return warn(r, "a message that arrives byte by byte: %s", r->e.text);
	return pass(r, "put together");
}

static enum verdict joined(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct vu_msg m;
	uint8_t three[3 * sizeof(struct vu_hdr)];

	if (greet(r, &s, NULL) < 0)
		return broke(r, "greeting");
	vu_put(&m, VU_GET_FEATURES, NULL, 0);
	for (unsigned i = 0; i < 3; i++)
		memcpy(three + i * sizeof(m.hdr), &m.hdr, sizeof(m.hdr));
	if (link_send(&s.l, three, sizeof(three), NULL, 0, &r->e) < 0)
		return broke(r, "three messages at once");
	for (unsigned i = 0; i < 3; i++)
		if (link_answer(&s.l, VU_GET_FEATURES, &m, &r->e) < 0)
			return broke(r, "three messages in one write");
	return pass(r, "answered one by one");
}

static enum verdict sizes(struct run *r)
{
	static const uint32_t requests[] = {VU_SET_FEATURES,    VU_SET_MEM_TABLE,    VU_SET_VRING_ADDR, VU_GET_VRING_BASE,
					    VU_SET_VRING_KICK,  VU_GET_CONFIG,       VU_ADD_MEM_REG,    VU_SET_INFLIGHT_FD,
					    VU_GET_INFLIGHT_FD, VU_SET_VRING_ENABLE, VU_GET_FEATURES};
	static const uint32_t lengths[] = {0, 1, 7, 9, 400, 4096, 0x7fffffff, 0xffffffff};
	static uint8_t bytes[sizeof(struct vu_hdr) + 4096];

	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
			CLEANUP(session_close) struct session s;
			struct vu_hdr h = {requests[i], VU_VERSION, lengths[k]};
			size_t n = lengths[k] < 4096 ? lengths[k] : 4096;

			if (greet(r, &s, NULL) < 0)
				return lost(r);
			trying(r, "request %u of %u bytes", requests[i], lengths[k]);
			memcpy(bytes, &h, sizeof(h));
			if (link_send(&s.l, bytes, sizeof(h) + n, NULL, 0, &r->e) == 0)
				link_silent(&s.l, 5);
		}
	return pass(r, "%zu requests of %zu wrong sizes", ARRAY_LEN(requests), ARRAY_LEN(lengths));
}

static enum verdict unknown(struct run *r)
{
	static const uint32_t requests[] = {63, 200, 0x7fffffff, 0xffffffff};
	unsigned closed = 0;

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		CLEANUP(session_close) struct session s;
		struct vu_msg m;

		if (greet(r, &s, NULL) < 0)
			return lost(r);
		trying(r, "request %u", requests[i]);
		vu_put(&m, requests[i], NULL, 0);
		switch (provoke(r, &s, &m)) {
		case SILENT:
			return fail(r, "request %u: went silent", requests[i]);
		case ANSWERS:
			if (s.l.acks)
				return warn(r, "acknowledged request %u", requests[i]);
			break;
		case CLOSED:
			closed++;
			break;
		case REFUSED:
			break;
		}
	}
	return pass(r, "%zu refused, %u of them by closing", ARRAY_LEN(requests), closed);
}

static enum verdict flags(struct run *r)
{
	static const uint32_t tries[] = {0, 2, 3, VU_VERSION | VU_REPLY, 0xffffffff};
	unsigned took = 0;

	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		CLEANUP(session_close) struct session s;
		struct vu_msg m;

		if (greet(r, &s, NULL) < 0)
			return lost(r);
		trying(r, "GET_FEATURES with flags %#x", tries[i]);
		vu_put(&m, VU_GET_FEATURES, NULL, 0);
		m.hdr.flags = tries[i];
		if (link_say(&s.l, &m, &r->e) < 0)
			continue;
		s.l.ms = 300; /* silence is an answer here */
		took += link_answer(&s.l, VU_GET_FEATURES, &m, &r->e) == 0;
	}
	if (took)
		return warn(r, "answered %u of %zu messages of another version or with the flag of an answer", took,
			    ARRAY_LEN(tries));
	return pass(r, "%zu messages: none answered", ARRAY_LEN(tries));
}

static enum verdict no_fds(struct run *r)
{
	static const uint32_t requests[] = {VU_SET_VRING_KICK,     VU_SET_VRING_CALL,  VU_SET_VRING_ERR,
					    VU_SET_BACKEND_REQ_FD, VU_SET_INFLIGHT_FD, VU_ADD_MEM_REG};
	char took[128] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		CLEANUP(session_close) struct session s;
		struct vu_inflight in = {0x1000, 0, 1, RING_SIZE, 0};
		struct vu_region g = {4 * GiB, MEM_REGION, 0x600000000000, 0};
		enum reaction a;
		struct vu_msg m;

		if (greet(r, &s, NULL) < 0)
			return lost(r);
		trying(r, "request %u without its descriptor", requests[i]);
		if (requests[i] == VU_SET_INFLIGHT_FD)
			vu_put(&m, requests[i], &in, sizeof(in));
		else if (requests[i] == VU_ADD_MEM_REG)
			vu_put_mem_reg(&m, requests[i], &g, -1);
		else if (requests[i] == VU_SET_BACKEND_REQ_FD)
			vu_put(&m, requests[i], NULL, 0);
		else
			vu_put_u64(&m, requests[i], 0);
		a = provoke(r, &s, &m);
		if (a == SILENT)
			return fail(r, "request %u without its descriptor: went silent", requests[i]);
		if (a == ANSWERS && s.l.acks && used < sizeof(took) - 8)
			used += (size_t)snprintf(took + used, sizeof(took) - used, " %u", requests[i]);
	}
	return used ? warn(r, "acknowledged without their descriptor: requests%s", took) : pass(r, "refused");
}

/* Descriptors with messages that have none. They must be closed, at the latest with the connection. */
static enum verdict many_fds(struct run *r)
{
	struct daemon_usage before, after;
	int fds[253];
	CLEANUP(fd_cleanup) int one = eventfd(0, EFD_CLOEXEC);
	static const unsigned counts[] = {1, 8, 9, 64, 253};

	for (unsigned i = 0; i < 253; i++)
		fds[i] = one;
	before = daemon_usage(&r->d);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		CLEANUP(session_close) struct session s;
		struct vu_msg m;

		if (greet(r, &s, NULL) < 0)
			return lost(r);
		trying(r, "GET_FEATURES with %u descriptors", counts[i]);
		if (i == 0)
			before = daemon_usage(&r->d);
		vu_put(&m, VU_GET_FEATURES, NULL, 0);
		if (link_send(&s.l, &m, vu_len(&m), fds, counts[i], &r->e) == 0)
			link_silent(&s.l, 100);
	}
	if (r->d.one_shot)
		return pass(r, "up to 253 descriptors with one message");
	{
		CLEANUP(session_close) struct session s;

		if (greet(r, &s, NULL) < 0)
			return broke(r, "greeting");
		after = daemon_usage(&r->d);
	}
	if (before.fds < 0 || after.fds < 0)
		return pass(r, "survived; its descriptors may not be counted by this user");
	if (after.fds > before.fds + 3)
		return fail(r, "keeps descriptors that came with GET_FEATURES: %ld more are open", after.fds - before.fds);
	return pass(r, "up to 253 with one message, none is kept");
}

static enum verdict indices(struct run *r)
{
	static const uint32_t requests[] = {VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_GET_VRING_BASE, VU_SET_VRING_ENABLE};
	static const uint32_t queues[] = {0x80, 0xff, 0x100, 0xffff, 0x80000000, 0xffffffff};
	unsigned took = 0;

	for (size_t i = 0; i < ARRAY_LEN(requests) + 2; i++)
		for (size_t k = 0; k < ARRAY_LEN(queues); k++) {
			CLEANUP(session_close) struct session s;
			struct vu_vring_addr a = {.index = queues[k]};
			uint32_t request = i < ARRAY_LEN(requests)    ? requests[i]
					   : i == ARRAY_LEN(requests) ? VU_SET_VRING_ADDR
								      : VU_SET_VRING_KICK;
			CLEANUP(fd_cleanup) int fd = eventfd(0, EFD_CLOEXEC);
			enum reaction x;
			struct vu_msg m;

			if (queues[k] < r->queues * (r->kind ? r->kind->units : 1))
				continue;
			if (greet(r, &s, NULL) < 0 || session_memory(&s, &r->e) < 0)
				return lost(r);
			trying(r, "request %u for queue %#x", request, queues[k]);
			if (request == VU_SET_VRING_ADDR)
				vu_put(&m, request, &a, sizeof(a));
			else if (request == VU_SET_VRING_KICK)
				vu_put_vring_fd(&m, request, queues[k] & 0xff, fd);
			else
				vu_put_state(&m, request, queues[k], 1);
			if (request == VU_GET_VRING_BASE) { /* has an answer, right or wrong, or none */
				s.l.ms = 300;
				link_say(&s.l, &m, &r->e);
				link_answer_raw(&s.l, &m, &r->e);
				x = CLOSED;
			} else {
				x = provoke(r, &s, &m);
			}
			if (x == SILENT)
				return fail(r, "request %u for queue %#x: went silent", request, queues[k]);
			took += x == ANSWERS && s.l.acks;
		}
	return took ? warn(r, "acknowledged %u messages for queues that it does not have", took) : pass(r, "refused");
}

static enum verdict ring_sizes(struct run *r)
{
	static const uint32_t sizes_tried[] = {0, 3, 0x8001, 0x10000, 0x80000000, 0xffffffff};
	char took[128] = "";
	size_t used = 0;

	for (size_t k = 0; k < ARRAY_LEN(sizes_tried); k++) {
		CLEANUP(session_close) struct session s;
		struct vu_msg m;
		enum reaction a;

		if (greet(r, &s, NULL) < 0 || session_memory(&s, &r->e) < 0 ||
		    ring_make(&s.ring[0], 0, &s.mem, 0x10000, 0, &r->e) < 0)
			return lost(r);
		trying(r, "a ring of %u", sizes_tried[k]);
		vu_put_state(&m, VU_SET_VRING_NUM, 0, sizes_tried[k]);
		a = provoke(r, &s, &m);
		if (a == SILENT)
			return fail(r, "a ring of %u: went silent", sizes_tried[k]);
		if (a == ANSWERS && s.l.acks && used < sizeof(took) - 16)
			used += (size_t)snprintf(took + used, sizeof(took) - used, " %u", sizes_tried[k]);
		/* Started all the same, with a kick. */
		if (a == ANSWERS && session_set_addr(&s, &s.ring[0], &r->e) == 0) {
			vu_put_vring_fd(&m, VU_SET_VRING_KICK, 0, s.ring[0].kick);
			link_tell(&s.l, &m, &r->e);
			link_tell_state(&s.l, VU_SET_VRING_ENABLE, 0, 1, &r->e);
			ring_offer(&s.ring[0], 0);
			ring_kick(&s.ring[0]);
			link_barrier(&s.l, &r->e);
		}
	}
	return used ? warn(r, "acknowledged rings of these sizes:%s", took) : pass(r, "refused");
}

static enum verdict addresses(struct run *r)
{
	static const uint64_t tries[] = {0, 1, 0x700000000000 + MEM_REGION - 8, 0x7fffffffe000, UINT64_MAX - 15, 0x700000000001};
	unsigned took = 0;

	for (size_t k = 0; k < ARRAY_LEN(tries) * 3; k++) {
		CLEANUP(session_close) struct session s;
		struct vu_vring_addr a;
		struct vu_msg m;
		enum reaction x;

		if (greet(r, &s, NULL) < 0 || session_memory(&s, &r->e) < 0 ||
		    ring_make(&s.ring[0], 0, &s.mem, 0x10000, 0, &r->e) < 0 ||
		    link_tell_state(&s.l, VU_SET_VRING_NUM, 0, RING_SIZE, &r->e) < 0)
			return lost(r);
		trying(r, "a ring's part %u at %#" PRIx64, (unsigned)(k % 3), tries[k / 3]);
		a = (struct vu_vring_addr){.desc = memory_user(&s.mem, ring_desc_at(&s.ring[0])),
					   .used = memory_user(&s.mem, ring_used_at(&s.ring[0])),
					   .avail = memory_user(&s.mem, ring_avail_at(&s.ring[0]))};
		*(k % 3 == 0 ? &a.desc : k % 3 == 1 ? &a.used : &a.avail) = tries[k / 3];
		vu_put(&m, VU_SET_VRING_ADDR, &a, sizeof(a));
		x = provoke(r, &s, &m);
		if (x == SILENT)
			return fail(r, "a ring at %#" PRIx64 ": went silent", tries[k / 3]);
		if (x == ANSWERS) { /* some look only when it starts */
			vu_put_vring_fd(&m, VU_SET_VRING_KICK, 0, s.ring[0].kick);
			x = provoke(r, &s, &m);
			link_tell_state(&s.l, VU_SET_VRING_ENABLE, 0, 1, &r->e);
			ring_offer(&s.ring[0], 0);
			ring_kick(&s.ring[0]);
			link_barrier(&s.l, &r->e);
			took += x == ANSWERS && s.l.acks;
		}
	}
	return took ? warn(r, "acknowledged %u of %zu rings outside of memory or misaligned, and their start", took,
			   ARRAY_LEN(tries) * 3)
		    : pass(r, "refused");
}

static enum verdict order(struct run *r)
{
	CLEANUP(fd_cleanup) int fd = eventfd(1, EFD_CLOEXEC);

	for (unsigned k = 0; k < 6; k++) {
		CLEANUP(session_close) struct session s;
		struct vu_msg m;

		if (greet(r, &s, NULL) < 0)
			return lost(r);
		if (k == 0)
			vu_put_vring_fd(&m, VU_SET_VRING_KICK, 0, fd); /* no memory, no size, no address */
		else if (k == 1)
			vu_put_state(&m, VU_SET_VRING_ENABLE, 0, 1);
		else if (k == 2)
			vu_put_vring_fd(&m, VU_SET_VRING_CALL, 0, fd);
		else if (k == 3)
			vu_put_state(&m, VU_GET_VRING_BASE, 0, 0);
		else if (k == 4)
			vu_put(&m, VU_RESET_DEVICE, NULL, 0);
		else
			vu_put(&m, VU_SET_OWNER, NULL, 0);
		trying(r, "request %u before everything else", m.hdr.request);
		if (provoke(r, &s, &m) == SILENT && k != 3)
			return fail(r, "request %u before everything else: went silent", m.hdr.request);
		link_tell_state(&s.l, VU_SET_VRING_ENABLE, 0, 1, &r->e);
		link_barrier(&s.l, &r->e);
	}
	return pass(r, "refused or without effect");
}

/* Plausible headers, payloads of noise; the same each time. */
static enum verdict noise(struct run *r)
{
	uint64_t x = 0x9e3779b97f4a7c15;
	const unsigned rounds = 120;

	for (unsigned i = 0; i < rounds; i++) {
		CLEANUP(session_close) struct session s;
		struct vu_msg m = {.n_fds = 0};

		if (greet(r, &s, NULL) < 0 || session_memory(&s, &r->e) < 0)
			return lost(r);
		trying(r, "%u connections with noise", i + 1);
		for (unsigned k = 0; k < 6; k++) {
			for (unsigned j = 0; j < VU_PAYLOAD_MAX; j++) {
				x ^= x << 13;
				x ^= x >> 7;
				x ^= x << 17;
				m.payload[j] = (uint8_t)(x & 3 ? 0 : x >> 8);
			}
			m.hdr = (struct vu_hdr){(uint32_t)(x >> 20) % 45, VU_VERSION, (uint32_t)(x >> 40) % 64};
			m.n_fds = (x >> 50) % 3 == 0;
			m.fds[0] = s.mem.fd;
			if (link_say(&s.l, &m, &r->e) < 0)
				break;
		}
		link_silent(&s.l, 5);
	}
	return pass(r, "%u connections of 6 messages", rounds);
}

#define MESSAGES "vhost-user, Message Specification"
#define SURVIVE  "Whatever a front-end sends, a daemon refuses it or closes the connection; it serves the next one."
#define NEVER    "never does that; a daemon that several guests share is ended by one of them"

static const struct test table[] = {
    {"messages.truncated", THEN_IO, "a message cut off after each of its bytes, then the end", MESSAGES, SURVIVE,
     "is killed in the middle of a message now and then, too", truncated},
    {"messages.slow", 0, "a message byte by byte", MESSAGES, "The socket is a stream: a message may arrive in any pieces.",
     "sends whole messages, the kernel may cut them", slow},
    {"messages.joined", 0, "three messages in one write", MESSAGES,
     "The socket is a stream: messages have no borders but their sizes.",
     "waits for answers; without REPLY_ACK several messages travel together", joined},
    {"messages.sizes", THEN_IO, "requests whose size is wrong, from 0 to 4 GiB", MESSAGES, SURVIVE, NEVER, sizes},
    {"messages.unknown", THEN_IO, "requests that do not exist", MESSAGES, SURVIVE,
     "never does that; newer front-ends ask for what older daemons do not know", unknown},
    {"messages.flags", THEN_IO, "messages of other versions, and answers that nobody asked for", MESSAGES,
     "Lower 2 bits are the version (currently 0x01); bit 2 is the reply flag.", NEVER, flags},
    {"messages.no_fds", THEN_IO, "messages without the descriptor that belongs to them", MESSAGES, SURVIVE, NEVER, no_fds},
    {"messages.many_fds", THEN_IO, "GET_FEATURES with 1 to 253 descriptors", MESSAGES,
     "Descriptors that a message does not have are not kept.", NEVER, many_fds},
    {"messages.queues", THEN_IO, "messages for queues that do not exist", "vhost-user, A vring state description", SURVIVE, NEVER,
     indices},
    {"messages.ring_sizes", THEN_IO, "rings of 0, 3 and more than 32768 entries", "virtio 1.2, 2.7 Split Virtqueues",
     "Queue Size is a power of two, at most 32768.", "checks what the driver asks for", ring_sizes},
    {"messages.ring_addresses", THEN_IO, "rings outside of memory, at its end, wrapping, misaligned",
     "vhost-user, SET_VRING_ADDR",
     "Addresses are user addresses of a region; descriptors are aligned to 16 bytes, available ring to 2, used ring to 4.",
     "checks that a driver's rings are in the memory granted", addresses},
    {"messages.order", THEN_IO, "kick, enable, call, GET_VRING_BASE before memory and rings", MESSAGES, SURVIVE, NEVER, order},
    {"messages.noise", THEN_IO, "requests with payloads of noise", MESSAGES, SURVIVE, NEVER, noise},
};
const struct tests message_tests = {table, ARRAY_LEN(table)};
