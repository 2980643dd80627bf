/* The receivers' only defence: whoever sent the plan may be broken or hostile, and after this the receiver maps, binds and
 * exposes to the guest what the plan says. So everything that another file relies on is checked here, and nothing is assumed. */
#include "model/plan_impl.h"
#include "bulkhead/abi/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PLAN_PAGE_MAX GiB

/* A bool that came from elsewhere may hold any byte; reading it as a bool would be undefined. */
static bool bool_sane(const bool *b)
{
	unsigned char v;

	memcpy(&v, b, sizeof(v));
	return v <= 1;
}

static bool id_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static bool id_sane(const char id[LIM_ID + 1], bool may_be_reserved)
{
	size_t n = 0;

	while (n <= LIM_ID && id[n] && id_char(id[n]))
		n++;
	if (n == 0 || n > LIM_ID || id[n] != '\0')
		return false;
	return may_be_reserved || id[0] != '_' || id[1] != '_';
}

static int check_counts(const struct mem_plan *p, struct err *e)
{
	if (p->phys_bits < PLAN_PHYS_BITS_MIN || p->phys_bits > PLAN_PHYS_BITS_MAX)
		return err_set(e, -EINVAL, "%u address bits", p->phys_bits);
	if (p->n_zones < 1 || p->n_zones > LIM_ZONES)
		return err_set(e, -EINVAL, "%zu zones", p->n_zones);
	if (p->n_pieces < 1 || p->n_pieces > PLAN_PIECES_MAX)
		return err_set(e, -EINVAL, "%zu pieces", p->n_pieces);
	if (p->n_windows > PLAN_WINDOWS_MAX)
		return err_set(e, -EINVAL, "%zu windows", p->n_windows);
	if (p->n_nodes > LIM_NODES)
		return err_set(e, -EINVAL, "%zu nodes", p->n_nodes);
	if (p->n_segments < 1 || p->n_segments > LIM_SEGMENTS)
		return err_set(e, -EINVAL, "%u segments", p->n_segments);
	if (p->n_epc > LIM_EPC)
		return err_set(e, -EINVAL, "%zu EPC sections", p->n_epc);
	return 0;
}

static int check_ids(const struct mem_plan *p, struct err *e)
{
	for (size_t i = 0; i < p->n_zones; i++) {
		const char *id = p->zones[i].id;

		if (!id_sane(id, false) && !(p->n_zones == 1 && id_sane(id, true) && strcmp(id, PLAN_ZONE_ID_PLAIN) == 0))
			return err_set(e, -EINVAL, "zone %zu has no proper id", i);
		for (size_t k = 0; k < i; k++)
			if (strcmp(id, p->zones[k].id) == 0)
				return err_set(e, -EINVAL, "two zones have the id %s", id);
	}
	for (size_t i = 0; i < p->n_epc; i++) {
		if (!id_sane(p->epc[i].id, false))
			return err_set(e, -EINVAL, "EPC section %zu has no proper id", i);
		for (size_t k = 0; k < p->n_zones; k++)
			if (strcmp(p->epc[i].id, p->zones[k].id) == 0)
				return err_set(e, -EINVAL, "a zone and an EPC section have the id %s", p->epc[i].id);
		for (size_t k = 0; k < i; k++)
			if (strcmp(p->epc[i].id, p->epc[k].id) == 0)
				return err_set(e, -EINVAL, "two EPC sections have the id %s", p->epc[i].id);
	}
	return 0;
}

static bool backing_known(enum backing b)
{
	switch (b) {
	case BACKING_ANON:
	case BACKING_MEMFD:
	case BACKING_HUGETLB:
	case BACKING_FILE_SHARED:
	case BACKING_FILE_PRIVATE:
		return true;
	}
	return false;
}

static bool policy_sane(enum host_policy policy, unsigned n_nodes)
{
	switch (policy) {
	case HOST_POLICY_UNSET:
	case HOST_POLICY_LOCAL:
		return n_nodes == 0;
	case HOST_POLICY_PREFERRED:
		return n_nodes == 1;
	case HOST_POLICY_BIND:
	case HOST_POLICY_INTERLEAVE:
		return n_nodes > 0;
	}
	return false;
}

