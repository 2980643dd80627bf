#include "model/plan_impl.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Where the bytes must come from. Preferred nodes and the local node are wishes: the kernel falls back to the others. */
static struct nodeset strict_nodes(const struct plan_zone *z)
{
	switch (z->host_policy) {
	case HOST_POLICY_BIND:
	case HOST_POLICY_INTERLEAVE:
		return z->host_nodes;
	case HOST_POLICY_UNSET:
	case HOST_POLICY_PREFERRED:
	case HOST_POLICY_LOCAL:
		break;
	}
	return (struct nodeset){0};
}

/* A shared file's pages live in the page cache and can be written back: they are not taken from anybody. */
static bool guaranteed(const struct plan_zone *z)
{
	return (z->reserve || z->prefault) && z->backing != BACKING_FILE_SHARED;
}

static void add_name(struct plan_need *row, const char *id)
{
	size_t used = strlen(row->zones), left = sizeof(row->zones) - used;

	if (strlen(id) + 5 < left) /* a comma, and room for ",..." after it */
		snprintf(row->zones + used, left, "%s%s", used ? "," : "", id);
	else if (used < 4 || strcmp(row->zones + used - 3, "...") != 0)
		snprintf(row->zones + used, left, ",...");
}

static struct plan_need *find_row(struct plan_need *rows, size_t *n, size_t cap, const struct plan_zone *z)
{
	struct nodeset nodes = strict_nodes(z);

	for (size_t i = 0; i < *n; i++)
		if (rows[i].page_size == z->page_size && memcmp(&rows[i].nodes, &nodes, sizeof(nodes)) == 0)
			return &rows[i];
	if (*n == cap)
		return NULL;
	rows[*n] = (struct plan_need){
	    .host_node = nodeset_count(&nodes) == 1 ? nodeset_next(&nodes, 0) : -1,
	    .nodes = nodes,
	    .page_size = z->page_size,
	};
	return &rows[(*n)++];
}

/* Who gets what from whom, for one page size: a maximum flow from rows to nodes, so that rows with overlapping sets of nodes are
 * satisfied whenever that is possible at all. What others have a right to on whatever node is one row more, the last. */
struct flow {
	const struct plan_need *rows;
	size_t n_rows, n_nodes;
	const struct host_facts *host;
	uint64_t left[64];                      /* free on the node and not given to a row */
	uint64_t given[PLAN_NEEDS_MAX + 1][64]; /* of the node to the row */
};

static bool may_use(const struct flow *f, size_t row, size_t node)
{
	return row == f->n_rows || nodeset_empty(&f->rows[row].nodes) || nodeset_has(&f->rows[row].nodes, f->host->nodes[node].id);
}

/* Searches for a node with something left that row can reach, directly or by moving other rows' takings elsewhere; breadth first.
 * via[n] is the row through which node n was reached, from[n] the node whose takings it would move (or n_nodes: the start). */
static size_t find_path(const struct flow *f, size_t row, size_t via[64], size_t from[64])
{
	size_t queue[64], head = 0, tail = 0;
	bool seen[64] = {0};

	for (size_t n = 0; n < f->n_nodes; n++) {
		if (!may_use(f, row, n))
			continue;
		seen[n] = true;
		via[n] = row;
		from[n] = f->n_nodes;
		queue[tail++] = n;
	}
	while (head < tail) {
		size_t at = queue[head++];

		if (f->left[at] > 0)
			return at;
		for (size_t r = 0; r <= f->n_rows; r++) {
			if (f->given[r][at] == 0)
				continue;
			for (size_t n = 0; n < f->n_nodes; n++) {
				if (seen[n] || !may_use(f, r, n))
					continue;
				seen[n] = true;
				via[n] = r;
				from[n] = at;
				queue[tail++] = n;
			}
		}
	}
	return f->n_nodes;
}

/* Gives row up to want bytes; returns what could not be given. */
static uint64_t satisfy(struct flow *f, size_t row, uint64_t want)
{
	while (want > 0) {
		size_t via[64], from[64], end = find_path(f, row, via, from);
		uint64_t amount;

		if (end == f->n_nodes)
			break;
		amount = f->left[end] < want ? f->left[end] : want;
		for (size_t n = end; from[n] != f->n_nodes; n = from[n])
			if (f->given[via[n]][from[n]] < amount)
				amount = f->given[via[n]][from[n]];
		f->left[end] -= amount;
		for (size_t n = end;; n = from[n]) {
			f->given[via[n]][n] += amount;
			if (from[n] == f->n_nodes)
				break;
			f->given[via[n]][from[n]] -= amount;
		}
		want -= amount;
	}
	return want;
}

static void judge(const struct host_facts *host, struct plan_need *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct flow f = {rows, n, host->n_nodes, host, {0}, {{0}}};
		bool done = false;

		for (size_t k = 0; k < i && !done; k++)
			done = rows[k].page_size == rows[i].page_size;
		if (done)
			continue;
		for (size_t k = 0; k < host->n_nodes; k++)
			f.left[k] = host_node_free(&host->nodes[k], rows[i].page_size);
		if (host_purse(host, rows[i].page_size) < HOST_PURSES)
			satisfy(&f, n, host->spoken_for[host_purse(host, rows[i].page_size)]);
		/* Later rows only ever take what earlier ones can do without, so what is short is told about the later one. */
		for (size_t k = i; k < n; k++)
			if (rows[k].page_size == rows[i].page_size)
				rows[k].missing = satisfy(&f, k, rows[k].bytes);
	}
}

size_t plan_needs(const struct mem_plan *plan, const struct host_facts *host, struct plan_need *ret, size_t cap)
{
	size_t n = 0;

	assert(host->n_nodes <= 64);
	if (cap > PLAN_NEEDS_MAX)
		cap = PLAN_NEEDS_MAX;
	for (size_t i = 0; i < plan->n_zones; i++) {
		const struct plan_zone *z = &plan->zones[i];
		struct plan_need *row = find_row(ret, &n, cap, z);

		if (!row)
			continue;
		*(guaranteed(z) ? &row->bytes : &row->bytes_lazy) += z->size;
		row->bytes_lazy += z->hotplugged_size;
		add_name(row, z->id);
	}
	for (size_t i = 0; i < n; i++)
		ret[i].free = host_free(host, &ret[i].nodes, ret[i].page_size);
	judge(host, ret, n);
	return n;
}
