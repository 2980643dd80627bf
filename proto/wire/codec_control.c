#include "wire/control.h"
#include "wire/codec.h"

#include "common.pb-c.h"
#include "control.pb-c.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* --- request --- */

int ctl_request_encode(const struct ctl_request *r, void *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct arena a = arena_over(buf, cap);
	struct codec c = {.a = &a, .e = e};
	Pb__CtlRequest *out = codec_message(&c, &pb__ctl_request__descriptor);

	if (!out)
		return c.rc;
	out->vm = codec_blob(r->vm);
	if (r->spec)
		out->spec = codec_spec_put(&c, r->spec);
	out->boot = r->boot;
	out->attached = r->attached;
	out->tags = codec_tags_put(&c, r->tags, r->n_tags);
	out->n_tags = r->n_tags;
	out->zone = codec_blob(r->zone);
	out->size = r->size;
	out->no_wait = r->no_wait;
	out->balloon = r->balloon;
	return codec_finish(&c, r->op, r->serial, &out->base, buf, cap, ret_len);
}

/* What belongs to which operation. The broker's own table says who may, in which state, with which fds. */
static void request_shape(struct codec *c, const Pb__CtlRequest *in, enum ctl_op op)
{
	bool creates = op == CTL_CREATE;
	bool addressed = op != CTL_CREATE && op != CTL_LIST;

	if (creates != (in->spec != NULL))
		codec_fail(c, -EPROTO, creates ? "specification of the VM is missing" : "specification where none belongs");
	if (addressed != (in->vm.len != 0))
		codec_fail(c, -EPROTO, addressed ? "no VM is named" : "a VM is named where none belongs");
	if (!creates && (in->boot || in->attached))
		codec_fail(c, -EPROTO, "boot and attached belong to create");
	if (op != CTL_RESIZE && (in->zone.len || in->size || in->no_wait || in->balloon))
		codec_fail(c, -EPROTO, "a new size where none belongs");
	if (in->balloon && in->zone.len)
		codec_fail(c, -EPROTO, "a balloon of a zone");
}

int ctl_request_decode(const struct chan_msg *m, struct arena *a, struct ctl_request *ret, struct err *e)
{
	struct codec c = {.a = a, .e = e};
	struct ctl_request out = {0};
	const Pb__CtlRequest *in;
	struct wire_hdr h;

	if (wire_peek(m, &h) < 0)
		return err_set(e, -EPROTO, "not a message of this version");
	out.op = codec_u32(&c, h.op, CTL_CREATE, CTL_RESIZE, "operation");
	out.serial = h.serial;
	in = codec_unpack(&c, &pb__ctl_request__descriptor, m);
	if (!in)
		return c.rc;
	request_shape(&c, in, out.op);
	out.vm = codec_text(&c, in->vm, LIM_ID, "VM");
	if (in->spec)
		out.spec = codec_spec_get(&c, in->spec);
	out.boot = in->boot;
	out.attached = in->attached;
	codec_tags_get(&c, in->tags, in->n_tags, m, out.tags);
	out.n_tags = in->n_tags;
	out.zone = codec_text(&c, in->zone, LIM_ID, "zone id");
	out.size = in->size;
	out.no_wait = in->no_wait;
	out.balloon = in->balloon;
	if (c.rc == 0)
		*ret = out;
	return c.rc;
}

/* --- reply --- */

static Pb__CtlZone **zones_put(struct codec *c, const struct ctl_zone_info *z, size_t n)
{
	Pb__CtlZone **out = codec_messages(c, &pb__ctl_zone__descriptor, n);

	CODEC_EACH(c, i, n)
	{
		out[i]->id = codec_blob(z[i].id);
		out[i]->backing = z[i].backing;
		out[i]->size = z[i].size;
		out[i]->page_size = z[i].page_size;
		out[i]->hotplug_size = z[i].hotplug_size;
		out[i]->requested_size = z[i].requested_size;
		out[i]->plugged_size = z[i].plugged_size;
		out[i]->dimms = z[i].dimms;
		out[i]->guest_numa_id = z[i].guest_numa_id;
		out[i]->host_policy = z[i].host_policy;
		out[i]->nodes = codec_pages_put(c, z[i].nodes, z[i].n_nodes);
		out[i]->n_nodes = z[i].n_nodes;
		out[i]->refused = codec_blob(z[i].refused);
		out[i]->denied = z[i].denied;
		out[i]->strayed = z[i].strayed;
		out[i]->outdated = z[i].outdated;
	}
	return out;
}

