#include "wire/memsrv.h"
#include "wire/codec.h"

#include "common.pb-c.h"
#include "memsrv.pb-c.h"

#include <assert.h>
#include <errno.h>

static const ProtobufCMessage *plan_put(struct codec *c, const struct ms_plan *p)
{
	Pb__MsPlan *out = codec_message(c, &pb__ms_plan__descriptor);

	if (!out)
		return NULL;
	out->plan = codec_plan_put(c, p->plan);
	out->tags = codec_tags_put(c, p->tags, p->n_tags);
	out->n_tags = p->n_tags;
	return &out->base;
}

static void plan_get(struct codec *c, const struct chan_msg *m, struct ms_plan *ret)
{
	const Pb__MsPlan *in = codec_unpack(c, &pb__ms_plan__descriptor, m);

	if (!in)
		return;
	ret->plan = codec_plan_get(c, in->plan);
	codec_tags_get(c, in->tags, in->n_tags, m, ret->tags);
	ret->n_tags = in->n_tags;
}

static const ProtobufCMessage *zones_put(struct codec *c, const struct ms_zones *z)
{
	Pb__MsZones *out = codec_message(c, &pb__ms_zones__descriptor);

	if (!out)
		return NULL;
	out->tags = codec_tags_put(c, z->tags, z->n_tags);
	out->n_tags = z->n_tags;
	out->reports = codec_reports_put(c, z->reports, z->n_reports);
	out->n_reports = z->n_reports;
	return &out->base;
}

static void zones_get(struct codec *c, const struct chan_msg *m, struct ms_zones *ret)
{
	const Pb__MsZones *in = codec_unpack(c, &pb__ms_zones__descriptor, m);

	if (!in)
		return;
	codec_tags_get(c, in->tags, in->n_tags, m, ret->tags);
	ret->n_tags = in->n_tags;
	ret->reports = codec_reports_get(c, in->reports, in->n_reports);
	ret->n_reports = in->n_reports;
}

static const ProtobufCMessage *allow_put(struct codec *c, const struct ms_allow *r)
{
	Pb__MsAllow *out = codec_message(c, &pb__ms_allow__descriptor);

	if (!out)
		return NULL;
	out->zone = r->zone;
	out->bytes = r->bytes;
	return &out->base;
}

static void allow_get(struct codec *c, const struct chan_msg *m, struct ms_allow *ret)
{
	const Pb__MsAllow *in;

	codec_fd_count(c, m, 0);
	in = codec_unpack(c, &pb__ms_allow__descriptor, m);
	if (!in)
		return;
	ret->zone = (uint16_t)codec_u32(c, in->zone, 0, LIM_ZONES - 1, "zone");
	ret->bytes = in->bytes;
}

int ms_encode(const struct ms_msg *m, void *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct arena a = arena_over(buf, cap);
	struct codec c = {.a = &a, .e = e};
	const ProtobufCMessage *body = NULL;

	switch (m->op) {
	case MS_PLAN:
		body = plan_put(&c, &m->u.plan);
		break;
	case MS_QUERY:
	case MS_PLUGGER:
		break;
	case MS_ALLOW:
		body = allow_put(&c, &m->u.allow);
		break;
	case MS_ZONES:
		body = zones_put(&c, &m->u.zones);
		break;
	case MS_PROGRESS:
		body =
		    (const ProtobufCMessage *)codec_progress_put(&c, m->u.progress.zone, m->u.progress.done, m->u.progress.total);
		break;
	case MS_FAILED:
		body = (const ProtobufCMessage *)codec_failed_put(&c, m->u.failed.code, m->u.failed.text);
		break;
	}
	return codec_finish(&c, m->op, m->serial, body, buf, cap, ret_len);
}

int ms_decode(const struct chan_msg *m, struct arena *a, struct ms_msg *ret, struct err *e)
{
	struct codec c = {.a = a, .e = e};
	struct ms_msg out = {0};
	struct wire_hdr h;

	if (wire_peek(m, &h) < 0)
		return err_set(e, -EPROTO, "not a message of this version");
	out.op = h.op;
	out.serial = h.serial;
	switch (h.op) {
	case MS_PLAN:
		plan_get(&c, m, &out.u.plan);
		break;
	case MS_QUERY:
		codec_fd_count(&c, m, 0);
		codec_no_body(&c, m);
		break;
	case MS_PLUGGER:
		codec_fd_count(&c, m, 1);
		codec_no_body(&c, m);
		break;
	case MS_ALLOW:
		allow_get(&c, m, &out.u.allow);
		break;
	case MS_ZONES:
		zones_get(&c, m, &out.u.zones);
		break;
	case MS_PROGRESS:
		codec_fd_count(&c, m, 0);
		codec_progress_get(&c, codec_unpack(&c, &pb__progress__descriptor, m), &out.u.progress.zone, &out.u.progress.done,
				   &out.u.progress.total);
		break;
	case MS_FAILED:
		codec_fd_count(&c, m, 0);
		codec_failed_get(&c, codec_unpack(&c, &pb__failed__descriptor, m), &out.u.failed.code, &out.u.failed.text);
		break;
	default: /* a number off the wire may be none of the enumeration */
		codec_fail(&c, -EPROTO, "operation %u does not belong here", (unsigned)h.op);
		break;
	}
	if (c.rc == 0)
		*ret = out;
	return c.rc;
}
