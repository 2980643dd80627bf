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

static void device_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_device *d = in;
	Pb__WkDevice *out = msg;

	out->index = d->index;
}

static void device_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__WkDevice *in = msg;
	struct wk_device *ret = out;

	ret->index = codec_u32(c, in->index, 0, LIM_DEVICES - 1, "number of a device");
}

static void device_state_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_device_state *d = in;
	Pb__WkDeviceState *out = msg;

	out->index = d->index;
	out->up = d->up;
	out->hopeless = d->hopeless;
	out->text = codec_blob(d->text);
}

static void device_state_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__WkDeviceState *in = msg;
	struct wk_device_state *ret = out;

	ret->index = codec_u32(c, in->index, 0, LIM_DEVICES - 1, "number of a device");
	ret->up = in->up;
	ret->hopeless = in->hopeless;
	ret->text = codec_text_said(c, in->text, 255, "state of a device");
}

static void balloon_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_balloon *b = in;
	Pb__WkBalloon *out = msg;

	out->bytes = b->bytes;
	out->deflate_on_oom = b->deflate_on_oom;
	out->free_page_reporting = b->free_page_reporting;
}

static void balloon_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__WkBalloon *in = msg;
	struct wk_balloon *ret = out;

	if (in->bytes > BALLOON_MAX || in->bytes % GUEST_PAGE)
		codec_fail(c, -EPROTO, "a balloon of %llu bytes", (unsigned long long)in->bytes);
	ret->there = true;
	ret->bytes = in->bytes;
	ret->deflate_on_oom = in->deflate_on_oom;
	ret->free_page_reporting = in->free_page_reporting;
}

static void grant_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_grant *g = in;
	Pb__WkGrant *out = msg;

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
		out->balloon = codec_message(c, &pb__wk_balloon__descriptor);
	if (out->balloon)
		balloon_put(c, &g->balloon, out->balloon);
	out->serial = g->serial;
	out->console = g->console;
	out->start = g->start;
	out->tags = codec_tags_put(c, g->tags, g->n_tags);
	out->n_tags = g->n_tags;
}

static void grant_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__WkGrant *in = msg;
	struct wk_grant *ret = out;

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
	if (in->balloon)
		balloon_get(c, in->balloon, m, &ret->balloon);
	ret->cmdline = codec_text(c, in->cmdline, LIM_CMDLINE, "kernel command line");
	ret->serial = codec_u32(c, in->serial, SERIAL_UNSET, SERIAL_FILE, "serial mode");
	ret->console = codec_u32(c, in->console, SERIAL_UNSET, SERIAL_FILE, "console mode");
	ret->start = in->start;
	codec_tags_get(c, in->tags, in->n_tags, m, ret->tags);
	ret->n_tags = in->n_tags;
}

static void reports_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_reports *r = in;
	Pb__WkReports *out = msg;

	out->reports = codec_reports_put(c, r->reports, r->n);
	out->n_reports = r->n;
}

static void reports_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__WkReports *in = msg;
	struct wk_reports *ret = out;

	ret->reports = codec_reports_get(c, in->reports, in->n_reports);
	ret->n = in->n_reports;
}

static void state_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_state *s = in;
	Pb__WkState *out = msg;

	out->running = s->running;
}

static void state_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__WkState *in = msg;
	struct wk_state *ret = out;

	ret->running = in->running;
}

static void resize_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_resize *r = in;
	Pb__WkResize *out = msg;

	out->zone = r->zone;
	out->bytes = r->bytes;
	out->request = r->request;
}

static void resize_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__WkResize *in = msg;
	struct wk_resize *ret = out;

	ret->zone = (uint16_t)codec_u32(c, in->zone, 0, LIM_ZONES - 1, "zone");
	ret->bytes = in->bytes;
	ret->request = in->request;
}

static void memory_put(struct codec *c, const void *in, void *msg)
{
	const struct wk_memory *m = in;
	Pb__WkMemory *out = msg;

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
}

static void memory_get(struct codec *c, const void *msg, const struct chan_msg *m, void *out)
{
	const Pb__WkMemory *in = msg;
	struct wk_memory *ret = out;

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

static const struct codec_row rows[] = {
    {WK_GRANT, CODEC_TAGGED, &pb__wk_grant__descriptor, grant_put, grant_get},
    {WK_START, 0},
    {WK_PAUSE, 0},
    {WK_RESUME, 0},
    {WK_STOP, 0},
    {WK_CONSOLE, 1},
    {WK_QUERY, 0},
    {WK_DEVICE, WK_DEVICE_FDS, &pb__wk_device__descriptor, device_put, device_get},
    {WK_POWER_BUTTON, 0},
    {WK_RESIZE, 0, &pb__wk_resize__descriptor, resize_put, resize_get},
    {WK_BALLOON, 0, &pb__wk_balloon__descriptor, balloon_put, balloon_get},
    {WK_READY, 0, &pb__wk_reports__descriptor, reports_put, reports_get},
    {WK_PROGRESS, 0, &pb__progress__descriptor, codec_progress_put, codec_progress_get},
    {WK_STATE, 0, &pb__wk_state__descriptor, state_put, state_get},
    {WK_STATS, 0, &pb__wk_reports__descriptor, reports_put, reports_get},
    {WK_FAILED, 0, &pb__failed__descriptor, codec_failed_put, codec_failed_get},
    {WK_DEVICE_STATE, 0, &pb__wk_device_state__descriptor, device_state_put, device_state_get},
    {WK_ENDED, 0, &pb__end_report__descriptor, codec_end_put, codec_end_get},
    {WK_MEMORY, 0, &pb__wk_memory__descriptor, memory_put, memory_get},
    {WK_BALLOON_STATE, 0, &pb__balloon_state__descriptor, codec_balloon_state_put, codec_balloon_state_get},
};

int wk_encode(const struct wk_msg *m, void *buf, size_t cap, size_t *ret_len, struct err *e)
{
	return codec_encode(rows, ARRAY_LEN(rows), m->op, m->serial, &m->u, buf, cap, ret_len, e);
}

int wk_decode(const struct chan_msg *m, struct arena *a, struct wk_msg *ret, struct err *e)
{
	struct wk_msg out = {0};
	struct wire_hdr h;
	int r = codec_decode(rows, ARRAY_LEN(rows), m, a, &h, &out.u, e);

	if (r < 0)
		return r;
	out.op = h.op;
	out.serial = h.serial;
	*ret = out;
	return 0;
}
