/* The parts that several protocols share: fd tags, page reports, end reports, progress, failures, the state of a balloon. */
#include "wire/codec.h"

#include "common.pb-c.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

Pb__FdTag **codec_tags_put(struct codec *c, const struct fd_tag *tags, size_t n)
{
	Pb__FdTag **out = codec_messages(c, &pb__fd_tag__descriptor, n);

	assert(n <= CHAN_FDS_MAX);
	CODEC_EACH(c, i, n)
	{
		out[i]->role = tags[i].role;
		out[i]->index = tags[i].index;
	}
	return out;
}

void codec_tags_get(struct codec *c, Pb__FdTag *const *in, size_t n, const struct chan_msg *m, struct fd_tag *tags)
{
	codec_fd_count(c, m, n);
	if (n > CHAN_FDS_MAX)
		codec_fail(c, -EPROTO, "too many file descriptors");
	CODEC_EACH(c, i, n)
	{
		enum fd_role role = codec_u32(c, in[i]->role, FD_ROLE_KVM, FD_ROLE_TICKET, "role of a file descriptor");
		bool of_zone = role == FD_ROLE_ZONE || role == FD_ROLE_ZONE_FILE;
		bool of_device = role == FD_ROLE_DEVICE || role == FD_ROLE_TICKET;

		tags[i].role = role;
		tags[i].index = (uint16_t)codec_u32(c, in[i]->index, 0,
						    of_zone                       ? LIM_ZONES - 1
						    : of_device                   ? LIM_DEVICES - 1
						    : role == FD_ROLE_EPC         ? LIM_EPC - 1
						    : role == FD_ROLE_SERIAL_FILE ? 1
										  : 0,
						    "index of a file descriptor");
		for (size_t j = 0; j < i; j++)
			if (tags[j].role == role && tags[j].index == tags[i].index)
				codec_fail(c, -EPROTO, "two file descriptors for the same thing");
	}
}

Pb__NodePages **codec_pages_put(struct codec *c, const struct node_pages *p, size_t n)
{
	Pb__NodePages **out = codec_messages(c, &pb__node_pages__descriptor, n);

	CODEC_EACH(c, i, n)
	{
		out[i]->node = p[i].node;
		out[i]->pages = p[i].pages;
	}
	return out;
}

struct node_pages *codec_pages_get(struct codec *c, Pb__NodePages *const *in, size_t n)
{
	struct node_pages *out = codec_array(c, n, LIM_HOST_NODES + 1, sizeof(*out), "nodes in a page count");

	CODEC_EACH(c, i, n)
	{
		if (in[i]->node < NODE_UNKNOWN || in[i]->node >= (int32_t)LIM_HOST_NODES)
			codec_fail(c, -EPROTO, "host node %d", in[i]->node);
		out[i].node = in[i]->node;
		out[i].pages = in[i]->pages;
	}
	return out;
}

Pb__ZoneReport **codec_reports_put(struct codec *c, const struct zone_report *r, size_t n)
{
	Pb__ZoneReport **out = codec_messages(c, &pb__zone_report__descriptor, n);

	CODEC_EACH(c, i, n)
	{
		out[i]->zone = r[i].zone;
		out[i]->page_size = r[i].page_size;
		out[i]->nodes = codec_pages_put(c, r[i].nodes, r[i].n);
		out[i]->n_nodes = r[i].n;
	}
	return out;
}

struct zone_report *codec_reports_get(struct codec *c, Pb__ZoneReport *const *in, size_t n)
{
	struct zone_report *out = codec_array(c, n, LIM_ZONES, sizeof(*out), "zone reports");

	CODEC_EACH(c, i, n)
	{
		out[i].zone = (uint16_t)codec_u32(c, in[i]->zone, 0, LIM_ZONES - 1, "zone");
		out[i].page_size = in[i]->page_size;
		if (!is_pow2(in[i]->page_size) || in[i]->page_size < GUEST_PAGE)
			codec_fail(c, -EPROTO, "page size %llu", (unsigned long long)in[i]->page_size);
		for (size_t j = 0; j < i; j++)
			if (out[j].zone == out[i].zone)
				codec_fail(c, -EPROTO, "two reports of zone %u", (unsigned)out[i].zone);
		out[i].nodes = codec_pages_get(c, in[i]->nodes, in[i]->n_nodes);
		out[i].n = in[i]->n_nodes;
	}
	return out;
}

#define END_REGS 23u

/* The order on the wire is the order in struct end_report. */
static_assert(offsetof(struct end_report, efer) - offsetof(struct end_report, rax) == (END_REGS - 1) * sizeof(uint64_t),
	      "end_report's registers are one run of 64-bit fields");

