#include "wire/memsrv.h"
#include "wire/codec.h"

#include "common.pb-c.h"
#include "memsrv.pb-c.h"

static void plan_put(struct codec *c, const void *in, void *msg)
{
	const struct ms_plan *p = in;
	Pb__MsPlan *out = msg;

	out->plan = codec_plan_put(c, p->plan);
	out->tags = codec_tags_put(c, p->tags, p->n_tags);
	out->n_tags = p->n_tags;
}

static void plan_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__MsPlan *in = msg;
	struct ms_plan *ret = out;

	ret->plan = codec_plan_get(c, in->plan);
	codec_tags_get(c, in->tags, in->n_tags, m, ret->tags);
	ret->n_tags = in->n_tags;
}

static void zones_put(struct codec *c, const void *in, void *msg)
{
	const struct ms_zones *z = in;
	Pb__MsZones *out = msg;

	out->tags = codec_tags_put(c, z->tags, z->n_tags);
	out->n_tags = z->n_tags;
	out->reports = codec_reports_put(c, z->reports, z->n_reports);
	out->n_reports = z->n_reports;
}

static void zones_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__MsZones *in = msg;
	struct ms_zones *ret = out;

	codec_tags_get(c, in->tags, in->n_tags, m, ret->tags);
	ret->n_tags = in->n_tags;
	ret->reports = codec_reports_get(c, in->reports, in->n_reports);
	ret->n_reports = in->n_reports;
}

static void allow_put(struct codec *c, const void *in, void *msg)
{
	const struct ms_allow *r = in;
	Pb__MsAllow *out = msg;

	out->zone = r->zone;
	out->bytes = r->bytes;
}

static void allow_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__MsAllow *in = msg;
	struct ms_allow *ret = out;

	ret->zone = (uint16_t)codec_u32(c, in->zone, 0, LIM_ZONES - 1, "zone");
	ret->bytes = in->bytes;
}

static const struct codec_row rows[] = {
    {MS_PLAN, CODEC_TAGGED, &pb__ms_plan__descriptor, plan_put, plan_get},
    {MS_QUERY, 0},
    {MS_PLUGGER, 1},
    {MS_ALLOW, 0, &pb__ms_allow__descriptor, allow_put, allow_get},
    {MS_ZONES, CODEC_TAGGED, &pb__ms_zones__descriptor, zones_put, zones_get},
    {MS_PROGRESS, 0, &pb__progress__descriptor, codec_progress_put, codec_progress_get},
    {MS_FAILED, 0, &pb__failed__descriptor, codec_failed_put, codec_failed_get},
};

int ms_encode(const struct ms_msg *m, void *buf, size_t cap, size_t *ret_len, struct err *e)
{
	return codec_encode(rows, ARRAY_LEN(rows), m->op, m->serial, &m->u, buf, cap, ret_len, e);
}

int ms_decode(const struct chan_msg *m, struct arena *a, struct ms_msg *ret, struct err *e)
{
	struct ms_msg out = {0};
	struct wire_hdr h;
	int r = codec_decode(rows, ARRAY_LEN(rows), m, a, &h, &out.u, e);

	if (r < 0)
		return r;
	out.op = h.op;
	out.serial = h.serial;
	*ret = out;
	return 0;
}