static struct ctl_zone_info *zones_get(struct codec *c, Pb__CtlZone *const *in, size_t n)
{
	struct ctl_zone_info *out = codec_array(c, n, LIM_ZONES, sizeof(*out), "zones");

	CODEC_EACH(c, i, n)
	{
		out[i].id = codec_text_needed(c, in[i]->id, LIM_ID, "zone id");
		out[i].backing = codec_u32(c, in[i]->backing, BACKING_ANON, BACKING_FILE_PRIVATE, "backing");
		out[i].size = in[i]->size;
		out[i].page_size = in[i]->page_size;
		out[i].hotplug_size = in[i]->hotplug_size;
		out[i].requested_size = in[i]->requested_size;
		out[i].plugged_size = in[i]->plugged_size;
		out[i].dimms = codec_u32(c, in[i]->dimms, 0, LIM_DIMMS, "memory slots");
		out[i].guest_numa_id = in[i]->guest_numa_id;
		out[i].host_policy = codec_u32(c, in[i]->host_policy, HOST_POLICY_UNSET, HOST_POLICY_LOCAL, "host policy");
		out[i].nodes = codec_pages_get(c, in[i]->nodes, in[i]->n_nodes);
		out[i].n_nodes = in[i]->n_nodes;
		out[i].refused = codec_text_said(c, in[i]->refused, 255, "reason");
		out[i].denied = in[i]->denied;
		out[i].strayed = in[i]->strayed;
		out[i].outdated = in[i]->outdated;
	}
	return out;
}

static void device_put(const struct ctl_device_info *d, Pb__CtlDevice *o)
{
	o->id = codec_blob(d->id);
	o->socket = codec_blob(d->socket);
	o->up = d->up;
	o->losses = d->losses;
	o->text = codec_blob(d->text);
	o->own = d->own;
	o->pid = d->pid;
	o->restarts = d->restarts;
}

static void device_get(struct codec *c, const Pb__CtlDevice *in, struct ctl_device_info *d)
{
	d->id = codec_text_needed(c, in->id, LIM_ID, "device id");
	d->socket = codec_text(c, in->socket, LIM_PATH, "socket of a device");
	d->up = in->up;
	d->losses = in->losses;
	d->text = codec_text(c, in->text, ERR_TEXT_MAX - 1, "state of a device");
	d->own = in->own;
	d->pid = in->pid;
	d->restarts = in->restarts;
}

static void guest_put(struct codec *c, const struct ctl_vm_info *v, Pb__CtlVm *out)
{
	out->epc = codec_messages(c, &pb__ctl_epc__descriptor, v->n_epc);
	out->n_epc = v->n_epc;
	CODEC_EACH(c, i, v->n_epc)
	{
		out->epc[i]->id = codec_blob(v->epc[i].id);
		out->epc[i]->start = v->epc[i].start;
		out->epc[i]->size = v->epc[i].size;
		out->epc[i]->has_node = v->epc[i].has_node;
		out->epc[i]->guest_numa_id = v->epc[i].guest_numa_id;
	}
	out->pins = codec_messages(c, &pb__ctl_pinned__descriptor, v->n_pins);
	out->n_pins = v->n_pins;
	CODEC_EACH(c, i, v->n_pins)
	{
		out->pins[i]->n_vcpus = codec_words(&v->pins[i].vcpus, &out->pins[i]->vcpus);
		out->pins[i]->n_host_cpus = codec_words(&v->pins[i].host_cpus, &out->pins[i]->host_cpus);
		out->pins[i]->by_default = v->pins[i].by_default;
	}
	out->costs = codec_messages(c, &pb__ctl_cost__descriptor, v->n_costs);
	out->n_costs = v->n_costs;
	out->all_costs = (uint32_t)v->all_costs;
	CODEC_EACH(c, i, v->n_costs)
	{
		out->costs[i]->from = v->costs[i].from;
		out->costs[i]->to = v->costs[i].to;
		out->costs[i]->cost = v->costs[i].cost;
		out->costs[i]->n_cost = PERF_KINDS;
	}
	out->caches = codec_messages(c, &pb__ctl_cache__descriptor, v->n_caches);
	out->n_caches = v->n_caches;
	CODEC_EACH(c, i, v->n_caches)
	{
		out->caches[i]->guest_numa_id = v->caches[i].guest_numa_id;
		out->caches[i]->size = v->caches[i].size;
		out->caches[i]->line = v->caches[i].line;
	}
}

