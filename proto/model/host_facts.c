#include "model/host_facts.h"

#include "bulkhead/guest.h"

uint64_t host_node_free(const struct host_node *n, uint64_t page_size)
{
	if (page_size == GUEST_PAGE)
		return n->mem_free;
	for (size_t i = 0; i < n->n_huge; i++)
		if (n->huge[i].page_size == page_size)
			return n->huge[i].free * page_size;
	return 0;
}

size_t host_purse(const struct host_facts *f, uint64_t page_size)
{
	if (page_size == GUEST_PAGE)
		return 0;
	for (size_t i = 0; i < f->n_huge_sizes; i++)
		if (f->huge_sizes[i] == page_size)
			return 1 + i;
	return HOST_PURSES;
}

uint64_t host_free(const struct host_facts *f, const struct nodeset *nodes, uint64_t page_size)
{
	size_t purse = host_purse(f, page_size);
	uint64_t there = 0, all = 0, spoken_for = purse < HOST_PURSES ? f->spoken_for[purse] : 0;

	for (size_t i = 0; i < f->n_nodes; i++) {
		uint64_t free = host_node_free(&f->nodes[i], page_size);

		all += free;
		if (nodeset_empty(nodes) || nodeset_has(nodes, f->nodes[i].id))
			there += free;
	}
	all -= spoken_for < all ? spoken_for : all;
	return there < all ? there : all;
}
