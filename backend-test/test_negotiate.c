/* What a daemon says about itself before anything is set up. */
#include "run.h"

#include <inttypes.h>
#include <string.h>

#define TRANSPORT_KNOWN_END 42u /* virtio 1.3: bits 24 to 41 are the transport's; 42 to 49 are reserved */

static enum verdict features(struct run *r)
{
	uint64_t reserved = r->features & (BIT(50) - BIT(TRANSPORT_KNOWN_END));

	if (!(r->features & BIT(VIRTIO_VERSION_1)))
		return fail(r, "%#" PRIx64 " lacks VIRTIO_F_VERSION_1 (bit 32)", r->features);
	if (reserved)
		return warn(r, "offers bits that no specification defines: %#" PRIx64, reserved);
	if (!(r->features & BIT(VU_F_PROTOCOL_FEATURES)))
		return warn(r, "%#" PRIx64 ", without protocol features (bit 30)", r->features);
	return pass(r, "%#" PRIx64, r->features);
}

static enum verdict again(struct run *r)
{
	CLEANUP(session_close) struct session s;
	uint64_t f;

	if (greet(r, &s, NULL) < 0 || link_ask_u64(&s.l, VU_GET_FEATURES, &f, &r->e) < 0)
		return broke(r, "asking twice");
	if (f != s.offered || f != r->features)
		return fail(r, "offered %#" PRIx64 ", then %#" PRIx64 ", in another connection %#" PRIx64, s.offered, f,
			    r->features);
	return pass(r, "the same each time, also after SET_FEATURES");
}

static enum verdict protocol(struct run *r)
{
	uint64_t unknown = r->protocol & ~(BIT(21) - 1);
	bool reply = r->protocol & BIT(VU_PF_REPLY_ACK);
	char names[512];

	feature_names(r->protocol, names, sizeof(names));
	if (unknown)
		return warn(r, "offers bits that no specification defines: %#" PRIx64, unknown);
	if (!reply)
		return warn(r, "without REPLY_ACK: what it refuses can only be guessed from a closed connection (%s)", names);
	return pass(r, "%s", names);
}

static enum verdict few(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (open_session(r, &s, &(struct want){.without = ~UINT64_C(0)}) < 0)
		return broke(r, "no protocol feature accepted");
	if (r->kind && session_io(&s, 1, false, &r->e) < 0)
		return broke(r, "a request, no protocol feature accepted");
	return pass(r, "works without any");
}

static enum verdict enabled_at_once(struct run *r)
{
	CLEANUP(session_close) struct session s;

	/* session_ring() sends no SET_VRING_ENABLE then. */
	if (open_session(r, &s, &(struct want){.refuse = BIT(VU_F_PROTOCOL_FEATURES)}) < 0)
		return broke(r, "PROTOCOL_FEATURES not accepted");
	if (session_io(&s, 1, false, &r->e) < 0)
		return broke(r, "a request without SET_VRING_ENABLE, PROTOCOL_FEATURES not accepted");
	return pass(r, "the ring is enabled from the start");
}

static enum verdict not_offered(struct run *r)
{
	CLEANUP(session_close) struct session s;
	uint64_t wrong = BIT(63) | BIT(48);
	enum reaction a;
	struct vu_msg m;

	if (r->features & wrong)
		return not_applicable(r, "it offers the bits that this test takes for never offered");
	if (greet(r, &s, NULL) < 0)
		return broke(r, "greeting");
	vu_put_u64(&m, VU_SET_FEATURES, s.features | wrong);
	a = provoke(r, &s, &m);
	if (a == SILENT)
		return fail(r, "told features %#" PRIx64 " that it did not offer, it went silent", wrong);
	if (a == ANSWERS && s.l.acks)
		return warn(r, "acknowledged features %#" PRIx64 " that it did not offer", wrong);
	return pass(r, "%s", reaction_word(a));
}

static enum verdict acks(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct vu_msg m;

	if (greet(r, &s, NULL) < 0)
		return broke(r, "greeting with acknowledgements");
	for (unsigned i = 0; i < 3; i++)
		if (link_tell_state(&s.l, VU_SET_VRING_NUM, 0, RING_SIZE, &r->e) < 0)
			return broke(r, "SET_VRING_NUM with NEED_REPLY");
	vu_put_state(&m, VU_SET_VRING_NUM, 0, RING_SIZE);
	if (link_say(&s.l, &m, &r->e) < 0)
		return broke(r, "SET_VRING_NUM");
	if (!link_silent(&s.l, 200))
		return fail(r, "answered SET_VRING_NUM, which did not ask for it");
	/* A request with an answer of its own has that one only. */
	vu_put(&m, VU_GET_FEATURES, NULL, 0);
	m.hdr.flags |= VU_NEED_REPLY;
	if (link_say(&s.l, &m, &r->e) < 0 || link_answer(&s.l, VU_GET_FEATURES, &m, &r->e) < 0)
		return broke(r, "GET_FEATURES with NEED_REPLY");
	if (!link_silent(&s.l, 200))
		return fail(r, "answered GET_FEATURES with NEED_REPLY twice");
	return pass(r, "one for each message that asks for it, none for others");
}