static void guest_get(struct codec *c, const Pb__CtlVm *in, struct ctl_vm_info *v)
{
	v->epc = codec_array(c, in->n_epc, LIM_EPC, sizeof(*v->epc), "EPC sections");
	v->n_epc = in->n_epc;
	CODEC_EACH(c, i, in->n_epc)
	v->epc[i] = (struct ctl_epc_info){codec_text_needed(c, in->epc[i]->id, LIM_ID, "EPC section id"), in->epc[i]->start,
					  in->epc[i]->size, in->epc[i]->has_node, in->epc[i]->guest_numa_id};
	v->pins = codec_array(c, in->n_pins, LIM_CPUS, sizeof(*v->pins), "vCPU affinities");
	v->n_pins = in->n_pins;
	CODEC_EACH(c, i, in->n_pins)
	{
		codec_nodeset(c, in->pins[i]->n_vcpus, in->pins[i]->vcpus, &v->pins[i].vcpus, "vCPUs");
		codec_nodeset(c, in->pins[i]->n_host_cpus, in->pins[i]->host_cpus, &v->pins[i].host_cpus, "host CPUs");
		v->pins[i].by_default = in->pins[i]->by_default;
	}
	v->costs = codec_array(c, in->n_costs, CTL_COSTS_MAX, sizeof(*v->costs), "memory costs");
	v->n_costs = in->n_costs;
	v->all_costs = codec_u32(c, in->all_costs, (uint32_t)in->n_costs, NODE_COSTS_MAX, "memory costs");
	CODEC_EACH(c, i, in->n_costs)
	{
		v->costs[i].from = in->costs[i]->from;
		v->costs[i].to = in->costs[i]->to;
		if (in->costs[i]->n_cost != PERF_KINDS)
			codec_fail(c, -EPROTO, "a memory cost of %zu kinds", in->costs[i]->n_cost);
		else
			memcpy(v->costs[i].cost, in->costs[i]->cost, sizeof(v->costs[i].cost));
	}
	v->caches = codec_array(c, in->n_caches, LIM_NODES, sizeof(*v->caches), "memory caches");
	v->n_caches = in->n_caches;
	CODEC_EACH(c, i, in->n_caches)
	v->caches[i] = (struct node_cache){in->caches[i]->guest_numa_id, in->caches[i]->size, in->caches[i]->line};
}

static Pb__CtlVm **vms_put(struct codec *c, const struct ctl_vm_info *v, size_t n)
{
	Pb__CtlVm **out = codec_messages(c, &pb__ctl_vm__descriptor, n);

	CODEC_EACH(c, i, n)
	{
		out[i]->id = v[i].id;
		out[i]->name = codec_blob(v[i].name);
		out[i]->owner_uid = v[i].owner_uid;
		out[i]->state = v[i].state;
		out[i]->vcpus = v[i].vcpus;
		out[i]->memory = v[i].memory;
		out[i]->worker_pid = (uint32_t)v[i].worker_pid;
		out[i]->memsrv_pid = (uint32_t)v[i].memsrv_pid;
		out[i]->age_ms = v[i].age_ms;
		out[i]->resets = v[i].resets;
		if (v[i].has_end)
			out[i]->end = codec_end_new(c, &v[i].end);
		out[i]->zones = zones_put(c, v[i].zones, v[i].n_zones);
		out[i]->n_zones = v[i].n_zones;
		out[i]->isolation = codec_blob(v[i].isolation);
		out[i]->devices = codec_messages(c, &pb__ctl_device__descriptor, v[i].n_devices);
		out[i]->n_devices = v[i].n_devices;
		CODEC_EACH(c, k, v[i].n_devices)
		device_put(&v[i].devices[k], out[i]->devices[k]);
		guest_put(c, &v[i], out[i]);
		if (v[i].has_balloon)
			out[i]->balloon = codec_balloon_state_new(c, &v[i].balloon);
	}
	return out;
}

static struct ctl_vm_info *vms_get(struct codec *c, Pb__CtlVm *const *in, size_t n)
{
	struct ctl_vm_info *out = codec_array(c, n, LIM_VMS, sizeof(*out), "VMs");

