#include "print_guest.h"
#include "print.h"

#include <inttypes.h>
#include <json-c/json.h>

void print_pinned(const struct pinned *p, size_t n)
{
	struct table t = {.n_columns = 3};

	if (n == 0)
		return;
	puts("\nWhere vCPUs run");
	TABLE_ROW(&t, "VCPUS", "HOST CPUS", "");
	for (size_t i = 0; i < n; i++)
		TABLE_ROW(&t, people_set(&p[i].vcpus).s, people_set(&p[i].host_cpus).s,
			  p[i].by_default ? "beside their memory" : "as asked for");
	table_print(&t, stdout);
}

static const char *cost_text(const struct node_cost *c, enum perf_kind k, char (*ret)[24])
{
	if (c->cost[k])
		snprintf(*ret, sizeof(*ret), "%" PRIu32 " %s", c->cost[k], perf_is_latency(k) ? "ns" : "MB/s");
	else
		snprintf(*ret, sizeof(*ret), "-");
	return *ret;
}

void print_costs(const struct node_cost *c, size_t n, size_t there)
{
	struct table t = {.n_columns = 6, .right = 0x3f};

	if (n == 0)
		return;
	puts("\nWhat memory costs vCPUs, as the guest is told");
	TABLE_ROW(&t, "FROM NODE", "TO NODE", "READ LATENCY", "WRITE LATENCY", "READ BANDWIDTH", "WRITE BANDWIDTH");
	for (size_t i = 0; i < n; i++) {
		char from[16], to[16], text[PERF_KINDS][24];

		snprintf(from, sizeof(from), "%" PRIu32, c[i].from);
		snprintf(to, sizeof(to), "%" PRIu32, c[i].to);
		TABLE_ROW(&t, from, to, cost_text(&c[i], PERF_READ_LATENCY, &text[0]),
			  cost_text(&c[i], PERF_WRITE_LATENCY, &text[1]), cost_text(&c[i], PERF_READ_BANDWIDTH, &text[2]),
			  cost_text(&c[i], PERF_WRITE_BANDWIDTH, &text[3]));
	}
	table_print(&t, stdout);
	if (there > n)
		printf("  ... and %zu more, which 'bulkhead plan' shows\n", there - n);
}

void print_caches(const struct node_cache *c, size_t n)
{
	struct table t = {.n_columns = 3, .right = 0x7};

	if (n == 0)
		return;
	puts("\nCaches before the memory of nodes, as the guest is told");
	TABLE_ROW(&t, "NODE", "SIZE", "LINE");
	for (size_t i = 0; i < n; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%" PRIu32, c[i].guest_numa_id);
		TABLE_ROW(&t, id, people_size(c[i].size).s, people_size(c[i].line).s);
	}
	table_print(&t, stdout);
}

void json_pinned(struct json_object *o, const struct pinned *p, size_t n)
{
	struct json_object *a = json_add_array(o, "affinity");

	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_append_object(a);

		json_add_set(row, "vcpus", &p[i].vcpus);
		json_add_set(row, "host_cpus", &p[i].host_cpus);
		json_add_bool(row, "by_default", p[i].by_default);
	}
}

static void add_cost(struct json_object *o, const struct node_cost *c, enum perf_kind k)
{
	char key[32];

	snprintf(key, sizeof(key), "%s_%s", perf_word(k), perf_is_latency(k) ? "ns" : "mbs");
	if (c->cost[k])
		json_add_u64(o, key, c->cost[k]);
	else
		json_object_object_add(o, key, NULL);
}

void json_costs(struct json_object *o, const struct node_cost *c, size_t n)
{
	struct json_object *a = json_add_array(o, "costs");

	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_append_object(a);

		json_add_u64(row, "from", c[i].from);
		json_add_u64(row, "to", c[i].to);
		for (unsigned k = 0; k < PERF_KINDS; k++)
			add_cost(row, &c[i], (enum perf_kind)k);
	}
}

void json_caches(struct json_object *o, const struct node_cache *c, size_t n)
{
	struct json_object *a = json_add_array(o, "caches");

	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_append_object(a);

		json_add_u64(row, "guest_numa_id", c[i].guest_numa_id);
		json_add_u64(row, "size", c[i].size);
		json_add_u64(row, "line", c[i].line);
	}
}
