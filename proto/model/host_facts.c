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
