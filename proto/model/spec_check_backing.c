/* What one piece of memory is made of: semantics "--memory, --memory-zone", for both alike. */
#include "model/spec_check_int.h"

#include <string.h>

/* "id=mem0,size=1G" for a zone, "size=1G" for --memory. */
static const char *found(struct txt *t, const struct zone_spec *z, const char *key, const char *value)
{
	if (z)
		return txt_set(t, "id=%s,%s=%s", shown(z->id), key, value);
	return txt_set(t, "%s=%s", key, value);
}

static bool host_has_huge(const struct host_facts *host, uint64_t size)
{
	for (size_t i = 0; i < host->n_huge_sizes && i < LIM_HUGE_SIZES; i++)
		if (host->huge_sizes[i] == size)
			return true;
	return false;
}

static const char *host_huge_list(struct txt *t, const struct host_facts *host)
{
	t->s[0] = 0;
	for (size_t i = 0; i < host->n_huge_sizes && i < LIM_HUGE_SIZES; i++)
		txt_add(t, "%s%s", i ? ", " : "", size_text(host->huge_sizes[i]).s);
	return t->s[0] ? t->s : "no huge pages at all";
}

/* Page size of the backing; 0 when it is wrong or unknown, and then sizes are only judged against small pages. */
static uint64_t check_hugepages(struct check *c, const char *option, const struct zone_spec *z, const struct mem_opts *o)
{
	const struct host_facts *host = c->host;
	struct txt t, list;

	if (!mem_opts_huge(o)) {
		if (o->hugepage_size)
			FAIL(c, option, found(&t, z, "hugepage_size", size_text(o->hugepage_size).s),
			     "add hugepages=on, or leave hugepage_size out",
			     "a huge page size means nothing while hugepages=off");
		return GUEST_PAGE;
	}
	if (o->shared == TRI_OFF)
		WARN(c, option, found(&t, z, "hugepages", "on,shared=off"), "leave shared=off out",
		     "shared=off is ignored: memory of huge pages is always shared");
	if (o->hugepage_size) {
		found(&t, z, "hugepage_size", size_text(o->hugepage_size).s);
		if (!is_pow2(o->hugepage_size) || o->hugepage_size <= GUEST_PAGE) {
			FAIL(c, option, t.s, "2M and 1G are the usual ones on x86-64",
			     "this can be no huge page size: it is no power of two above 4K");
			return 0;
		}
		if (host && !host_has_huge(host, o->hugepage_size)) {
			FAIL(c, option, t.s, "use one of the host's sizes",
			     "this host does not have this huge page size; it has: %s", host_huge_list(&list, host));
		}
		return o->hugepage_size;
	}
	if (host && host->default_huge_size == 0)
		FAIL(c, option, found(&t, z, "hugepages", "on"), "leave hugepages out, or use a host whose kernel has hugetlb",
		     "this host has no huge pages");
	return host ? host->default_huge_size : 0;
}

static void check_multiple(struct check *c, const char *option, const struct zone_spec *z, const char *key, uint64_t v,
			   uint64_t unit, const char *what)
{
	uint64_t down = v - v % unit, up;
	struct txt t, remedy;

	if (v % unit == 0)
		return;
	if (!add_u64(down, unit, &up))
		txt_set(&remedy, "%s=%s", key, size_text(down).s);
	else if (down == 0) /* none of these sizes may be 0 */
		txt_set(&remedy, "%s=%s", key, size_text(up).s);
	else
		txt_set(&remedy, "%s=%s or %s=%s", key, size_text(down).s, key, size_text(up).s);
	FAIL(c, option, found(&t, z, key, size_text(v).s), remedy.s, "not a multiple of %s, %s", size_text(unit).s, what);
}

