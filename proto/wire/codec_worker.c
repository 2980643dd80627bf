#include "wire/worker.h"
#include "wire/codec.h"

#include "common.pb-c.h"
#include "worker.pb-c.h"

#include <errno.h>
#include <string.h>

static bool row_used(const uint32_t *row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (row[i])
			return true;
	return false;
}

/* The rows of the matrices travel from where they are. */
static void perf_put(struct codec *c, const struct wk_grant *g, Pb__WkGrant *out)
{
	size_t n = g->perf ? g->plan->n_nodes : 0;

	out->perf = codec_messages(c, &pb__node_perf__descriptor, n);
	out->n_perf = n;
	CODEC_EACH(c, i, n)
	{
		Pb__NodePerf *o = out->perf[i];
		uint32_t **const row[PERF_KINDS] = {&o->read_latency, &o->write_latency, &o->read_bandwidth, &o->write_bandwidth};
		size_t *const len[PERF_KINDS] = {&o->n_read_latency, &o->n_write_latency, &o->n_read_bandwidth,
						 &o->n_write_bandwidth};

		for (unsigned k = 0; k < PERF_KINDS; k++) {
			*row[k] = g->perf->cost[k][i];
			*len[k] = row_used(g->perf->cost[k][i], n) ? n : 0;
		}
		o->cache_size = g->perf->cache[i].size;
		o->cache_line = g->perf->cache[i].line;
	}
}

static struct node_perf *perf_get(struct codec *c, const Pb__WkGrant *in, const struct mem_plan *plan)
{
	struct node_perf *perf;

	if (in->n_perf == 0 || c->rc)
		return NULL;
	if (in->n_perf != plan->n_nodes) {
		codec_fail(c, -EPROTO, "performance of %zu nodes, there are %zu", in->n_perf, plan->n_nodes);
		return NULL;
	}
	perf = codec_array(c, 1, 1, sizeof(*perf), "memory performance");
	CODEC_EACH(c, i, in->n_perf)
	{
		const Pb__NodePerf *o = in->perf[i];
		const uint32_t *const row[PERF_KINDS] = {o->read_latency, o->write_latency, o->read_bandwidth,
							 o->write_bandwidth};
		const size_t len[PERF_KINDS] = {o->n_read_latency, o->n_write_latency, o->n_read_bandwidth, o->n_write_bandwidth};

		for (unsigned k = 0; k < PERF_KINDS; k++) {
			if (len[k] && len[k] != in->n_perf)
				codec_fail(c, -EPROTO, "performance towards %zu nodes, there are %zu", len[k], in->n_perf);
			else if (len[k])
				memcpy(perf->cost[k][i], row[k], len[k] * sizeof(*row[k]));
		}
		perf->cache[i].size = o->cache_size;
		perf->cache[i].line = (uint16_t)codec_u32(c, o->cache_line, 0, UINT16_MAX, "cache line");
	}
	return perf;
}

static void devices_put(struct codec *c, const struct wk_grant *g, Pb__WkGrant *out)
{
	out->devices = codec_messages(c, &pb__device_plan__descriptor, g->n_devices);
	out->n_devices = g->n_devices;
	CODEC_EACH(c, i, g->n_devices)
	{
		const struct device_plan *d = &g->devices[i];
		Pb__DevicePlan *o = out->devices[i];

		o->id = codec_blob_n(d->id, LIM_ID);
		o->kind = d->kind;
		o->virtio_id = d->virtio_id;
		o->pci_segment = d->pci_segment;
		o->queue_sizes = arena_array(c->a, d->n_queues, sizeof(*o->queue_sizes));
		if (!o->queue_sizes) {
			codec_fail(c, -EMSGSIZE, "message too long to be sent");
			return;
		}
		for (unsigned k = 0; k < d->n_queues; k++)
			o->queue_sizes[k] = d->queue_size[k];
		o->n_queue_sizes = d->n_queues;
		o->zones = d->zones;
		o->narrowed = d->narrowed;
		o->own = d->own;
		if (d->has_mac)
			o->mac = (ProtobufCBinaryData){sizeof(d->mac), (uint8_t *)(uintptr_t)d->mac};
		o->mtu = d->mtu;
		o->tag = codec_blob_n(d->tag, DEVICE_TAG_MAX);
	}
}

