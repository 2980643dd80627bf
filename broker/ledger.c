#include "ledger.h"

#include "model/size_text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What host_node_free reads. */
static void set_free(struct host_node *n, uint64_t page_size, uint64_t bytes)
{
	if (page_size == GUEST_PAGE) {
		n->mem_free = bytes;
		return;
	}
	for (size_t i = 0; i < n->n_huge; i++)
		if (n->huge[i].page_size == page_size)
			n->huge[i].free = bytes / page_size;
}

/* There is never more than the host has now, nor less than that without all that is promised and perhaps not taken yet. */
static uint64_t between(uint64_t left, uint64_t now, uint64_t flying)
{
	uint64_t least = now > flying ? now - flying : 0;

	return left > now ? now : left < least ? least : left;
}

static const struct nodeset any_node;

static void look_again_at(struct ledger *l, const struct host_facts *now, size_t purse, uint64_t page_size)
{
	uint64_t sum = 0, *all = &l->all_left[purse];

	*all = between(*all, host_free(now, &any_node, page_size), l->all_flying[purse]);
	for (size_t i = 0; i < l->left.n_nodes && i < now->n_nodes; i++) {
		struct host_node *n = &l->left.nodes[i];
		uint64_t free = between(host_node_free(n, page_size), host_node_free(&now->nodes[i], page_size),
					host_node_free(&l->flying.nodes[i], page_size));

		set_free(n, page_size, free);
		sum += free;
	}
	/* What was promised on any node and has been taken is off that node's free pages by now, and no longer spoken for. */
	l->left.spoken_for[purse] = sum > *all ? sum - *all : 0;
}

static void look_again(struct ledger *l, const struct host_facts *now)
{
	look_again_at(l, now, 0, GUEST_PAGE);
	for (size_t i = 0; i < now->n_huge_sizes; i++)
		look_again_at(l, now, 1 + i, now->huge_sizes[i]);
}

static void start_over(struct ledger *l, const struct host_facts *now)
{
	*l = (struct ledger){.left = *now, .flying = *now};
	l->all_left[0] = host_free(now, &any_node, GUEST_PAGE);
	for (size_t i = 0; i < now->n_huge_sizes; i++)
		l->all_left[1 + i] = host_free(now, &any_node, now->huge_sizes[i]);
	for (size_t i = 0; i < l->flying.n_nodes; i++) {
		l->flying.nodes[i].mem_free = 0;
		for (size_t h = 0; h < l->flying.nodes[i].n_huge; h++)
			l->flying.nodes[i].huge[h].free = 0;
	}
}

static void add_takes(struct host_facts *f, uint64_t all[HOST_PURSES], const struct promise *p, bool add)
{
	for (size_t i = 0; i < p->n; i++) {
		uint64_t more = add ? p->take[i].bytes : 0 - p->take[i].bytes;

		all[host_purse(f, p->take[i].page_size)] += more;
		if (p->take[i].node < f->n_nodes) {
			struct host_node *n = &f->nodes[p->take[i].node];

			set_free(n, p->take[i].page_size, host_node_free(n, p->take[i].page_size) + more);
		}
	}
}

/* Sums of free memory have no round numbers; nobody wants to read more than MiB. */
static struct size_text mib_text(uint64_t bytes, bool up)
{
	if (bytes < MiB)
		return size_text(bytes);
	return size_text((bytes + (up && bytes <= UINT64_MAX - MiB ? MiB - 1 : 0)) & ~(MiB - 1));
}

static int refuse(const struct plan_need *r, bool others, struct err *e)
{
	char where[48] = "";
	struct txt nodes = {0};

	if (!nodeset_empty(&r->nodes)) {
		txt_add_set(&nodes, r->nodes.w, NODESET_BITS);
		snprintf(where, sizeof(where), " on host node%s %.30s", nodeset_count(&r->nodes) == 1 ? "" : "s", nodes.s);
	}
	if (r->page_size == GUEST_PAGE)
		return err_set(
		    e, -ENOMEM,
		    "zone %s: %s of memory needed%s, %s free%s (%s missing); make it smaller, or leave out prefault=on and "
		    "reserve=on",
		    r->zones, size_text(r->bytes).s, where, mib_text(r->free, false).s,
		    others ? " after what was promised to VMs in creation" : "", mib_text(r->missing, true).s);
	return err_set(e, -ENOMEM,
		       "zone %s: %" PRIu64 " huge pages of %s needed%s, %" PRIu64 " free%s (%" PRIu64
		       " missing); add pages (nr_hugepages under /sys/kernel/mm/hugepages or a node's), or make it smaller",
		       r->zones, r->bytes / r->page_size, size_text(r->page_size).s, where, r->free / r->page_size,
		       others ? " after what was promised to VMs in creation" : "",
		       (r->missing + r->page_size - 1) / r->page_size);
}