static void check_hotplug(struct check *c, const char *option, const struct zone_spec *z, const struct mem_opts *o, uint64_t page)
{
	bool acpi = c->s->memory.hotplug_method == HOTPLUG_ACPI;
	uint64_t block = page > VIRTIO_MEM_BLOCK ? page : VIRTIO_MEM_BLOCK;
	struct txt t;

	if (o->has_hotplug_size && o->hotplug_size == 0)
		FAIL(c, option, found(&t, z, "hotplug_size", "0"), "a multiple of 128M, or leave hotplug_size out",
		     "a hotplug size of 0 is invalid");
	if (o->has_hotplug_size) {
		if (z && acpi)
			FAIL(c, option, found(&t, z, "hotplug_size", size_text(o->hotplug_size).s),
			     "--memory size=0,hotplug_method=virtio-mem",
			     "zones can grow with virtio-mem only, and the hotplug method is acpi");
		check_multiple(c, option, z, "hotplug_size", o->hotplug_size, HOTPLUG_ALIGN, "the unit of hotplug");
		if (page > HOTPLUG_ALIGN)
			check_multiple(c, option, z, "hotplug_size", o->hotplug_size, page, "the huge page size");
	}
	if (!o->has_hotplugged_size)
		return;
	found(&t, z, "hotplugged_size", size_text(o->hotplugged_size).s);
	if (o->hotplugged_size == 0)
		FAIL(c, option, t.s, "leave hotplugged_size out", "a hotplugged size of 0 is invalid");
	if (!o->has_hotplug_size)
		FAIL(c, option, t.s, "add hotplug_size", "memory cannot be plugged at boot where nothing can be plugged");
	else if (o->hotplugged_size > o->hotplug_size)
		FAIL(c, option, t.s, "at most hotplug_size", "more than the hotplug_size of %s", size_text(o->hotplug_size).s);
	if (acpi && !z)
		FAIL(c, option, t.s, "add hotplug_method=virtio-mem, or raise size instead",
		     "hotplugged_size works with virtio-mem only");
	check_multiple(c, option, z, "hotplugged_size", o->hotplugged_size, block, "the virtio-mem block");
}

/* KSM and transparent huge pages work on private anonymous memory of small pages; whoever asked for more hears it. */
static void check_advice(struct check *c, const char *option, const struct zone_spec *z, const struct mem_opts *o)
{
	const char *why = mem_opts_huge(o) ? "hugepages=on" : o->shared == TRI_ON ? "shared=on" : z && z->file ? "file" : NULL;
	enum tri mergeable = o->mergeable;
	struct txt t;

	if (z && mergeable == TRI_UNSET)
		mergeable = c->s->memory.o.mergeable;
	if (mergeable == TRI_ON && why)
		FAIL(c, option, found(&t, z, "mergeable", o->mergeable == TRI_ON ? "on" : "on (from --memory)"),
		     z ? "mergeable=off for this zone" : "leave mergeable out",
		     "only private anonymous memory of small pages can be merged, and this has %s", why);
	else if (mergeable == TRI_ON && o->mergeable == TRI_ON && c->host && !c->host->ksm_running)
		WARN(c, option, found(&t, z, "mergeable", "on"), "echo 1 > /sys/kernel/mm/ksm/run",
		     "KSM does not run on this host: nothing will be merged until it does");
	if (o->thp == TRI_UNSET)
		return;
	found(&t, z, "thp", o->thp == TRI_ON ? "on" : "off");
	if (mem_opts_huge(o))
		NOTE(c, option, t.s, "leave thp out", "thp means nothing for memory of huge pages");
	else if (z && z->file)
		NOTE(c, option, t.s, "leave thp out", "thp means nothing for memory in a file");
	else if (o->thp == TRI_ON && c->host && o->shared == TRI_ON &&
		 (strcmp(c->host->shmem_thp, "never") == 0 || strcmp(c->host->shmem_thp, "deny") == 0))
		WARN(c, option, t.s, "set /sys/kernel/mm/transparent_hugepage/shmem_enabled to advise",
		     "no effect on shared memory here: this host has shmem_enabled=%s", c->host->shmem_thp);
	else if (o->thp == TRI_ON && c->host && o->shared != TRI_ON && strcmp(c->host->thp, "never") == 0)
		WARN(c, option, t.s, "set /sys/kernel/mm/transparent_hugepage/enabled to madvise",
		     "no effect: this host has transparent huge pages switched off");
}

void check_mem_opts(struct check *c, const char *option, const struct zone_spec *z, const struct mem_opts *o)
{
	const char *id = z ? z->id : "--memory";
	uint64_t page = check_hugepages(c, option, z, o);
	uint64_t size = z || c->s->memory.has_size ? o->size : MEM_DEFAULT_SIZE;

	check_tri(c, option, id, "shared", o->shared);
	check_tri(c, option, id, "hugepages", o->hugepages);
	check_tri(c, option, id, "prefault", o->prefault);
	check_tri(c, option, id, "thp", o->thp);
	check_tri(c, option, id, "mergeable", o->mergeable);
	check_tri(c, option, id, "reserve", o->reserve);
	check_multiple(c, option, z, "size", size, page ? page : GUEST_PAGE,
		       page > GUEST_PAGE ? "the huge page size" : "the page size");
	check_hotplug(c, option, z, o, page ? page : GUEST_PAGE);
	check_advice(c, option, z, o);
}