static void devices_get(struct codec *c, const Pb__WkGrant *in, struct wk_grant *ret)
{
	ret->devices = codec_array(c, in->n_devices, LIM_DEVICES, sizeof(*ret->devices), "devices");
	ret->n_devices = in->n_devices;
	CODEC_EACH(c, i, in->n_devices)
	{
		const Pb__DevicePlan *o = in->devices[i];
		struct device_plan *d = &ret->devices[i];

		codec_text_into(c, o->id, d->id, sizeof(d->id), "device id");
		d->kind = codec_u32(c, o->kind, DEVICE_DISK, DEVICE_VHOST_USER, "kind of a device");
		d->virtio_id = (uint16_t)codec_u32(c, o->virtio_id, 1, 63, "type of a device");
		d->pci_segment = (uint16_t)codec_u32(c, o->pci_segment, 0, LIM_SEGMENTS - 1, "segment of a device");
		if (o->n_queue_sizes == 0 || o->n_queue_sizes > DEVICE_QUEUES_MAX ||
		    (o->mac.len && o->mac.len != sizeof(d->mac))) {
			codec_fail(c, -EPROTO, "a device with %zu queues and a MAC address of %zu bytes", o->n_queue_sizes,
				   o->mac.len);
			return;
		}
		d->n_queues = (uint16_t)o->n_queue_sizes;
		for (unsigned k = 0; k < d->n_queues; k++)
			d->queue_size[k] = (uint16_t)codec_u32(c, o->queue_sizes[k], 1, DEVICE_QUEUE_SIZE_MAX, "size of a queue");
		d->zones = o->zones;
		d->narrowed = o->narrowed;
		d->own = o->own;
		d->has_mac = o->mac.len;
		if (d->has_mac)
			memcpy(d->mac, o->mac.data, sizeof(d->mac));
		d->mtu = (uint16_t)codec_u32(c, o->mtu, 0, UINT16_MAX, "MTU");
		codec_text_into(c, o->tag, d->tag, sizeof(d->tag), "tag of a device");
	}
}

static const ProtobufCMessage *device_put(struct codec *c, const struct wk_device *d)
{
	Pb__WkDevice *out = codec_message(c, &pb__wk_device__descriptor);

	if (!out)
		return NULL;
	out->index = d->index;
	return &out->base;
}

static void device_get(struct codec *c, const struct chan_msg *m, struct wk_device *ret)
{
	const Pb__WkDevice *in;

	codec_fd_count(c, m, WK_DEVICE_FDS);
	in = codec_unpack(c, &pb__wk_device__descriptor, m);
	if (in)
		ret->index = codec_u32(c, in->index, 0, LIM_DEVICES - 1, "number of a device");
}

static const ProtobufCMessage *device_state_put(struct codec *c, const struct wk_device_state *d)
{
	Pb__WkDeviceState *out = codec_message(c, &pb__wk_device_state__descriptor);

	if (!out)
		return NULL;
	out->index = d->index;
	out->up = d->up;
	out->hopeless = d->hopeless;
	out->text = codec_blob(d->text);
	return &out->base;
}

static void device_state_get(struct codec *c, const struct chan_msg *m, struct wk_device_state *ret)
{
	const Pb__WkDeviceState *in;

	codec_fd_count(c, m, 0);
	in = codec_unpack(c, &pb__wk_device_state__descriptor, m);
	if (!in)
		return;
	ret->index = codec_u32(c, in->index, 0, LIM_DEVICES - 1, "number of a device");
	ret->up = in->up;
	ret->hopeless = in->hopeless;
	ret->text = codec_text_said(c, in->text, 255, "state of a device");
}

static Pb__WkBalloon *balloon_put(struct codec *c, const struct wk_balloon *b)
{
	Pb__WkBalloon *out = codec_message(c, &pb__wk_balloon__descriptor);

	if (!out)
		return NULL;
	out->bytes = b->bytes;
	out->deflate_on_oom = b->deflate_on_oom;
	out->free_page_reporting = b->free_page_reporting;
	return out;
}

static void balloon_get(struct codec *c, const Pb__WkBalloon *in, struct wk_balloon *ret)
{
	if (!in)
		return;
	if (in->bytes > BALLOON_MAX || in->bytes % GUEST_PAGE)
		codec_fail(c, -EPROTO, "a balloon of %llu bytes", (unsigned long long)in->bytes);
	ret->there = true;
	ret->bytes = in->bytes;
	ret->deflate_on_oom = in->deflate_on_oom;
	ret->free_page_reporting = in->free_page_reporting;
}

static const ProtobufCMessage *balloon_state_put(struct codec *c, const struct wk_balloon_state *b)
{
	Pb__WkBalloonState *out = codec_message(c, &pb__wk_balloon_state__descriptor);

	if (!out)
		return NULL;
	out->wanted = b->wanted;
	out->actual = b->actual;
	out->driver = b->driver;
	out->given = b->given;
	out->reported = b->reported;
	out->kept = b->kept;
	out->foreign = b->foreign;
	return &out->base;
}

