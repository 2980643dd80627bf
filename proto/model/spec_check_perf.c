/* semantics "--numa": read_latency, write_latency, read_bandwidth, write_bandwidth, cache_size and cache_line. */
#include "model/node_perf.h"
#include "model/spec_check_int.h"

#include <string.h>

static const char *found(struct txt *t, const struct numa_spec *n, const char *key, const char *value)
{
	return txt_set(t, "guest_numa_id=%u,%s=%s", n->guest_numa_id, key, value);
}

static bool is_lowest(const struct check *c, size_t i)
{
	for (size_t k = 0; k < c->n_nodes; k++)
		if (c->s->nodes[k].guest_numa_id < c->s->nodes[i].guest_numa_id)
			return false;
	return true;
}

/* What no node lists belongs to the lowest-numbered one. */
static bool any_unlisted(const struct check *c, bool cpus)
{
	size_t listed = 0;

	for (size_t k = 0; k < c->n_nodes; k++)
		listed += cpus ? c->s->nodes[k].n_cpus : c->s->nodes[k].n_zones;
	return listed < (cpus ? cpus_spec_max(&c->s->cpus) : c->n_zones ? c->n_zones : 1);
}

static bool has_cpus(const struct check *c, size_t i)
{
	return c->s->nodes[i].n_cpus || (is_lowest(c, i) && any_unlisted(c, true));
}

static bool has_memory(const struct check *c, size_t i)
{
	return c->s->nodes[i].n_zones || (is_lowest(c, i) && any_unlisted(c, false));
}

static size_t find_node(const struct check *c, uint32_t id)
{
	size_t i = 0;

	while (i < c->n_nodes && (!c->s->nodes[i].has_id || c->s->nodes[i].guest_numa_id != id))
		i++;
	return i;
}

static void check_value(struct check *c, const struct numa_spec *n, enum perf_kind k, size_t j)
{
	const struct perf_list *l = &n->perf[k];
	const char *unit = perf_is_latency(k) ? "nanoseconds" : "MB/s";
	uint32_t max = perf_is_latency(k) ? LIM_LATENCY_NS : LIM_BANDWIDTH_MBS;
	size_t to = find_node(c, l->to[j]);
	struct txt t, pair, range;
	bool twice = false;

	found(&t, n, perf_word(k), txt_set(&pair, "[%u@%u]", l->to[j], l->value[j]));
	for (size_t i = 0; i < j && !twice; i++)
		twice = l->to[i] == l->to[j];
	if (twice)
		FAIL(c, "--numa", t.s, "name each destination once", "%s to guest node %u is given twice", perf_word(k),
		     l->to[j]);
	else if (to == c->n_nodes)
		FAIL(c, "--numa", t.s, "add --numa guest_numa_id for it, or leave it out", "there is no guest node %u", l->to[j]);
	else if (l->value[j] < 1 || l->value[j] > max)
		FAIL(c, "--numa", t.s, txt_set(&range, "1 to %u %s", max, unit),
		     "a %s of %u %s is none that can be told to a guest", perf_word(k), l->value[j], unit);
	else if (!has_memory(c, to))
		WARN(c, "--numa", t.s, "leave it out, or give that node memory_zones", "guest node %u has no memory to reach",
		     l->to[j]);
}

static void check_list(struct check *c, size_t i, enum perf_kind k)
{
	const struct numa_spec *n = &c->s->nodes[i];
	const struct perf_list *l = &n->perf[k];
	struct txt t;

	found(&t, n, perf_word(k), "...");
	if (l->n == 0)
		return;
	if (!l->to || !l->value || l->n > LIM_NODES) {
		FAIL(c, "--numa", t.s, "name each destination once", "the list is missing or has more than %u entries",
		     LIM_NODES);
		return;
	}
	if (!has_cpus(c, i))
		FAIL(c, "--numa", t.s, "give it with the node whose vCPUs do the accessing: node@value says what is accessed",
		     "guest node %u has no vCPU to access memory from", n->guest_numa_id);
	for (size_t j = 0; j < l->n; j++)
		check_value(c, n, k, j);
}

static void check_cache(struct check *c, size_t i)
{
	const struct numa_spec *n = &c->s->nodes[i];
	uint32_t line = n->has_cache_line ? n->cache_line : CACHE_LINE_DEFAULT;
	struct txt t, v;

	if (!n->has_cache_size) {
		if (n->has_cache_line)
			FAIL(c, "--numa", found(&t, n, "cache_line", txt_set(&v, "%u", n->cache_line)), "add cache_size=SIZE",
			     "lines of a cache that is not described");
		return;
	}
	found(&t, n, "cache_size", size_text(n->cache_size).s);
	if (!is_pow2(line) || line < 16 || line > LIM_CACHE_LINE)
		FAIL(c, "--numa", found(&t, n, "cache_line", txt_set(&v, "%u", line)), "a power of two, mostly 64 or 128",
		     "cache lines of %u bytes", line);
	else if (n->cache_size == 0 || n->cache_size % line)
		FAIL(c, "--numa", t.s, "a multiple of cache_line", "the cache does not consist of whole lines of %u bytes", line);
	else if (!has_memory(c, i))
		WARN(c, "--numa", t.s, "leave it out, or give the node memory_zones",
		     "a cache in front of memory that is not there");
}

void check_node_perf(struct check *c)
{
	for (size_t i = 0; i < c->n_nodes; i++) {
		for (unsigned k = 0; k < PERF_KINDS; k++)
			check_list(c, i, k);
		check_cache(c, i);
	}
}
