/* struct mem_plan. The codec checks that everything fits where it is stored and every enumeration is one of ours; whether the
 * plan makes sense is plan_check's business, which every receiver runs next. */
#include "wire/codec.h"

#include "plan.pb-c.h"

#include <errno.h>
#include <string.h>

static void zones_put(struct codec *c, const struct mem_plan *p, Pb__MemPlan *out)
{
	out->zones = codec_messages(c, &pb__plan_zone__descriptor, p->n_zones);
	out->n_zones = p->n_zones;
	CODEC_EACH(c, i, p->n_zones)
	{
		const struct plan_zone *z = &p->zones[i];
		Pb__PlanZone *o = out->zones[i];

		o->id = codec_blob_n(z->id, LIM_ID);
		o->backing = z->backing;
		o->size = z->size;
		o->page_size = z->page_size;
		o->prefault = z->prefault;
		o->reserve = z->reserve;
		o->thp = z->thp;
		o->mergeable = z->mergeable;
		o->host_policy = z->host_policy;
		o->n_host_nodes = codec_words(&z->host_nodes, &o->host_nodes);
		o->n_host_cpus = codec_words(&z->host_cpus, &o->host_cpus);
		o->guest_node = z->guest_node;
		o->hotplug_size = z->hotplug_size;
		o->hotplugged_size = z->hotplugged_size;
		o->block_size = z->block_size;
		o->hotplug_at = z->hotplug.start.v;
		o->hotplug_len = z->hotplug.len.v;
	}
}

static void zones_get(struct codec *c, const Pb__MemPlan *in, struct mem_plan *p)
{
	if (in->n_zones > LIM_ZONES)
		codec_fail(c, -EPROTO, "%zu zones, at most %u are allowed", in->n_zones, LIM_ZONES);
	CODEC_EACH(c, i, in->n_zones)
	{
		const Pb__PlanZone *o = in->zones[i];
		struct plan_zone *z = &p->zones[i];

		codec_text_into(c, o->id, z->id, sizeof(z->id), "zone id");
		z->backing = codec_u32(c, o->backing, BACKING_ANON, BACKING_FILE_PRIVATE, "backing");
		z->size = o->size;
		z->page_size = o->page_size;
		z->prefault = o->prefault;
		z->reserve = o->reserve;
		z->thp = o->thp;
		z->mergeable = o->mergeable;
		z->host_policy = codec_u32(c, o->host_policy, HOST_POLICY_UNSET, HOST_POLICY_LOCAL, "host policy");
		codec_nodeset(c, o->n_host_nodes, o->host_nodes, &z->host_nodes, "host nodes");
		codec_nodeset(c, o->n_host_cpus, o->host_cpus, &z->host_cpus, "host CPUs");
		z->guest_node = codec_u32(c, o->guest_node, 0, LIM_NODES - 1, "guest node");
		z->hotplug_size = o->hotplug_size;
		z->hotplugged_size = o->hotplugged_size;
		z->block_size = o->block_size;
		z->hotplug = gspan(o->hotplug_at, o->hotplug_len);
	}
	p->n_zones = in->n_zones;
}

static void map_put(struct codec *c, const struct mem_plan *p, Pb__MemPlan *out)
{
	out->pieces = codec_messages(c, &pb__plan_piece__descriptor, p->n_pieces);
	out->n_pieces = p->n_pieces;
	CODEC_EACH(c, i, p->n_pieces)
	{
		out->pieces[i]->zone = p->pieces[i].zone;
		out->pieces[i]->offset = p->pieces[i].offset;
		out->pieces[i]->at = p->pieces[i].at.start.v;
		out->pieces[i]->len = p->pieces[i].at.len.v;
	}
	out->windows = codec_messages(c, &pb__plan_window__descriptor, p->n_windows);
	out->n_windows = p->n_windows;
	CODEC_EACH(c, i, p->n_windows)
	{
		out->windows[i]->kind = p->windows[i].kind;
		out->windows[i]->index = p->windows[i].index;
		out->windows[i]->at = p->windows[i].at.start.v;
		out->windows[i]->len = p->windows[i].at.len.v;
	}
}

static void map_get(struct codec *c, const Pb__MemPlan *in, struct mem_plan *p)
{
	if (in->n_pieces > PLAN_PIECES_MAX || in->n_windows > PLAN_WINDOWS_MAX)
		codec_fail(c, -EPROTO, "%zu pieces and %zu windows", in->n_pieces, in->n_windows);
	CODEC_EACH(c, i, in->n_pieces)
	{
		const Pb__PlanPiece *o = in->pieces[i];

		p->pieces[i].zone = (uint16_t)codec_u32(c, o->zone, 0, LIM_ZONES - 1, "zone of a piece");
		p->pieces[i].offset = o->offset;
		p->pieces[i].at = gspan(o->at, o->len);
	}
	CODEC_EACH(c, i, in->n_windows)
	{
		const Pb__PlanWindow *o = in->windows[i];

		p->windows[i].kind = codec_u32(c, o->kind, WINDOW_HOLE, WINDOW_PCI64, "kind of a window");
		p->windows[i].index = (uint16_t)codec_u32(c, o->index, 0, UINT16_MAX, "index of a window");
		p->windows[i].at = gspan(o->at, o->len);
	}
	p->n_pieces = in->n_pieces;
	p->n_windows = in->n_windows;
}