static int check_zone_hotplug(const struct plan_zone *z, struct err *e)
{
	uint64_t align = plan_hotplug_align(z->page_size), len;

	if (z->hotplug_size == 0) {
		if (z->hotplugged_size || z->block_size || z->hotplug.start.v || z->hotplug.len.v)
			return err_set(e, -EINVAL, "zone %s has no hotplug_size but parts of a hotplug window", z->id);
		return 0;
	}
	if (!is_aligned(z->hotplug_size, HOTPLUG_ALIGN) || !align_up_u64(z->hotplug_size, align, &len) || len != z->hotplug.len.v)
		return err_set(e, -EINVAL, "zone %s: hotplug_size and window do not match", z->id);
	if (!is_aligned(z->hotplug.start.v, align) || z->hotplug.start.v < PLAN_RAM_HIGH_START)
		return err_set(e, -EINVAL, "zone %s: the hotplug window starts at %#" PRIx64, z->id, z->hotplug.start.v);
	if (!is_pow2(z->block_size) || z->block_size < VIRTIO_MEM_BLOCK || z->block_size < z->page_size ||
	    z->block_size > PLAN_PAGE_MAX)
		return err_set(e, -EINVAL, "zone %s: hotplug blocks of %" PRIu64 " bytes", z->id, z->block_size);
	if (z->hotplugged_size > z->hotplug_size || !is_aligned(z->hotplugged_size, z->block_size))
		return err_set(e, -EINVAL, "zone %s: hotplugged_size %" PRIu64, z->id, z->hotplugged_size);
	return 0;
}

static int check_zone(const struct mem_plan *p, const struct plan_zone *z, struct err *e)
{
	bool huge = z->backing == BACKING_HUGETLB;

	if (!backing_known(z->backing))
		return err_set(e, -EINVAL, "zone %s: no such backing", z->id);
	if (!bool_sane(&z->prefault) || !bool_sane(&z->reserve) || !bool_sane(&z->thp) || !bool_sane(&z->mergeable))
		return err_set(e, -EINVAL, "zone %s: a flag is neither true nor false", z->id);
	if (huge ? !is_pow2(z->page_size) || z->page_size <= GUEST_PAGE || z->page_size > PLAN_PAGE_MAX
		 : z->page_size != GUEST_PAGE)
		return err_set(e, -EINVAL, "zone %s: pages of %" PRIu64 " bytes", z->id, z->page_size);
	if (!is_aligned(z->size, z->page_size) || (z->size == 0 && z->hotplug_size == 0))
		return err_set(e, -EINVAL, "zone %s: size %" PRIu64, z->id, z->size);
	if ((z->mergeable && z->backing != BACKING_ANON) || (z->thp && z->backing != BACKING_ANON && z->backing != BACKING_MEMFD))
		return err_set(e, -EINVAL, "zone %s: thp or mergeable on a backing that cannot have it", z->id);
	if (!policy_sane(z->host_policy, nodeset_count(&z->host_nodes)))
		return err_set(e, -EINVAL, "zone %s: host policy and host nodes do not go together", z->id);
	if (nodeset_empty(&z->host_nodes) && !nodeset_empty(&z->host_cpus))
		return err_set(e, -EINVAL, "zone %s: host CPUs without host nodes", z->id);
	if (z->backing == BACKING_FILE_SHARED && z->host_policy != HOST_POLICY_UNSET)
		return err_set(e, -EINVAL, "zone %s: a shared file cannot be placed", z->id);
	if (z->guest_node >= (p->n_nodes ? p->n_nodes : 1))
		return err_set(e, -EINVAL, "zone %s: guest node %u", z->id, z->guest_node);
	return check_zone_hotplug(z, e);
}

/* Each zone's bytes exactly once: the pieces of a zone follow each other in its object and add up to its size. */
static int check_pieces(const struct mem_plan *p, uint64_t limit, struct err *e)
{
	uint64_t covered[LIM_ZONES] = {0}, last_end = 0;

	for (size_t i = 0; i < p->n_pieces; i++) {
		const struct plan_piece *q = &p->pieces[i];
		const struct plan_zone *z;
		uint64_t end;

		if (q->zone >= p->n_zones)
			return err_set(e, -EINVAL, "piece %zu is of zone %u", i, q->zone);
		z = &p->zones[q->zone];
		if (q->at.len.v == 0 || !gspan_end(q->at, &end) || end > limit)
			return err_set(e, -EINVAL, "piece %zu is empty or beyond the address bits", i);
		if (!is_aligned(q->at.start.v, z->page_size) || !is_aligned(q->at.len.v, z->page_size))
			return err_set(e, -EINVAL, "piece %zu is not made of whole pages", i);
		if (q->at.start.v < last_end || (i == 0 && q->at.start.v != 0))
			return err_set(e, -EINVAL, "piece %zu is out of order", i);
		if (end > PLAN_RAM_LOW_END && q->at.start.v < PLAN_RAM_HIGH_START)
			return err_set(e, -EINVAL, "piece %zu lies where no RAM may be", i);
		if (q->offset != covered[q->zone])
			return err_set(e, -EINVAL, "piece %zu does not continue zone %s", i, z->id);
		if (q->at.len.v > z->size - covered[q->zone])
			return err_set(e, -EINVAL, "piece %zu is longer than zone %s", i, z->id);
		covered[q->zone] += q->at.len.v;
		last_end = end;
	}
	for (size_t i = 0; i < p->n_zones; i++)
		if (covered[i] != p->zones[i].size)
			return err_set(e, -EINVAL, "zone %s is not covered by its pieces", p->zones[i].id);
	return 0;
}