static void balloon_state_get(struct codec *c, const struct chan_msg *m, struct wk_balloon_state *ret)
{
	const Pb__WkBalloonState *in;

	codec_fd_count(c, m, 0);
	in = codec_unpack(c, &pb__wk_balloon_state__descriptor, m);
	if (!in)
		return;
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
	perf_put(c, g, out);
	devices_put(c, g, out);
	out->cmdline = codec_blob(g->cmdline);
	if (g->balloon.there)
		out->balloon = balloon_put(c, &g->balloon);
	out->serial = g->serial;
	out->console = g->console;
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
	ret->perf = perf_get(c, in, ret->plan);
	devices_get(c, in, ret);
	balloon_get(c, in->balloon, &ret->balloon);
	ret->cmdline = codec_text(c, in->cmdline, LIM_CMDLINE, "kernel command line");
	ret->serial = codec_u32(c, in->serial, SERIAL_UNSET, SERIAL_FILE, "serial mode");
	ret->console = codec_u32(c, in->console, SERIAL_UNSET, SERIAL_FILE, "console mode");
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

static const ProtobufCMessage *resize_put(struct codec *c, const struct wk_resize *r)
{
	Pb__WkResize *out = codec_message(c, &pb__wk_resize__descriptor);

	if (!out)
		return NULL;
	out->zone = r->zone;
	out->bytes = r->bytes;
	out->request = r->request;
	return &out->base;
}

static void resize_get(struct codec *c, const struct chan_msg *m, struct wk_resize *ret)
{
	const Pb__WkResize *in;

	codec_fd_count(c, m, 0);
	in = codec_unpack(c, &pb__wk_resize__descriptor, m);
	if (!in)
		return;
	ret->zone = (uint16_t)codec_u32(c, in->zone, 0, LIM_ZONES - 1, "zone");
	ret->bytes = in->bytes;
	ret->request = in->request;
}

static const ProtobufCMessage *memory_put(struct codec *c, const struct wk_memory *m)
{
	Pb__WkMemory *out = codec_message(c, &pb__wk_memory__descriptor);

	if (!out)
		return NULL;
	out->zone = m->zone;
	out->wanted = m->wanted;
	out->plugged = m->plugged;
	out->driver = m->driver;
	out->refused = codec_blob(m->refused);
	out->denied = m->denied;
	out->strayed = m->strayed;
	out->request = m->request;
	out->idle = m->idle;
	out->over = m->over;
	out->dimms = (uint32_t *)(uintptr_t)m->dimms;
	out->n_dimms = m->n_dimms;
	return &out->base;
}

static void memory_get(struct codec *c, const struct chan_msg *m, struct wk_memory *ret)
{
	const Pb__WkMemory *in;

	codec_fd_count(c, m, 0);
	in = codec_unpack(c, &pb__wk_memory__descriptor, m);
	if (!in)
		return;
	ret->zone = (uint16_t)codec_u32(c, in->zone, 0, LIM_ZONES - 1, "zone");
	ret->wanted = in->wanted;
	ret->plugged = in->plugged;
	ret->driver = in->driver;
	ret->refused = codec_text_said(c, in->refused, 255, "reason");
	ret->denied = in->denied;
	ret->strayed = in->strayed;
	ret->request = in->request;
	ret->idle = in->idle;
	ret->over = in->over;
	if (in->n_dimms > LIM_DIMMS)
		return codec_fail(c, -EPROTO, "%zu memory slots", in->n_dimms);
	ret->dimms = in->dimms; /* the arena's */
	ret->n_dimms = in->n_dimms;
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
	case WK_DEVICE:
		body = device_put(&c, &m->u.device);
		break;
	case WK_DEVICE_STATE:
		body = device_state_put(&c, &m->u.device_state);
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
	case WK_RESIZE:
		body = resize_put(&c, &m->u.resize);
		break;
	case WK_MEMORY:
		body = memory_put(&c, &m->u.memory);
		break;
	case WK_BALLOON:
		body = (const ProtobufCMessage *)balloon_put(&c, &m->u.balloon);
		break;
	case WK_BALLOON_STATE:
		body = balloon_state_put(&c, &m->u.balloon_state);
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
	case WK_DEVICE:
		device_get(&c, m, &out.u.device);
		break;
	case WK_DEVICE_STATE:
		device_state_get(&c, m, &out.u.device_state);
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
	case WK_RESIZE:
		resize_get(&c, m, &out.u.resize);
		break;
	case WK_MEMORY:
		memory_get(&c, m, &out.u.memory);
		break;
	case WK_BALLOON:
		codec_fd_count(&c, m, 0);
		balloon_get(&c, codec_unpack(&c, &pb__wk_balloon__descriptor, m), &out.u.balloon);
		break;
	case WK_BALLOON_STATE:
		balloon_state_get(&c, m, &out.u.balloon_state);
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