static void nodes_put(struct codec *c, const struct mem_plan *p, Pb__MemPlan *out)
{
	out->nodes = codec_messages(c, &pb__plan_node__descriptor, p->n_nodes);
	out->n_nodes = p->n_nodes;
	CODEC_EACH(c, i, p->n_nodes)
	{
		out->nodes[i]->guest_numa_id = p->nodes[i].guest_numa_id;
		out->nodes[i]->n_cpus = codec_words(&p->nodes[i].cpus, &out->nodes[i]->cpus);
		out->nodes[i]->distances = (ProtobufCBinaryData){p->n_nodes, (uint8_t *)(uintptr_t)p->distance[i]};
	}
	out->segment_node = (ProtobufCBinaryData){p->n_segments, (uint8_t *)(uintptr_t)p->segment_node};
	out->epc = codec_messages(c, &pb__plan_epc__descriptor, p->n_epc);
	out->n_epc = p->n_epc;
	CODEC_EACH(c, i, p->n_epc)
	{
		out->epc[i]->id = codec_blob_n(p->epc[i].id, LIM_ID);
		out->epc[i]->at = p->epc[i].at.start.v;
		out->epc[i]->len = p->epc[i].at.len.v;
		out->epc[i]->node = p->epc[i].node;
		out->epc[i]->prefault = p->epc[i].prefault;
	}
}

static void nodes_get(struct codec *c, const Pb__MemPlan *in, struct mem_plan *p)
{
	if (in->n_nodes > LIM_NODES || in->segment_node.len > LIM_SEGMENTS || in->n_epc > LIM_EPC)
		codec_fail(c, -EPROTO, "%zu nodes, %zu segments, %zu EPC sections", in->n_nodes, in->segment_node.len, in->n_epc);
	CODEC_EACH(c, i, in->n_nodes)
	{
		const Pb__PlanNode *o = in->nodes[i];

		p->nodes[i].guest_numa_id = o->guest_numa_id;
		codec_nodeset(c, o->n_cpus, o->cpus, &p->nodes[i].cpus, "vCPUs of a node");
		if (o->distances.len != in->n_nodes)
			codec_fail(c, -EPROTO, "%zu distances for %zu nodes", o->distances.len, in->n_nodes);
		else
			memcpy(p->distance[i], o->distances.data, in->n_nodes);
	}
	CODEC_EACH(c, i, in->segment_node.len)
	p->segment_node[i] = (uint8_t)codec_u32(c, in->segment_node.data[i], 0, LIM_NODES - 1, "node of a segment");
	CODEC_EACH(c, i, in->n_epc)
	{
		const Pb__PlanEpc *o = in->epc[i];

		codec_text_into(c, o->id, p->epc[i].id, sizeof(p->epc[i].id), "EPC section id");
		p->epc[i].at = gspan(o->at, o->len);
		p->epc[i].node = (uint8_t)codec_u32(c, o->node, 0, LIM_NODES - 1, "node of an EPC section");
		p->epc[i].prefault = o->prefault;
	}
	p->n_nodes = in->n_nodes;
	p->n_segments = (uint32_t)in->segment_node.len;
	p->n_epc = in->n_epc;
}

Pb__MemPlan *codec_plan_put(struct codec *c, const struct mem_plan *p)
{
	Pb__MemPlan *out = codec_message(c, &pb__mem_plan__descriptor);

	if (!out)
		return NULL;
	out->phys_bits = p->phys_bits;
	zones_put(c, p, out);
	map_put(c, p, out);
	nodes_put(c, p, out);
	return out;
}

struct mem_plan *codec_plan_get(struct codec *c, const Pb__MemPlan *in)
{
	struct mem_plan *p;

	if (!in) {
		codec_fail(c, -EPROTO, "plan is missing");
		return NULL;
	}
	p = codec_array(c, 1, 1, sizeof(*p), "plan");
	if (!p)
		return NULL;
	p->phys_bits = (uint8_t)codec_u32(c, in->phys_bits, 0, 64, "address bits");
	zones_get(c, in, p);
	map_get(c, in, p);
	nodes_get(c, in, p);
	return c->rc ? NULL : p;
}
