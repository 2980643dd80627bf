/* struct vm_spec. Counts, lengths and enumerations are checked here; what the numbers mean is spec_check's business. */
#include "wire/codec.h"

#include "spec.pb-c.h"

#include <errno.h>
#include <string.h>

static Pb__MemOpts *opts_put(struct codec *c, const struct mem_opts *o)
{
	Pb__MemOpts *out = codec_message(c, &pb__mem_opts__descriptor);

	if (!out)
		return NULL;
	out->size = o->size;
	out->shared = o->shared;
	out->hugepages = o->hugepages;
	out->hugepage_size = o->hugepage_size;
	out->prefault = o->prefault;
	out->thp = o->thp;
	out->mergeable = o->mergeable;
	out->reserve = o->reserve;
	out->has_hotplug_size = o->has_hotplug_size;
	out->hotplug_size = o->hotplug_size;
	out->has_hotplugged_size = o->has_hotplugged_size;
	out->hotplugged_size = o->hotplugged_size;
	return out;
}

static enum tri get_tri(struct codec *c, uint32_t v)
{
	return codec_u32(c, v, TRI_UNSET, TRI_ON, "toggle");
}

static void opts_get(struct codec *c, const Pb__MemOpts *in, struct mem_opts *o)
{
	if (!in) {
		codec_fail(c, -EPROTO, "memory options are missing");
		return;
	}
	o->size = in->size;
	o->shared = get_tri(c, in->shared);
	o->hugepages = get_tri(c, in->hugepages);
	o->hugepage_size = in->hugepage_size;
	o->prefault = get_tri(c, in->prefault);
	o->thp = get_tri(c, in->thp);
	o->mergeable = get_tri(c, in->mergeable);
	o->reserve = get_tri(c, in->reserve);
	o->has_hotplug_size = in->has_hotplug_size;
	o->hotplug_size = in->hotplug_size;
	o->has_hotplugged_size = in->has_hotplugged_size;
	o->hotplugged_size = in->hotplugged_size;
}

static void memory_put(struct codec *c, const struct vm_spec *s, Pb__VmSpec *out)
{
	if (s->memory.given && (out->memory = codec_message(c, &pb__memory_spec__descriptor))) {
		out->memory->has_size = s->memory.has_size;
		out->memory->opts = opts_put(c, &s->memory.o);
		out->memory->hotplug_method = s->memory.hotplug_method;
	}
	out->zones = codec_messages(c, &pb__zone_spec__descriptor, s->n_zones);
	out->n_zones = s->n_zones;
	CODEC_EACH(c, i, s->n_zones)
	{
		const struct zone_spec *z = &s->zones[i];
		Pb__ZoneSpec *o = out->zones[i];

		o->id = codec_blob(z->id);
		o->has_size = z->has_size;
		o->opts = opts_put(c, &z->o);
		o->file = codec_blob(z->file);
		o->n_host_nodes = codec_words(&z->host_nodes, &o->host_nodes);
		o->host_policy = z->host_policy;
		o->host_node_given = z->host_node_given;
	}
}

static void memory_get(struct codec *c, const Pb__VmSpec *in, struct vm_spec *s)
{
	if (in->memory) {
		s->memory.given = true;
		s->memory.has_size = in->memory->has_size;
		opts_get(c, in->memory->opts, &s->memory.o);
		s->memory.hotplug_method =
		    codec_u32(c, in->memory->hotplug_method, HOTPLUG_ACPI, HOTPLUG_VIRTIO_MEM, "hotplug method");
	}
	if (in->n_zones > LIM_ZONES)
		codec_fail(c, -EPROTO, "%zu zones, at most %u are allowed", in->n_zones, LIM_ZONES);
	CODEC_EACH(c, i, in->n_zones)
	{
		const Pb__ZoneSpec *o = in->zones[i];
		struct zone_spec *z = &s->zones[i];

		z->id = codec_text(c, o->id, LIM_ID, "zone id");
		z->has_size = o->has_size;
		opts_get(c, o->opts, &z->o);
		z->file = codec_text(c, o->file, LIM_PATH, "file of a zone");
		codec_nodeset(c, o->n_host_nodes, o->host_nodes, &z->host_nodes, "host nodes");
		z->host_policy = codec_u32(c, o->host_policy, HOST_POLICY_UNSET, HOST_POLICY_LOCAL, "host policy");
		z->host_node_given = o->host_node_given;
	}
	s->n_zones = in->n_zones;
}