	CODEC_EACH(c, i, n)
	{
		out[i].id = in[i]->id;
		out[i].name = codec_text_needed(c, in[i]->name, LIM_ID, "name of a VM");
		out[i].owner_uid = in[i]->owner_uid;
		out[i].state = codec_u32(c, in[i]->state, VM_NEW, VM_ENDING, "state of a VM");
		out[i].vcpus = codec_u32(c, in[i]->vcpus, 0, LIM_CPUS, "vCPUs");
		out[i].memory = in[i]->memory;
		out[i].worker_pid = (int32_t)codec_u32(c, in[i]->worker_pid, 0, INT32_MAX, "process id");
		out[i].memsrv_pid = (int32_t)codec_u32(c, in[i]->memsrv_pid, 0, INT32_MAX, "process id");
		out[i].age_ms = in[i]->age_ms;
		out[i].resets = in[i]->resets;
		out[i].has_end = in[i]->end != NULL;
		if (in[i]->end)
			codec_end_get(c, in[i]->end, NULL, &out[i].end);
		out[i].zones = zones_get(c, in[i]->zones, in[i]->n_zones);
		out[i].n_zones = in[i]->n_zones;
		out[i].isolation = codec_text(c, in[i]->isolation, ERR_TEXT_MAX - 1, "isolation");
		out[i].devices = codec_array(c, in[i]->n_devices, LIM_DEVICES, sizeof(*out[i].devices), "devices");
		out[i].n_devices = in[i]->n_devices;
		CODEC_EACH(c, k, in[i]->n_devices)
		device_get(c, in[i]->devices[k], &out[i].devices[k]);
		guest_get(c, in[i], &out[i]);
		out[i].has_balloon = in[i]->balloon != NULL;
		if (in[i]->balloon)
			codec_balloon_state_get(c, in[i]->balloon, NULL, &out[i].balloon);
	}
	return out;
}

static void diags_put(struct codec *c, const struct diags *d, Pb__CtlReply *out)
{
	out->has_diags = true;
	assert(d->n <= LIM_DIAGS);
	out->diags = codec_messages(c, &pb__diag__descriptor, d->n);
	out->n_diags = d->n;
	out->diag_errors = d->n_errors < UINT32_MAX ? (uint32_t)d->n_errors : UINT32_MAX;
	out->diags_dropped = d->dropped < UINT32_MAX ? (uint32_t)d->dropped : UINT32_MAX;
	CODEC_EACH(c, i, d->n)
	{
		out->diags[i]->level = d->d[i].level;
		out->diags[i]->option = codec_blob_n(d->d[i].option, sizeof(d->d[i].option) - 1);
		out->diags[i]->text = codec_blob_n(d->d[i].text, sizeof(d->d[i].text) - 1);
		out->diags[i]->reason = codec_blob_n(d->d[i].reason, sizeof(d->d[i].reason) - 1);
		out->diags[i]->remedy = codec_blob_n(d->d[i].remedy, sizeof(d->d[i].remedy) - 1);
	}
}

static struct diags *diags_get(struct codec *c, const Pb__CtlReply *in)
{
	struct diags *d;

	if (in->n_diags > LIM_DIAGS)
		codec_fail(c, -EPROTO, "%zu problems", in->n_diags);
	d = codec_array(c, 1, 1, sizeof(*d), "problems");
	if (!d)
		return NULL;
	CODEC_EACH(c, i, in->n_diags)
	{
		const Pb__Diag *o = in->diags[i];

		d->d[i].level = codec_u32(c, o->level, DIAG_NOTICE, DIAG_ERROR, "level of a problem");
		codec_text_into(c, o->option, d->d[i].option, sizeof(d->d[i].option), "option");
		codec_text_into(c, o->text, d->d[i].text, sizeof(d->d[i].text), "text");
		codec_text_into(c, o->reason, d->d[i].reason, sizeof(d->d[i].reason), "reason");
		codec_text_into(c, o->remedy, d->d[i].remedy, sizeof(d->d[i].remedy), "remedy");
	}
	d->n = in->n_diags;
	d->n_errors = in->diag_errors;
	d->dropped = in->diags_dropped;
	return d;
}

int ctl_reply_encode(const struct ctl_reply *r, void *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct arena a = arena_over(buf, cap);
	struct codec c = {.a = &a, .e = e};
	Pb__CtlReply *out = codec_message(&c, &pb__ctl_reply__descriptor);

	if (!out)
		return c.rc;
	out->code = r->code;
	out->text = codec_blob_n(r->text, ERR_TEXT_MAX - 1);
	if (r->diags)
		diags_put(&c, r->diags, out);
	out->vms = vms_put(&c, r->vms, r->n_vms);
	out->n_vms = r->n_vms;
	return codec_finish(&c, CTL_REPLY, r->serial, &out->base, buf, cap, ret_len);
}

