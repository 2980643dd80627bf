#include "wire/worker.h"
#include "wire/codec.h"

#include "common.pb-c.h"
#include "worker.pb-c.h"

#include <errno.h>

static const ProtobufCMessage *grant_put(struct codec *c, const struct wk_grant *g)
{
	Pb__WkGrant *out = codec_message(c, &pb__wk_grant__descriptor);

	if (!out)
		return NULL;
	out->plan = codec_plan_put(c, g->plan);
	out->vcpus_boot = g->vcpus_boot;
	out->vcpus_max = g->vcpus_max;
	out->threads_per_core = g->threads_per_core;
	out->cores_per_die = g->cores_per_die;
	out->dies_per_package = g->dies_per_package;
	out->packages = g->packages;
	out->affinity = codec_affinity_put(c, g->affinity, g->n_affinity);
	out->n_affinity = g->n_affinity;
	out->cmdline = codec_blob(g->cmdline);
	out->serial = g->serial;
	out->start = g->start;
	out->tags = codec_tags_put(c, g->tags, g->n_tags);
	out->n_tags = g->n_tags;
	return &out->base;
}

static void grant_get(struct codec *c, const struct chan_msg *m, struct wk_grant *ret)
{
	const Pb__WkGrant *in = codec_unpack(c, &pb__wk_grant__descriptor, m);

	if (!in)
		return;
	ret->plan = codec_plan_get(c, in->plan);
	ret->vcpus_boot = codec_u32(c, in->vcpus_boot, 1, LIM_CPUS, "vCPUs at boot");
	ret->vcpus_max = codec_u32(c, in->vcpus_max, ret->vcpus_boot, LIM_CPUS, "vCPUs at most");
	ret->threads_per_core = (uint16_t)codec_u32(c, in->threads_per_core, 0, LIM_CPUS, "threads per core");
	ret->cores_per_die = (uint16_t)codec_u32(c, in->cores_per_die, 0, LIM_CPUS, "cores per die");
	ret->dies_per_package = (uint16_t)codec_u32(c, in->dies_per_package, 0, LIM_CPUS, "dies per package");
	ret->packages = (uint16_t)codec_u32(c, in->packages, 0, LIM_CPUS, "packages");
	ret->affinity = codec_affinity_get(c, in->affinity, in->n_affinity);
	ret->n_affinity = in->n_affinity;
	CODEC_EACH(c, i, ret->n_affinity)
	codec_u32(c, ret->affinity[i].vcpu, 0, ret->vcpus_max - 1, "vCPU with an affinity");
	ret->cmdline = codec_text(c, in->cmdline, LIM_CMDLINE, "kernel command line");
	ret->serial = codec_u32(c, in->serial, SERIAL_UNSET, SERIAL_FILE, "serial mode");
	ret->start = in->start;
	codec_tags_get(c, in->tags, in->n_tags, m, ret->tags);
	ret->n_tags = in->n_tags;
}

static const ProtobufCMessage *reports_put(struct codec *c, const struct wk_reports *r)
{
	Pb__WkReports *out = codec_message(c, &pb__wk_reports__descriptor);

	if (!out)
		return NULL;
	out->reports = codec_reports_put(c, r->reports, r->n);
	out->n_reports = r->n;
	return &out->base;
}

static void reports_get(struct codec *c, const struct chan_msg *m, struct wk_reports *ret)
{
	const Pb__WkReports *in;

	codec_fd_count(c, m, 0);
	in = codec_unpack(c, &pb__wk_reports__descriptor, m);
	if (!in)
		return;
	ret->reports = codec_reports_get(c, in->reports, in->n_reports);
	ret->n = in->n_reports;
}

static const ProtobufCMessage *state_put(struct codec *c, const struct wk_state *s)
{
	Pb__WkState *out = codec_message(c, &pb__wk_state__descriptor);

	if (!out)
		return NULL;
	out->running = s->running;
	return &out->base;
}

static void state_get(struct codec *c, const struct chan_msg *m, struct wk_state *ret)
{
	const Pb__WkState *in;

	codec_fd_count(c, m, 0);
	in = codec_unpack(c, &pb__wk_state__descriptor, m);
	if (in)
		ret->running = in->running;
}

int wk_encode(const struct wk_msg *m, void *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct arena a = arena_over(buf, cap);
	struct codec c = {.a = &a, .e = e};
	const ProtobufCMessage *body = NULL;

	switch (m->op) {
	case WK_GRANT:
		body = grant_put(&c, &m->u.grant);
		break;
	case WK_START:
	case WK_PAUSE:
	case WK_RESUME:
	case WK_STOP:
	case WK_CONSOLE:
	case WK_QUERY:
	case WK_POWER_BUTTON:
		break;
	case WK_READY:
	case WK_STATS:
		body = reports_put(&c, &m->u.reports);
		break;
	case WK_PROGRESS:
		body =
		    (const ProtobufCMessage *)codec_progress_put(&c, m->u.progress.zone, m->u.progress.done, m->u.progress.total);
		break;
	case WK_STATE:
		body = state_put(&c, &m->u.state);
		break;
	case WK_FAILED:
		body = (const ProtobufCMessage *)codec_failed_put(&c, m->u.failed.code, m->u.failed.text);
		break;
	case WK_ENDED:
		body = (const ProtobufCMessage *)codec_end_put(&c, &m->u.ended);
		break;
	}
	return codec_finish(&c, m->op, m->serial, body, buf, cap, ret_len);
}

int wk_decode(const struct chan_msg *m, struct arena *a, struct wk_msg *ret, struct err *e)
{
	struct codec c = {.a = a, .e = e};
	struct wk_msg out = {0};
	struct wire_hdr h;

	if (wire_peek(m, &h) < 0)
		return err_set(e, -EPROTO, "not a message of this version");
	out.op = h.op;
	out.serial = h.serial;
	switch (h.op) {
	case WK_GRANT:
		grant_get(&c, m, &out.u.grant);
		break;
	case WK_CONSOLE:
		codec_fd_count(&c, m, 1);
		codec_no_body(&c, m);
		break;
	case WK_START:
	case WK_PAUSE:
	case WK_RESUME:
	case WK_STOP:
	case WK_QUERY:
	case WK_POWER_BUTTON:
		codec_fd_count(&c, m, 0);
		codec_no_body(&c, m);
		break;
	case WK_READY:
	case WK_STATS:
		reports_get(&c, m, &out.u.reports);
		break;
	case WK_PROGRESS:
		codec_fd_count(&c, m, 0);
		codec_progress_get(&c, codec_unpack(&c, &pb__progress__descriptor, m), &out.u.progress.zone, &out.u.progress.done,
				   &out.u.progress.total);
		break;
	case WK_STATE:
		state_get(&c, m, &out.u.state);
		break;
	case WK_FAILED:
		codec_fd_count(&c, m, 0);
		codec_failed_get(&c, codec_unpack(&c, &pb__failed__descriptor, m), &out.u.failed.code, &out.u.failed.text);
		break;
	case WK_ENDED:
		codec_fd_count(&c, m, 0);
		codec_end_get(&c, codec_unpack(&c, &pb__end_report__descriptor, m), &out.u.ended);
		break;
	default: /* a number off the wire may be none of the enumeration */
		codec_fail(&c, -EPROTO, "operation %u does not belong here", (unsigned)h.op);
		break;
	}
	if (c.rc == 0)
		*ret = out;
	return c.rc;
}