static ProtobufCBinaryData *names_put(struct codec *c, const char *const *names, size_t n)
{
	ProtobufCBinaryData *out = arena_array(c->a, n + 1, sizeof(*out));

	if (!out)
		codec_fail(c, -EMSGSIZE, "message too long to be sent");
	CODEC_EACH(c, i, n)
	out[i] = codec_blob(names[i]);
	return out;
}

static const char **names_get(struct codec *c, const ProtobufCBinaryData *in, size_t n, size_t max, const char *what)
{
	const char **out = codec_array(c, n, max, sizeof(*out), what);

	CODEC_EACH(c, i, n)
	out[i] = codec_text_needed(c, in[i], LIM_ID, what);
	return out;
}

static uint32_t *numbers_get(struct codec *c, const uint32_t *in, size_t n, size_t max, const char *what)
{
	uint32_t *out = codec_array(c, n, max, sizeof(*out), what);

	if (out)
		memcpy(out, in, n * sizeof(*out));
	return out;
}

static Pb__PerfList **perf_put(struct codec *c, const struct numa_spec *n, size_t *ret_n)
{
	Pb__PerfList **out;
	size_t used = 0;

	for (unsigned k = 0; k < PERF_KINDS; k++)
		used += n->perf[k].n;
	*ret_n = used ? PERF_KINDS : 0;
	out = codec_messages(c, &pb__perf_list__descriptor, *ret_n);
	CODEC_EACH(c, k, *ret_n)
	{
		out[k]->n_to = out[k]->n_value = n->perf[k].n;
		out[k]->to = n->perf[k].to;
		out[k]->value = n->perf[k].value;
	}
	return out;
}

static void perf_get(struct codec *c, const Pb__NumaSpec *in, struct numa_spec *n)
{
	if (in->n_perf && in->n_perf != PERF_KINDS)
		codec_fail(c, -EPROTO, "%zu kinds of memory performance", in->n_perf);
	CODEC_EACH(c, k, in->n_perf)
	{
		const Pb__PerfList *l = in->perf[k];

		if (l->n_to != l->n_value)
			codec_fail(c, -EPROTO, "%zu values for %zu nodes", l->n_value, l->n_to);
		n->perf[k].to = numbers_get(c, l->to, l->n_to, LIM_NODES, "nodes with a performance");
		n->perf[k].value = numbers_get(c, l->value, l->n_to, LIM_NODES, "memory performance");
		n->perf[k].n = l->n_to;
	}
}

static void nodes_put(struct codec *c, const struct vm_spec *s, Pb__VmSpec *out)
{
	out->nodes = codec_messages(c, &pb__numa_spec__descriptor, s->n_nodes);
	out->n_nodes = s->n_nodes;
	CODEC_EACH(c, i, s->n_nodes)
	{
		const struct numa_spec *n = &s->nodes[i];
		Pb__NumaSpec *o = out->nodes[i];

		o->has_id = n->has_id;
		o->guest_numa_id = n->guest_numa_id;
		o->n_cpus = n->n_cpus;
		o->cpus = n->cpus;
		o->n_segments = n->n_segments;
		o->segments = n->segments;
		o->n_zones = n->n_zones;
		o->zones = names_put(c, n->zones, n->n_zones);
		o->n_epc = n->n_epc;
		o->epc = names_put(c, n->epc, n->n_epc);
		o->perf = perf_put(c, n, &o->n_perf);
		o->has_cache_size = n->has_cache_size;
		o->cache_size = n->cache_size;
		o->has_cache_line = n->has_cache_line;
		o->cache_line = n->cache_line;
		o->distances = codec_messages(c, &pb__numa_distance__descriptor, n->n_distances);
		o->n_distances = n->n_distances;
		CODEC_EACH(c, j, n->n_distances)
		{
			o->distances[j]->to = n->distances[j].to;
			o->distances[j]->value = n->distances[j].value;
		}
	}
}

