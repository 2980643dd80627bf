/* What a host has, as far as plans depend on it: read from the running host (proto/host) or described in a file (--host FILE).
 * Bytes and page counts are a snapshot; the broker's ledger decides under its own lock. */
#pragma once
#include "model/nodeset.h"

struct host_huge {
	uint64_t page_size;
	uint64_t total, free; /* pages, on this node */
};

struct host_node {
	uint32_t id;
	uint64_t mem_total, mem_free; /* bytes; free counts what the kernel can reclaim at once (clean page cache) too */
	struct nodeset cpus;          /* host CPU numbers */
	size_t n_huge;
	struct host_huge huge[LIM_HUGE_SIZES];
	uint16_t distance[64]; /* to the nodes in host_facts order; 0: unknown */
};

/* Free bytes in pages of this size (GUEST_PAGE, or a size of huge pages); 0: there are none of it. */
uint64_t host_node_free(const struct host_node *n, uint64_t page_size);

#define HOST_PURSES (1 + LIM_HUGE_SIZES)

struct host_facts {
	size_t n_nodes;
	struct host_node nodes[64]; /* ascending id; a host with more than 64 nodes is refused with a message */
	size_t n_huge_sizes;
	uint64_t huge_sizes[LIM_HUGE_SIZES]; /* ascending, bytes */
	uint64_t default_huge_size;          /* 0: the kernel has no hugetlb */
	/* Of the free bytes those that somebody has a right to on no node in particular, so that no node's count can say it. By
	 * host_purse. */
	uint64_t spoken_for[HOST_PURSES];
	uint8_t phys_bits;                   /* guest-physical address bits that KVM offers */
	uint32_t online_cpus;
	bool has_kvm;       /* /dev/kvm can be opened */
	bool has_vepc;      /* /dev/sgx_vepc exists, or what is named here */
	const char *vepc;   /* the broker's --dev-sgx-vepc, not owned; NULL: /dev/sgx_vepc */
	char thp[16];       /* the chosen word of transparent_hugepage/enabled */
	char shmem_thp[16]; /* of shmem_enabled */
	bool ksm_running;
};

/* 0: small pages, 1 + i: those of huge_sizes[i]; HOST_PURSES: the host has none of this size. */
size_t host_purse(const struct host_facts *f, uint64_t page_size);

/* Bytes in pages of this size that these nodes (empty: any) can give to whoever asks now. */
uint64_t host_free(const struct host_facts *f, const struct nodeset *nodes, uint64_t page_size);