static void check_host_nodes_exist(struct check *c, const struct zone_spec *z, const char *text)
{
	struct nodeset have = {0};
	struct txt list = {""};

	for (size_t i = 0; i < c->host->n_nodes && i < ARRAY_LEN(c->host->nodes); i++)
		nodeset_add(&have, c->host->nodes[i].id);
	for (int n = nodeset_next(&z->host_nodes, 0); n >= 0; n = nodeset_next(&z->host_nodes, n + 1)) {
		if (!nodeset_has(&have, (uint32_t)n)) {
			txt_add_set(&list, have.w, NODESET_BITS);
			FAIL(c, "--memory-zone", text, "name a node that the host has",
			     "there is no host node %d; this host has: %s", n, list.s);
			continue;
		}
		for (size_t i = 0; i < c->host->n_nodes && i < ARRAY_LEN(c->host->nodes); i++)
			if (c->host->nodes[i].id == (uint32_t)n && c->host->nodes[i].mem_total == 0)
				FAIL(c, "--memory-zone", text, "name a node with memory", "host node %d has no memory", n);
	}
}

/* Memory that is promised is judged by what is free when it is made (plan_needs). What only comes when it is touched may be more
 * than that, but not more than strict nodes can ever hold: the guest would die of it. */
static void check_host_nodes_hold(struct check *c, const struct zone_spec *z, const char *text)
{
	bool promised = mem_opts_huge(&z->o) || z->o.prefault == TRI_ON || z->o.reserve == TRI_ON;
	uint64_t total = 0, free = 0;
	struct txt list = {""};

	if (promised || nodeset_empty(&z->host_nodes) || z->host_policy == HOST_POLICY_PREFERRED)
		return;
	for (size_t i = 0; i < c->host->n_nodes && i < ARRAY_LEN(c->host->nodes); i++) {
		if (!nodeset_has(&z->host_nodes, c->host->nodes[i].id))
			continue;
		total += c->host->nodes[i].mem_total;
		free += c->host->nodes[i].mem_free;
	}
	if (total == 0 || z->o.size <= total)
		return;
	txt_add_set(&list, z->host_nodes.w, NODESET_BITS);
	FAIL(c, "--memory-zone", text, "make it smaller, or name more nodes",
	     "%s of memory needed on host node%s %s, which ha%s %s in all, %s of it free", size_text(z->o.size).s,
	     nodeset_count(&z->host_nodes) == 1 ? "" : "s", list.s, nodeset_count(&z->host_nodes) == 1 ? "s" : "ve",
	     size_text(total & ~(MiB - 1)).s, size_text(free & ~(MiB - 1)).s);
}

void check_zone_host(struct check *c, const struct zone_spec *z)
{
	unsigned n = nodeset_count(&z->host_nodes);
	struct txt t, path;

	txt_set(&t, "id=%s,host_numa_node%s", shown(z->id), n == 1 ? "=" : "s=[");
	txt_add_set(&t, z->host_nodes.w, NODESET_BITS);
	if (n != 1)
		txt_add(&t, "]");
	if ((unsigned)z->host_policy > HOST_POLICY_LOCAL)
		FAIL(c, "--memory-zone", txt_set(&t, "id=%s,host_numa_policy=%u", shown(z->id), (unsigned)z->host_policy),
		     "bind, preferred, interleave or local", "unknown policy");
	else if (z->host_policy == HOST_POLICY_LOCAL && n)
		FAIL(c, "--memory-zone", t.s, "leave the nodes out, or use bind",
		     "host_numa_policy=local means the node of whoever touches a page first: it cannot name nodes");
	else if (z->host_policy != HOST_POLICY_LOCAL && !n && (z->host_node_given || z->host_policy != HOST_POLICY_UNSET))
		FAIL(c, "--memory-zone", t.s, "add host_numa_node=N or host_numa_nodes=[A,B]",
		     "this policy needs at least one host node");
	else if (z->host_policy == HOST_POLICY_PREFERRED && n > 1)
		FAIL(c, "--memory-zone", t.s, "name one node, or use bind or interleave",
		     "host_numa_policy=preferred takes one node, this names %u", n);
	if (c->host) {
		check_host_nodes_exist(c, z, t.s);
		check_host_nodes_hold(c, z, t.s);
	}
	if (!z->file)
		return;
	txt_set(&path, "id=%s,file=%s", shown(z->id), z->file);
	check_path(c, "--memory-zone", path.s, z->file);
	if (mem_opts_huge(&z->o))
		FAIL(c, "--memory-zone", path.s,
		     "leave hugepages out (a file on a hugetlbfs mount has huge pages by itself), or leave file out",
		     "huge pages come from the kernel's pool, not from a file");
	if (z->o.shared == TRI_ON && (n || z->host_policy != HOST_POLICY_UNSET))
		FAIL(c, "--memory-zone", path.s, "leave out the host node, or shared=on, or the file",
		     "the page cache of a shared file cannot be bound to a host node");
}