static void nodes_get(struct codec *c, const Pb__VmSpec *in, struct vm_spec *s)
{
	if (in->n_nodes > LIM_NODES)
		codec_fail(c, -EPROTO, "%zu nodes, at most %u are allowed", in->n_nodes, LIM_NODES);
	CODEC_EACH(c, i, in->n_nodes)
	{
		const Pb__NumaSpec *o = in->nodes[i];
		struct numa_spec *n = &s->nodes[i];

		n->has_id = o->has_id;
		n->guest_numa_id = o->guest_numa_id;
		n->cpus = numbers_get(c, o->cpus, o->n_cpus, LIM_CPUS, "vCPUs of a node");
		n->n_cpus = o->n_cpus;
		n->segments = numbers_get(c, o->segments, o->n_segments, LIM_SEGMENTS, "segments of a node");
		n->n_segments = o->n_segments;
		n->zones = names_get(c, o->zones, o->n_zones, LIM_ZONES, "zones of a node");
		n->n_zones = o->n_zones;
		n->epc = names_get(c, o->epc, o->n_epc, LIM_EPC, "EPC sections of a node");
		n->n_epc = o->n_epc;
		perf_get(c, o, n);
		n->has_cache_size = o->has_cache_size;
		n->cache_size = o->cache_size;
		n->has_cache_line = o->has_cache_line;
		n->cache_line = o->cache_line;
		n->distances = codec_array(c, o->n_distances, LIM_NODES, sizeof(*n->distances), "distances of a node");
		n->n_distances = o->n_distances;
		CODEC_EACH(c, j, o->n_distances)
		{
			n->distances[j].to = o->distances[j]->to;
			n->distances[j].value = (uint8_t)codec_u32(c, o->distances[j]->value, 0, UINT8_MAX, "distance");
		}
	}
	s->n_nodes = in->n_nodes;
}

Pb__Affinity **codec_affinity_put(struct codec *c, const struct affinity_spec *a, size_t n)
{
	Pb__Affinity **out = codec_messages(c, &pb__affinity__descriptor, n);

	CODEC_EACH(c, i, n)
	{
		out[i]->vcpu = a[i].vcpu;
		out[i]->n_host_cpus = codec_words(&a[i].host_cpus, &out[i]->host_cpus);
		out[i]->by_default = a[i].by_default;
	}
	return out;
}

struct affinity_spec *codec_affinity_get(struct codec *c, Pb__Affinity *const *in, size_t n)
{
	struct affinity_spec *out = codec_array(c, n, LIM_CPUS, sizeof(*out), "vCPU affinities");

	CODEC_EACH(c, i, n)
	{
		out[i].vcpu = in[i]->vcpu;
		codec_nodeset(c, in[i]->n_host_cpus, in[i]->host_cpus, &out[i].host_cpus, "host CPUs");
		out[i].by_default = in[i]->by_default;
	}
	return out;
}

static void cpus_put(struct codec *c, const struct cpus_spec *s, Pb__VmSpec *out)
{
	Pb__CpusSpec *o;

	if (!s->given || !(o = codec_message(c, &pb__cpus_spec__descriptor)))
		return;
	out->cpus = o;
	o->boot = s->boot;
	o->max = s->max;
	o->has_topology = s->has_topology;
	o->threads_per_core = s->threads_per_core;
	o->cores_per_die = s->cores_per_die;
	o->dies_per_package = s->dies_per_package;
	o->packages = s->packages;
	o->affinity = codec_affinity_put(c, s->affinity, s->n_affinity);
	o->n_affinity = s->n_affinity;
}

