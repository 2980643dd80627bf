/* Rings: started, used, stopped, and started where they stopped. */
#include "run.h"

#include "bulkhead/fd.h"

#include <inttypes.h>
#include <sys/eventfd.h>

static enum verdict expect_base(struct run *r, struct session *s, uint16_t want)
{
	uint16_t base;

	if (session_stop(s, session_io_ring(s), &base, &r->e) < 0)
		return broke(r, "GET_VRING_BASE");
	if (base != want)
		return fail(r, "the ring stopped at %u, GET_VRING_BASE says %u", want, base);
	return PASS;
}

static enum verdict start_stop(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	if (session_io(&s, 8, false, &r->e) < 0)
		return broke(r, "8 requests");
	if (expect_base(r, &s, session_io_ring(&s)->avail) != PASS)
		return FAIL;
	return pass(r, "GET_VRING_BASE is right");
}

static enum verdict empty(struct run *r)
{
	CLEANUP(session_close) struct session s;
	uint16_t base;

	if (open_session(r, &s, &(struct want){.base = 1000}) < 0)
		return broke(r, "setting the device up at 1000");
	if (session_stop(&s, &s.ring[0], &base, &r->e) < 0)
		return broke(r, "GET_VRING_BASE");
	/* fs: its first queue is not the one with requests; net: receiving takes nothing that is not there */
	if (base != s.ring[0].avail)
		return fail(r, "a ring set to %u with nothing in it stopped at %u", s.ring[0].avail, base);
	return pass(r, "stops where it was set to");
}

static enum verdict restart(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *ring;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	for (unsigned round = 0; round < 3; round++) {
		if (session_io(&s, 5, false, &r->e) < 0)
			return broke(r, round ? "requests after a restart" : "requests");
		if (expect_base(r, &s, ring->avail) != PASS)
			return FAIL;
		/* What was made available meanwhile is found at the start, without a kick. */
		if (session_ring(&s, ring, &r->e) < 0)
			return broke(r, "starting the ring again");
	}
	return pass(r, "three times");
}

static enum verdict waiting(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *ring;
	uint16_t base;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	if (session_stop(&s, ring, &base, &r->e) < 0)
		return broke(r, "GET_VRING_BASE");
	session_submit(&s, 3, false); /* kicked while it is stopped: the eventfd remembers */
	if (!ring_quiet(ring, 300))
		return fail(r, "answered requests of a stopped ring");
	if (session_ring(&s, ring, &r->e) < 0 || session_complete(&s, 3, &r->e) < 0)
		return broke(r, "requests that waited for the start");
	return pass(r, "found after the start");
}

static enum verdict wrap(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (open_session(r, &s, &(struct want){.base = 65530}) < 0)
		return broke(r, "setting the device up at 65530");
	for (unsigned i = 0; i < 4; i++)
		if (session_io(&s, 5, false, &r->e) < 0)
			return broke(r, "requests from index 65530 on");
	if (expect_base(r, &s, session_io_ring(&s)->avail) != PASS)
		return FAIL;
	return pass(r, "20 requests over the end of the indices");
}

static enum verdict many(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	for (unsigned i = 0; i < 60; i++)
		if (session_io(&s, 1 + i % 20, false, &r->e) < 0)
			return broke(r, "requests, up to 20 at once");
	if (expect_base(r, &s, session_io_ring(&s)->avail) != PASS)
		return FAIL;
	return pass(r, "%u requests, up to 20 at once, each came back once", session_io_ring(&s)->avail);
}

static enum verdict indirect(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (open_session(r, &s, &(struct want){.features = BIT(VIRTIO_INDIRECT)}) < 0)
		return broke(r, "setting the device up");
	for (unsigned i = 0; i < 8; i++)
		if (session_io(&s, 16, true, &r->e) < 0)
			return broke(r, "requests in indirect tables");
	return pass(r, "128 requests");
}