static bool of_any_node(const struct host_facts *f, const struct plan_need *row)
{
	for (size_t i = 0; i < f->n_nodes; i++)
		if (!nodeset_empty(&row->nodes) && !nodeset_has(&row->nodes, f->nodes[i].id))
			return false;
	return true;
}

static void note(struct promise *p, size_t node, uint64_t page_size, uint64_t bytes)
{
	p->take[p->n].node = (uint16_t)node;
	p->take[p->n].page_size = page_size;
	p->take[p->n].bytes = bytes;
	p->n++;
}

/* Takes one row off the nodes that may give it, the fullest first, so that rows for several nodes stay out of the way of others.
 */
static void take(struct host_facts *left, struct promise *p, const struct plan_need *row)
{
	size_t purse = host_purse(left, row->page_size);
	uint64_t want = row->bytes;

	if (purse == HOST_PURSES || want == 0 || p->n == LEDGER_TAKES)
		return;
	if (of_any_node(left, row)) {
		left->spoken_for[purse] += want;
		note(p, LEDGER_ANY, row->page_size, want);
		return;
	}
	while (want && p->n < LEDGER_TAKES) {
		size_t best = left->n_nodes;
		uint64_t most = 0, free, part;

		for (size_t i = 0; i < left->n_nodes; i++) {
			if (!nodeset_has(&row->nodes, left->nodes[i].id))
				continue;
			free = host_node_free(&left->nodes[i], row->page_size);
			if (free > most) {
				most = free;
				best = i;
			}
		}
		if (best == left->n_nodes)
			return;
		part = want < most ? want : most;
		set_free(&left->nodes[best], row->page_size, most - part);
		note(p, best, row->page_size, part);
		want -= part;
	}
}

int ledger_promise(struct ledger *l, const struct host_facts *now, const struct mem_plan *plan, struct promise *ret,
		   struct err *e)
{
	struct plan_need rows[PLAN_NEEDS_MAX];
	struct promise p = {.made = true, .in_flight = true};
	size_t n;

	if (l->in_flight == 0)
		start_over(l, now);
	else
		look_again(l, now);
	n = plan_needs(plan, &l->left, rows, ARRAY_LEN(rows));
	for (size_t i = 0; i < n; i++)
		if (rows[i].missing)
			return refuse(&rows[i], l->in_flight > 0, e);
	for (size_t i = 0; i < n; i++)
		take(&l->left, &p, &rows[i]);
	for (size_t i = 0; i < p.n; i++)
		l->all_left[host_purse(&l->left, p.take[i].page_size)] -= p.take[i].bytes;
	add_takes(&l->flying, l->all_flying, &p, true);
	l->in_flight++;
	*ret = p;
	return 0;
}

void ledger_less(struct host_facts *f, const struct mem_plan *plan)
{
	struct plan_need rows[PLAN_NEEDS_MAX];
	struct promise p = {0};
	size_t n = plan_needs(plan, f, rows, ARRAY_LEN(rows));

	for (size_t i = 0; i < n; i++)
		take(f, &p, &rows[i]);
}

int ledger_would(const struct ledger *l, const struct host_facts *now, const struct mem_plan *plan, struct err *e)
{
	static struct ledger trial; /* large */
	struct promise p;

	trial = *l;
	return ledger_promise(&trial, now, plan, &p, e);
}

void ledger_kept(struct ledger *l, struct promise *p)
{
	if (!p->in_flight)
		return;
	assert(l->in_flight > 0);
	p->in_flight = false;
	l->in_flight--;
	add_takes(&l->flying, l->all_flying, p, false);
}

void ledger_returned(struct ledger *l, struct promise *p)
{
	if (!p->made)
		return;
	ledger_kept(l, p);
	if (l->in_flight)
		add_takes(&l->left, l->all_left, p, true);
	*p = (struct promise){0};
}