static void cpus_get(struct codec *c, const Pb__CpusSpec *in, struct cpus_spec *s)
{
	if (!in)
		return;
	s->given = true;
	s->boot = in->boot;
	s->max = in->max;
	s->has_topology = in->has_topology;
	s->threads_per_core = (uint16_t)codec_u32(c, in->threads_per_core, 0, UINT16_MAX, "threads per core");
	s->cores_per_die = (uint16_t)codec_u32(c, in->cores_per_die, 0, UINT16_MAX, "cores per die");
	s->dies_per_package = (uint16_t)codec_u32(c, in->dies_per_package, 0, UINT16_MAX, "dies per package");
	s->packages = (uint16_t)codec_u32(c, in->packages, 0, UINT16_MAX, "packages");
	s->affinity = codec_affinity_get(c, in->affinity, in->n_affinity);
	s->n_affinity = in->n_affinity;
}

static void devices_put(struct codec *c, const struct vm_spec *s, Pb__VmSpec *out)
{
	out->epc = codec_messages(c, &pb__epc_spec__descriptor, s->n_epc);
	out->n_epc = s->n_epc;
	CODEC_EACH(c, i, s->n_epc)
	{
		out->epc[i]->id = codec_blob(s->epc[i].id);
		out->epc[i]->has_size = s->epc[i].has_size;
		out->epc[i]->size = s->epc[i].size;
		out->epc[i]->prefault = s->epc[i].prefault;
	}
	out->devices = codec_messages(c, &pb__device_spec__descriptor, s->n_devices);
	out->n_devices = s->n_devices;
	CODEC_EACH(c, i, s->n_devices)
	{
		const struct device_spec *d = &s->devices[i];
		Pb__DeviceSpec *o = out->devices[i];

		o->kind = d->kind;
		o->id = codec_blob(d->id);
		o->path = codec_blob(d->path);
		o->socket = codec_blob(d->socket);
		o->tag = codec_blob(d->tag);
		o->mac = codec_blob(d->mac);
		o->vhost_user = d->vhost_user;
		o->readonly = d->readonly;
		o->direct = d->direct;
		o->discard = d->discard;
		o->image_type = d->image_type;
		o->num_queues = d->num_queues;
		o->queue_size = d->queue_size;
		o->mtu = d->mtu;
		o->pci_segment = d->pci_segment;
		o->device_type = d->device_type;
		o->queues = d->queues;
		o->n_queues = d->n_queues;
		o->zones = names_put(c, d->zones, d->n_zones);
		o->n_zones = d->n_zones;
	}
}

static void devices_get(struct codec *c, const Pb__VmSpec *in, struct vm_spec *s)
{
	if (in->n_epc > LIM_EPC || in->n_devices > LIM_DEVICES)
		codec_fail(c, -EPROTO, "%zu EPC sections (at most %u), %zu devices (at most %u)", in->n_epc, LIM_EPC,
			   in->n_devices, LIM_DEVICES);
	CODEC_EACH(c, i, in->n_epc)
	{
		s->epc[i].id = codec_text(c, in->epc[i]->id, LIM_ID, "EPC section id");
		s->epc[i].has_size = in->epc[i]->has_size;
		s->epc[i].size = in->epc[i]->size;
		s->epc[i].prefault = get_tri(c, in->epc[i]->prefault);
	}
	CODEC_EACH(c, i, in->n_devices)
	{
		const Pb__DeviceSpec *o = in->devices[i];
		struct device_spec *d = &s->devices[i];

		d->kind = codec_u32(c, o->kind, DEVICE_DISK, DEVICE_VHOST_USER, "kind of a device");
		d->id = codec_text(c, o->id, LIM_ID, "device id");
		d->path = codec_text(c, o->path, LIM_PATH, "path of a device");
		d->socket = codec_text(c, o->socket, LIM_PATH, "socket of a device");
		d->tag = codec_text(c, o->tag, LIM_ID, "tag of a device");
		d->mac = codec_text(c, o->mac, LIM_ID, "MAC address");
		d->vhost_user = get_tri(c, o->vhost_user);
		d->readonly = get_tri(c, o->readonly);
		d->direct = get_tri(c, o->direct);
		d->discard = get_tri(c, o->discard);
		d->image_type = codec_u32(c, o->image_type, IMAGE_RAW, IMAGE_QCOW2, "type of an image");
		d->num_queues = o->num_queues;
		d->queue_size = o->queue_size;
		d->mtu = o->mtu;
		d->pci_segment = o->pci_segment;
		d->device_type = o->device_type;
		d->queues = numbers_get(c, o->queues, o->n_queues, 1024, "queues of a device");
		d->n_queues = o->n_queues;
		d->zones = names_get(c, o->zones, o->n_zones, LIM_ZONES, "zones of a device");
		d->n_zones = o->n_zones;
	}
	s->n_epc = in->n_epc;
	s->n_devices = in->n_devices;
}