static enum verdict not_agreed(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct vu_msg m;

	if (greet(r, &s, &(struct want){.without = BIT(VU_PF_REPLY_ACK)}) < 0)
		return broke(r, "greeting");
	vu_put_state(&m, VU_SET_VRING_NUM, 0, RING_SIZE);
	m.hdr.flags |= VU_NEED_REPLY;
	if (link_say(&s.l, &m, &r->e) < 0)
		return broke(r, "SET_VRING_NUM");
	if (!link_silent(&s.l, 200))
		return warn(r, "acknowledges although REPLY_ACK was not agreed on");
	return pass(r, "no acknowledgement without REPLY_ACK agreed on");
}

static enum verdict queues(struct run *r)
{
	unsigned least = r->kind ? r->kind->n_rings / r->kind->units : 1;

	if (!(r->protocol & BIT(VU_PF_MQ)))
		return not_applicable(r, "needs MQ");
	if (r->queues == 0 || r->queues > 0x8000)
		return fail(r, "says that it has %" PRIu64 " queues", r->queues);
	if (r->queues < least)
		return fail(r, "says that it has %" PRIu64 " queues, a device of this type has %u at least", r->queues, least);
	return pass(r, "%" PRIu64, r->queues);
}

static enum verdict slots(struct run *r)
{
	CLEANUP(session_close) struct session s;
	uint64_t n;

	if (greet(r, &s, NULL) < 0 || link_ask_u64(&s.l, VU_GET_MAX_MEM_SLOTS, &n, &r->e) < 0)
		return broke(r, "GET_MAX_MEM_SLOTS");
	if (n == 0)
		return fail(r, "says that it can hold no region of memory");
	if (n < VU_REGIONS_MAX)
		return warn(r, "%" PRIu64 " regions; a front-end may have up to 8 in a table", n);
	return pass(r, "%" PRIu64 " regions", n);
}

static const struct test table[] = {
    {"negotiate.features", 0, "GET_FEATURES", "virtio 1.2, 6 Reserved Feature Bits; vhost-user, Communication",
     "A device offers VIRTIO_F_VERSION_1; VHOST_USER_F_PROTOCOL_FEATURES (bit 30) says that there are protocol features.",
     "refuses a device before version 1; without protocol features it has neither CONFIG nor acknowledgements", features},
    {"negotiate.again", 0, "GET_FEATURES again, and in another connection", "vhost-user, GET_FEATURES",
     "The features bitmask is that of the underlying implementation; it does not depend on what was said before.",
     "refuses a daemon that comes back with less than the guest was shown", again},
    {"negotiate.protocol", NEED_PROTOCOL, "GET_PROTOCOL_FEATURES", "vhost-user, Protocol features",
     "Bits beyond those that are defined must not be set.", "accepts what it knows and ignores the rest", protocol},
    {"negotiate.few", 0, "a device with VERSION_1 alone and no protocol feature", "vhost-user, Communication",
     "Protocol extensions are gated by feature bits: what the front-end did not accept is not used.",
     "accepts more than that; other front-ends do not", few},
    {"negotiate.enabled_at_once", NEED_IO, "SET_FEATURES without PROTOCOL_FEATURES, no SET_VRING_ENABLE",
     "vhost-user, Ring states",
     "If VHOST_USER_F_PROTOCOL_FEATURES has not been negotiated, the ring starts directly in the enabled state.",
     "accepts it where it is offered; other front-ends do not", enabled_at_once},
    {"negotiate.not_offered", 0, "SET_FEATURES with bits that were not offered", "virtio 1.2, 2.2 Feature Bits",
     "The driver must not accept a feature which the device did not offer; a device should refuse.", "never does that",
     not_offered},
    {"negotiate.reply_ack", NEED_ACK, "messages with and without NEED_REPLY", "vhost-user, VHOST_USER_PROTOCOL_F_REPLY_ACK",
     "With NEED_REPLY the back-end sends a u64: 0 for success, otherwise not; requests with a reply of their own have only that.",
     "waits 10 s for each acknowledgement, then drops the connection; an answer that nobody asked for ends it at once", acks},
    {"negotiate.no_reply_ack", NEED_ACK, "NEED_REPLY although REPLY_ACK was not agreed on",
     "vhost-user, VHOST_USER_PROTOCOL_F_REPLY_ACK", "The flag has a meaning only once the feature was negotiated.",
     "never does that", not_agreed},
    {"negotiate.queues", NEED_PROTOCOL, "GET_QUEUE_NUM", "vhost-user, Multiple queue support",
     "The maximum number of queues (of network devices: of pairs) that the back-end supports.",
     "refuses a device with fewer queues than num_queues asks for", queues},
    {"negotiate.slots", NEED_SLOTS, "GET_MAX_MEM_SLOTS", "vhost-user, GET_MAX_MEM_SLOTS",
     "The number of memory slots that the back-end is able to hold.", "refuses a VM with more pieces of memory than that", slots},
};
const struct tests negotiate_tests = {table, ARRAY_LEN(table)};