void codec_end_put(struct codec *c, const void *in, void *msg)
{
	const struct end_report *r = in;
	Pb__EndReport *out = msg;

	out->cause = r->cause;
	out->vcpu = r->vcpu;
	out->detail = codec_blob_n(r->detail, sizeof(r->detail) - 1);
	if (r->has_regs) {
		out->n_regs = END_REGS;
		out->regs = (uint64_t *)(uintptr_t)((const uint8_t *)r + offsetof(struct end_report, rax));
		out->cs = r->cs;
		out->ss = r->ss;
	}
	assert(r->n_insn <= END_INSN_MAX);
	out->insn = (ProtobufCBinaryData){r->n_insn, (uint8_t *)(uintptr_t)r->insn};
	if (r->has_access) {
		out->has_access = true;
		out->access_addr = r->access_addr;
		out->access_len = r->access_len;
		out->access_write = r->access_write;
	}
}

Pb__EndReport *codec_end_new(struct codec *c, const struct end_report *r)
{
	Pb__EndReport *out = codec_message(c, &pb__end_report__descriptor);

	if (out)
		codec_end_put(c, r, out);
	return out;
}

void codec_end_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__EndReport *in = msg;
	struct end_report r = {0}, *ret = out;

	r.cause = codec_u32(c, in->cause, END_POWEROFF, END_BROKER_GONE, "end cause");
	r.vcpu = codec_u32(c, in->vcpu, 0, LIM_CPUS, "vCPU");
	codec_text_into(c, in->detail, r.detail, sizeof(r.detail), "detail");
	codec_make_plain(r.detail);
	if (in->n_regs != 0 && in->n_regs != END_REGS)
		codec_fail(c, -EPROTO, "%zu registers", in->n_regs);
	if (in->insn.len > END_INSN_MAX)
		codec_fail(c, -EPROTO, "%zu instruction bytes", in->insn.len);
	r.cs = (uint16_t)codec_u32(c, in->cs, 0, UINT16_MAX, "cs");
	r.ss = (uint16_t)codec_u32(c, in->ss, 0, UINT16_MAX, "ss");
	if (c->rc)
		return;
	if (in->n_regs) {
		r.has_regs = true;
		memcpy((uint8_t *)&r + offsetof(struct end_report, rax), in->regs, END_REGS * sizeof(uint64_t));
	}
	r.n_insn = (uint8_t)in->insn.len;
	if (r.n_insn)
		memcpy(r.insn, in->insn.data, r.n_insn);
	r.has_access = in->has_access;
	r.access_addr = in->access_addr;
	r.access_len = in->access_len;
	r.access_write = in->access_write;
	*ret = r;
}

void codec_progress_put(struct codec *c, const void *in, void *msg)
{
	const struct wire_progress *p = in;
	Pb__Progress *out = msg;

	out->zone = p->zone;
	out->done = p->done;
	out->total = p->total;
}

void codec_progress_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__Progress *in = msg;
	struct wire_progress *ret = out;

	if (in->done > in->total)
		codec_fail(c, -EPROTO, "progress beyond the end");
	ret->zone = (uint16_t)codec_u32(c, in->zone, 0, LIM_ZONES - 1, "zone");
	ret->done = in->done;
	ret->total = in->total;
}

void codec_failed_put(struct codec *c, const void *in, void *msg)
{
	const struct wire_failed *f = in;
	Pb__Failed *out = msg;

	out->code = f->code;
	out->text = codec_blob_n(f->text, ERR_TEXT_MAX - 1);
}

void codec_failed_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__Failed *in = msg;
	struct wire_failed *ret = out;

	if (in->code >= 0 || in->code < -4095)
		codec_fail(c, -EPROTO, "error code %d", in->code);
	ret->code = in->code;
	ret->text = codec_text_said(c, in->text, ERR_TEXT_MAX - 1, "text of a failure");
	if (!ret->text)
		codec_fail(c, -EPROTO, "text of a failure is missing");
}

void codec_balloon_state_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_balloon_state *b = in;
	Pb__BalloonState *out = msg;

	out->wanted = b->wanted;
	out->actual = b->actual;
	out->driver = b->driver;
	out->given = b->given;
	out->reported = b->reported;
	out->kept = b->kept;
	out->foreign = b->foreign;
}

Pb__BalloonState *codec_balloon_state_new(struct codec *c, const struct wk_balloon_state *b)
{
	Pb__BalloonState *out = codec_message(c, &pb__balloon_state__descriptor);

	if (out)
		codec_balloon_state_put(c, b, out);
	return out;
}

void codec_balloon_state_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__BalloonState *in = msg;
	struct wk_balloon_state *ret = out;

	if (in->wanted > BALLOON_MAX || in->actual > BALLOON_MAX)
		codec_fail(c, -EPROTO, "a balloon larger than any");
	*ret = (struct wk_balloon_state){.wanted = in->wanted,
					 .actual = in->actual,
					 .driver = in->driver,
					 .given = in->given,
					 .reported = in->reported,
					 .kept = in->kept,
					 .foreign = in->foreign};
}