static int check_nodes(const struct mem_plan *p, struct err *e)
{
	struct nodeset cpus = {0};
	unsigned n_cpus = 0;

	for (size_t i = 0; i < p->n_nodes; i++) {
		if (i > 0 && p->nodes[i].guest_numa_id <= p->nodes[i - 1].guest_numa_id)
			return err_set(e, -EINVAL, "guest nodes are out of order");
		for (size_t w = 0; w < ARRAY_LEN(cpus.w); w++)
			cpus.w[w] |= p->nodes[i].cpus.w[w];
		n_cpus += nodeset_count(&p->nodes[i].cpus);
		for (size_t k = 0; k < p->n_nodes; k++)
			if (i == k ? p->distance[i][k] != 10 : p->distance[i][k] <= 10 || p->distance[i][k] == 255)
				return err_set(e, -EINVAL, "distance %u from node %zu to node %zu", p->distance[i][k], i, k);
	}
	/* vCPU ids are 0..n-1, each in one node. */
	if (p->n_nodes > 0 && (n_cpus < 1 || n_cpus > LIM_CPUS || nodeset_count(&cpus) != n_cpus || nodeset_has(&cpus, n_cpus)))
		return err_set(e, -EINVAL, "the nodes' vCPUs are not each there once");
	for (unsigned c = 0; c < n_cpus; c++)
		if (!nodeset_has(&cpus, c))
			return err_set(e, -EINVAL, "vCPU %u is in no node", c);
	for (uint32_t s = 0; s < p->n_segments; s++)
		if (s == 0 ? p->segment_node[s] != 0 : p->segment_node[s] >= (p->n_nodes ? p->n_nodes : 1))
			return err_set(e, -EINVAL, "segment %u is on node %u", s, p->segment_node[s]);
	return 0;
}

static int check_epc(const struct mem_plan *p, struct err *e)
{
	for (size_t i = 0; i < p->n_epc; i++) {
		if (!bool_sane(&p->epc[i].prefault) || p->epc[i].node >= (p->n_nodes ? p->n_nodes : 1))
			return err_set(e, -EINVAL, "EPC section %s: flag or node", p->epc[i].id);
		if (p->epc[i].at.len.v == 0 || !is_aligned(p->epc[i].at.len.v, GUEST_PAGE) ||
		    !is_aligned(p->epc[i].at.start.v, GUEST_PAGE) || p->epc[i].at.start.v < PLAN_RAM_HIGH_START)
			return err_set(e, -EINVAL, "EPC section %s: place or size", p->epc[i].id);
		/* CPUID describes them one by one, the ACPI device as one region. */
		if (i > 0 && p->epc[i].at.start.v != p->epc[i - 1].at.start.v + p->epc[i - 1].at.len.v)
			return err_set(e, -EINVAL, "EPC section %s does not follow the one before it", p->epc[i].id);
	}
	return 0;
}

static int check_all(const struct mem_plan *p, struct err *e)
{
	int r = check_counts(p, e);
	uint64_t limit;

	if (r < 0)
		return r;
	limit = plan_address_limit(p->phys_bits);
	r = check_ids(p, e);
	for (size_t i = 0; r == 0 && i < p->n_zones; i++)
		r = check_zone(p, &p->zones[i], e);
	if (r == 0)
		r = check_pieces(p, limit, e);
	if (r == 0)
		r = check_nodes(p, e);
	if (r == 0)
		r = check_epc(p, e);
	if (r == 0)
		r = plan_check_windows(p, limit, e);
	return r;
}

int plan_check(const struct mem_plan *p, struct err *e)
{
	int r = check_all(p, e);

	if (r < 0)
		err_wrap(e, "plan");
	return r;
}