static enum verdict event_index(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *ring;

	if (open_session(r, &s, &(struct want){.features = BIT(VIRTIO_EVENT_IDX)}) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	ring_called(ring, 0);
	for (unsigned i = 0; i < 30; i++) {
		ring_set_used_event(ring, ring->seen); /* call at the next one */
		if (session_io(&s, 1, false, &r->e) < 0)
			return broke(r, "a request with EVENT_IDX");
		if (!ring_called(ring, (int)r->ms))
			return fail(r, "no call for used entry %u, although used_event says %u", ring->seen - 1, ring->seen - 1);
	}
	return pass(r, "calls when used_event is passed");
}

static enum verdict calls(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *ring;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	for (unsigned i = 0; i < 10; i++) {
		ring_called(ring, 0);
		if (session_io(&s, 1, false, &r->e) < 0)
			return broke(r, "a request");
		if (!ring_called(ring, (int)r->ms))
			return fail(r, "a request came back without a call");
	}
	ring_set_flags(ring, VRING_AVAIL_F_NO_INTERRUPT);
	if (session_io(&s, 1, false, &r->e) < 0)
		return broke(r, "a request");
	ring_called(ring, 50);
	if (session_io(&s, 1, false, &r->e) < 0)
		return broke(r, "a request with NO_INTERRUPT");
	if (ring_called(ring, 100))
		return warn(r, "calls although the driver has set NO_INTERRUPT");
	return pass(r, "each time, and not with NO_INTERRUPT");
}

static enum verdict no_call_fd(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct vu_msg m;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	vu_put_vring_fd(&m, VU_SET_VRING_CALL, session_io_ring(&s)->queue, -1);
	if (link_tell(&s.l, &m, &r->e) < 0 || link_barrier(&s.l, &r->e) < 0)
		return broke(r, "SET_VRING_CALL without a descriptor");
	if (session_io(&s, 4, false, &r->e) < 0)
		return broke(r, "requests of a driver that polls");
	return pass(r, "works for a driver that polls");
}

static enum verdict new_call_fd(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *ring;
	struct vu_msg m;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	for (unsigned i = 0; i < 20; i++) {
		fd_cleanup(&ring->call);
		ring->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		vu_put_vring_fd(&m, VU_SET_VRING_CALL, ring->queue, ring->call);
		if (link_tell(&s.l, &m, &r->e) < 0 || link_barrier(&s.l, &r->e) < 0)
			return broke(r, "another descriptor for calls while the ring runs");
		ring_called(ring, 0); /* some call at once, so that none is missed */
		if (session_io(&s, 1, false, &r->e) < 0)
			return broke(r, "a request");
		if (!ring_called(ring, (int)r->ms))
			return fail(r, "no call on a descriptor that was set while the ring ran");
	}
	return pass(r, "20 times under requests");
}

static enum verdict disabled(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *ring;

	if (r->kind->id == 1)
		return not_applicable(r, "a disabled ring of a network device may take frames and drop them");
	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	ring = session_io_ring(&s);
	if (session_io(&s, 1, false, &r->e) < 0 || link_tell_state(&s.l, VU_SET_VRING_ENABLE, ring->queue, 0, &r->e) < 0 ||
	    link_barrier(&s.l, &r->e) < 0)
		return broke(r, "SET_VRING_ENABLE 0");
	session_submit(&s, 2, false);
	if (!ring_quiet(ring, 300))
		return warn(r, "answered requests of a ring that is disabled");
	if (link_tell_state(&s.l, VU_SET_VRING_ENABLE, ring->queue, 1, &r->e) < 0)
		return broke(r, "SET_VRING_ENABLE 1");
	ring_kick(ring); /* some look only when they are kicked */
	if (session_complete(&s, 2, &r->e) < 0)
		return broke(r, "requests after the ring was enabled again");
	return pass(r, "takes nothing while it is disabled");
}

static enum verdict last_queue(struct run *r)
{
	CLEANUP(session_close) struct session s;
	uint32_t last = (uint32_t)r->queues - 1;

	if (r->queues < 2)
		return not_applicable(r, "it has one queue");
	if (open_session(r, &s, &(struct want){.queue = last}) < 0)
		return broke(r, "the last queue alone");
	if (session_io(&s, 4, false, &r->e) < 0)
		return fail(r, "requests in queue %u of %" PRIu64 ": %s", last, r->queues, r->e.text);
	return pass(r, "queue %u works, with no other one in use", last);
}

#define RINGS_SPEC "vhost-user, Ring states"

static const struct test table[] = {
    {"rings.start_stop", NEED_IO, "8 requests, then GET_VRING_BASE", RINGS_SPEC,
     "GET_VRING_BASE stops the ring and replies with the next available index.",
     "stops rings that way when the driver resets the device; a wrong index makes the guest's requests be lost or done twice",
     start_stop},
    {"rings.empty", 0, "SET_VRING_BASE 1000, start, GET_VRING_BASE", RINGS_SPEC,
     "SET_VRING_BASE sets the next index to use in the available ring.", "the same", empty},
    {"rings.restart", NEED_IO, "stop and start again at the same index, three times", RINGS_SPEC,
     "The ring starts upon a kick, and stops upon GET_VRING_BASE.", "does it after each reset of the driver", restart},
    {"rings.waiting", NEED_IO, "requests made while a ring is stopped", RINGS_SPEC,
     "Stopped: the back-end must not process the ring at all; it starts when the kick descriptor is readable.",
     "guests go on filling rings while a daemon is away", waiting},
    {"rings.wrap", NEED_IO, "requests from index 65530 on", "virtio 1.2, 2.7 Split Virtqueues",
     "The index is free-running, modulo 65536.", "every guest comes there after 65536 requests", wrap},
    {"rings.many", NEED_IO, "630 requests, up to 20 at once", "virtio 1.2, 2.7.8 The Virtqueue Used Ring",
     "Each buffer comes back once, by the head of its chain.",
     "does not look at rings: the guest's driver stops using the device", many},
    {"rings.indirect", NEED_IO | NEED_INDIRECT, "requests in indirect tables", "virtio 1.2, 2.7.5.3 Indirect Descriptors",
     "The table's descriptors are the chain.", "offers the feature to the guest if the daemon does", indirect},
    {"rings.event_index", NEED_IO | NEED_EVENT, "calls with EVENT_IDX", "virtio 1.2, 2.7.7 Used Buffer Notification Suppression",
     "If EVENT_IDX was negotiated the device sends a notification when used_event is passed.",
     "offers the feature to the guest if the daemon does; a call that is missing stalls the guest", event_index},
    {"rings.calls", NEED_IO, "calls without EVENT_IDX", "virtio 1.2, 2.7.7 Used Buffer Notification Suppression",
     "With flags 0 the device must send a notification, with flags 1 it should not.", "a call that is missing stalls the guest",
     calls},
    {"rings.no_call_fd", NEED_IO, "SET_VRING_CALL without a descriptor", "vhost-user, SET_VRING_CALL",
     "Bit 8 says that no descriptor comes with it: the driver polls.", "sets a descriptor always", no_call_fd},
    {"rings.new_call_fd", NEED_IO, "SET_VRING_CALL again while the ring runs", "vhost-user, SET_VRING_CALL",
     "The event descriptor may be set at any time.", "sets it once per start; other front-ends for each masked interrupt",
     new_call_fd},
    {"rings.disabled", NEED_IO | NEED_PROTOCOL, "requests of a ring that is disabled", "vhost-user, Ring states",
     "A ring that is disabled is processed without causing any side effects; a request that is answered has one.",
     "disables rings that the driver of a network device gave up", disabled},
    {"rings.last_queue", NEED_BLK | NEED_IO, "the last queue alone", "vhost-user, Multiple queue support",
     "Queues are set up and started one by one.", "starts the queues that the driver has enabled, in any choice", last_queue},
};
const struct tests ring_tests = {table, ARRAY_LEN(table)};