int ctl_reply_decode(const struct chan_msg *m, struct arena *a, struct ctl_reply *ret, struct err *e)
{
	struct codec c = {.a = a, .e = e};
	struct ctl_reply out = {0};
	const Pb__CtlReply *in;
	struct wire_hdr h;

	if (wire_peek(m, &h) < 0 || h.op != CTL_REPLY)
		return err_set(e, -EPROTO, "not a reply of this version");
	codec_fd_count(&c, m, 0);
	in = codec_unpack(&c, &pb__ctl_reply__descriptor, m);
	if (!in)
		return c.rc;
	out.serial = h.serial;
	if (in->code > 0 || in->code < -4095)
		codec_fail(&c, -EPROTO, "error code %d", in->code);
	out.code = in->code;
	out.text = codec_text(&c, in->text, ERR_TEXT_MAX - 1, "text of a reply");
	if (in->has_diags)
		out.diags = diags_get(&c, in);
	else if (in->n_diags)
		codec_fail(&c, -EPROTO, "problems where none belong");
	out.vms = vms_get(&c, in->vms, in->n_vms);
	out.n_vms = in->n_vms;
	if (c.rc == 0)
		*ret = out;
	return c.rc;
}

/* --- event --- */

int ctl_event_encode(const struct ctl_event *ev, void *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct arena a = arena_over(buf, cap);
	struct codec c = {.a = &a, .e = e};
	Pb__CtlEvent *out = codec_message(&c, &pb__ctl_event__descriptor);

	if (!out)
		return c.rc;
	out->kind = ev->kind;
	out->vm_id = ev->vm_id;
	out->name = codec_blob(ev->name);
	switch (ev->kind) {
	case CTL_EVENT_STATE:
		out->state = ev->state;
		break;
	case CTL_EVENT_PROGRESS:
		out->zone = codec_blob(ev->zone);
		out->done = ev->done;
		out->total = ev->total;
		break;
	case CTL_EVENT_RESIZE:
		out->zone = codec_blob(ev->zone);
		out->done = ev->done;
		out->total = ev->total;
		out->text = codec_blob(ev->text);
		out->over = ev->over;
		break;
	case CTL_EVENT_BALLOON:
		out->done = ev->done;
		out->total = ev->total;
		break;
	case CTL_EVENT_ENDED:
		out->end = codec_end_new(&c, &ev->end);
		break;
	case CTL_EVENT_DEVICE:
		out->device = codec_message(&c, &pb__ctl_device__descriptor);
		if (out->device)
			device_put(&(struct ctl_device_info){.id = ev->device, .up = ev->up, .text = ev->text}, out->device);
		break;
	}
	return codec_finish(&c, CTL_EVENT, 0, &out->base, buf, cap, ret_len);
}

int ctl_event_decode(const struct chan_msg *m, struct arena *a, struct ctl_event *ret, struct err *e)
{
	struct codec c = {.a = a, .e = e};
	struct ctl_event out = {0};
	const Pb__CtlEvent *in;
	struct wire_hdr h;

	if (wire_peek(m, &h) < 0 || h.op != CTL_EVENT)
		return err_set(e, -EPROTO, "not an event of this version");
	codec_fd_count(&c, m, 0);
	in = codec_unpack(&c, &pb__ctl_event__descriptor, m);
	if (!in)
		return c.rc;
	out.kind = codec_u32(&c, in->kind, CTL_EVENT_STATE, CTL_EVENT_BALLOON, "kind of an event");
	out.vm_id = in->vm_id;
	out.name = codec_text_needed(&c, in->name, LIM_ID, "name of a VM");
	if (c.rc)
		return c.rc;
	switch (out.kind) {
	case CTL_EVENT_STATE:
		out.state = codec_u32(&c, in->state, VM_NEW, VM_ENDING, "state of a VM");
		break;
	case CTL_EVENT_PROGRESS:
		out.zone = codec_text_needed(&c, in->zone, LIM_ID, "zone id");
		out.done = in->done;
		out.total = in->total;
		if (out.done > out.total)
			codec_fail(&c, -EPROTO, "progress beyond the end");
		break;
	case CTL_EVENT_RESIZE: /* a guest may have more than it is to have */
		out.zone = codec_text_needed(&c, in->zone, LIM_ID, "zone id");
		out.done = in->done;
		out.total = in->total;
		out.text = codec_text(&c, in->text, ERR_TEXT_MAX - 1, "reason");
		out.over = in->over;
		break;
	case CTL_EVENT_BALLOON:
		out.done = in->done;
		out.total = in->total;
		break;
	case CTL_EVENT_ENDED:
		if (in->end)
			codec_end_get(&c, in->end, m, &out.end);
		else
			codec_fail(&c, -EPROTO, "end report is missing");
		break;
	case CTL_EVENT_DEVICE: {
		struct ctl_device_info d = {0};

		if (in->device)
			device_get(&c, in->device, &d);
		else
			codec_fail(&c, -EPROTO, "an event of no device");
		out.device = d.id;
		out.up = d.up;
		out.text = d.text;
		break;
	}
	}
	if (c.rc == 0)
		*ret = out;
	return c.rc;
}