static void balloon_put(struct codec *c, const struct balloon_spec *b, Pb__VmSpec *out)
{
	if (!b->given || !(out->balloon = codec_message(c, &pb__balloon_spec__descriptor)))
		return;
	out->balloon->size = b->size;
	out->balloon->deflate_on_oom = b->deflate_on_oom;
	out->balloon->free_page_reporting = b->free_page_reporting;
}

static void balloon_get(struct codec *c, const Pb__BalloonSpec *in, struct balloon_spec *b)
{
	if (!in)
		return;
	b->given = true;
	b->size = in->size;
	b->deflate_on_oom = get_tri(c, in->deflate_on_oom);
	b->free_page_reporting = get_tri(c, in->free_page_reporting);
}

Pb__VmSpec *codec_spec_put(struct codec *c, const struct vm_spec *s)
{
	Pb__VmSpec *out = codec_message(c, &pb__vm_spec__descriptor);

	if (!out)
		return NULL;
	out->name = codec_blob(s->name);
	memory_put(c, s, out);
	nodes_put(c, s, out);
	devices_put(c, s, out);
	balloon_put(c, &s->balloon, out);
	out->has_segments = s->has_segments;
	out->num_pci_segments = s->num_pci_segments;
	cpus_put(c, &s->cpus, out);
	out->kernel = codec_blob(s->kernel);
	out->initramfs = codec_blob(s->initramfs);
	out->cmdline = codec_blob(s->cmdline);
	out->serial = s->serial;
	out->serial_file = codec_blob(s->serial_file);
	out->console = s->console;
	out->console_file = codec_blob(s->console_file);
	return out;
}

struct vm_spec *codec_spec_get(struct codec *c, const Pb__VmSpec *in)
{
	struct vm_spec *s;

	if (!in) {
		codec_fail(c, -EPROTO, "specification of the VM is missing");
		return NULL;
	}
	s = codec_array(c, 1, 1, sizeof(*s), "specification");
	if (!s)
		return NULL;
	s->name = codec_text(c, in->name, LIM_ID, "name of the VM");
	memory_get(c, in, s);
	nodes_get(c, in, s);
	devices_get(c, in, s);
	balloon_get(c, in->balloon, &s->balloon);
	s->has_segments = in->has_segments;
	s->num_pci_segments = in->num_pci_segments;
	cpus_get(c, in->cpus, &s->cpus);
	s->kernel = codec_text(c, in->kernel, LIM_PATH, "path of the kernel");
	s->initramfs = codec_text(c, in->initramfs, LIM_PATH, "path of the initramfs");
	s->cmdline = codec_text(c, in->cmdline, LIM_CMDLINE, "kernel command line");
	s->serial = codec_u32(c, in->serial, SERIAL_UNSET, SERIAL_FILE, "serial mode");
	s->serial_file = codec_text(c, in->serial_file, LIM_PATH, "path of the serial file");
	s->console = codec_u32(c, in->console, SERIAL_UNSET, SERIAL_FILE, "console mode");
	s->console_file = codec_text(c, in->console_file, LIM_PATH, "path of the console's file");
	return c->rc ? NULL : s;
}
