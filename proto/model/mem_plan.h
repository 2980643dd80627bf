/* The decision: which object backs which guest-physical bytes, and where on the host. plan_build makes it from a checked spec and
 * host facts; memsrv and the worker re-run plan_check on what reaches them and trust nothing else. PURE. All units bytes. */
#pragma once
#include "bulkhead/err.h"
#include "bulkhead/guest.h"
#include "model/diag.h"
#include "model/host_facts.h"
#include "model/vm_spec.h"

enum backing {
	BACKING_ANON,         /* private anonymous, made by the worker itself */
	BACKING_MEMFD,        /* sealed memfd, made by memsrv */
	BACKING_HUGETLB,      /* sealed hugetlb memfd, made by memsrv */
	BACKING_FILE_SHARED,  /* a regular file of the owner's, MAP_SHARED */
	BACKING_FILE_PRIVATE, /* the same, MAP_PRIVATE */
};

struct plan_zone {
	char id[LIM_ID + 1]; /* "__ram" for plain --memory */
	enum backing backing;
	uint64_t size;      /* bytes at boot; may be 0 with a hotplug window */
	uint64_t page_size; /* of the backing: 4 KiB or the huge page size */
	bool prefault, reserve, thp, mergeable;
	enum host_policy host_policy;
	struct nodeset host_nodes; /* empty: anywhere */
	struct nodeset host_cpus;  /* CPUs of those nodes, or the nearest to them, for populating threads and vCPUs; empty: any */
	uint32_t guest_node;       /* index into mem_plan.nodes, 0 when there is no NUMA description */
	/* All 0 without hotplug. block_size is the smallest step: 2 MiB or the page size with virtio-mem, 128 MiB or the page
	 * size with ACPI. */
	uint64_t hotplug_size, hotplugged_size, block_size;
	gspan_t hotplug; /* window; len == hotplug_size rounded up to the alignment */
};

/* Bytes of the zone's object: boot memory first, behind it what may be plugged later. What the receiver of its fd checks fstat
 * against (granted files: at least this long). */
static inline uint64_t plan_zone_object_size(const struct plan_zone *z)
{
	return z->size + z->hotplug.len.v; /* plan_check has seen that both fit the address bits */
}

/* Does the zone give single pages back that its guest has no use for (virtio-balloon)? They are made again when the guest touches
 * them, so not where pages are promised, not a huge page for a part of it, and not the bytes of somebody's file. */
static inline bool plan_zone_gives(const struct plan_zone *z)
{
	return (z->backing == BACKING_ANON || z->backing == BACKING_MEMFD) && !z->reserve;
}

/* A run of one zone in guest-physical space; a zone that crosses the 32-bit hole has two. */
struct plan_piece {
	uint16_t zone;
	uint64_t offset; /* in the zone's object; a multiple of its page size */
	gspan_t at;
};

enum plan_window_kind {
	WINDOW_HOLE,  /* alignment gap inside RAM */
	WINDOW_PCI32, /* MMIO32 of a segment */
	WINDOW_ECAM,
	WINDOW_PLATFORM,     /* IOAPIC, LAPIC, and what else is fixed below 4 GiB */
	WINDOW_HOTPLUG_ACPI, /* for --memory hotplug_method=acpi */
	WINDOW_HOTPLUG_ZONE, /* virtio-mem window of a zone */
	WINDOW_EPC,
	WINDOW_PCI64,
};

struct plan_window {
	enum plan_window_kind kind;
	uint16_t index; /* segment, zone or EPC section; 0 otherwise */
	gspan_t at;
};

struct plan_node {
	uint32_t guest_numa_id;
	struct nodeset cpus; /* vCPU ids */
};

#define PLAN_PIECES_MAX  (2 * LIM_ZONES)
#define PLAN_WINDOWS_MAX (3 * LIM_SEGMENTS + 2 * LIM_ZONES + LIM_EPC + 8)

struct mem_plan {
	uint8_t phys_bits;
	size_t n_zones, n_pieces, n_windows, n_nodes;
	struct plan_zone zones[LIM_ZONES];
	struct plan_piece pieces[PLAN_PIECES_MAX];    /* ascending guest-physical address */
	struct plan_window windows[PLAN_WINDOWS_MAX]; /* ascending guest-physical address */
	struct plan_node nodes[LIM_NODES];            /* ascending guest_numa_id; empty: no SRAT for the guest */
	uint8_t distance[LIM_NODES][LIM_NODES];       /* by index; diagonal 10 */
	uint32_t n_segments;
	uint8_t segment_node[LIM_SEGMENTS]; /* index into nodes */
	size_t n_epc;
	struct {
		char id[LIM_ID + 1];
		gspan_t at;
		uint8_t node;
		bool prefault;
	} epc[LIM_EPC];
};

/* Judges a decoded spec. host may be NULL (then nothing that depends on the host is judged). Adds to *ds in one pass and never
 * stops at the first error. Returns 0, or -EINVAL when errors were added. spec_check.c */
int spec_check(const struct vm_spec *spec, const struct host_facts *host, struct diags *ds);

/* "not in this version yet": errors for what is planned but has no machinery. Separate, because `plan` accepts it. spec_check.c
 */
int spec_check_supported(const struct vm_spec *spec, struct diags *ds);

/* Lays out a spec that spec_check accepted. Untouched *ret_plan on failure (it does not fit the address bits). plan.c */
int plan_build(const struct vm_spec *spec, const struct host_facts *host, struct mem_plan *ret_plan, struct diags *ds);

/* Which host CPUs each vCPU is pinned to: those that were asked for, otherwise those of the host nodes that the zones of its
 * guest node are placed on. vCPUs that may run anywhere are left out. ret has room for cpus_spec_max() of them; returns how many,
 * ascending by vCPU. The spec and its plan must have passed spec_check and plan_build. plan_affinity.c */
size_t plan_affinity(const struct vm_spec *spec, const struct mem_plan *plan, struct affinity_spec *ret);

/* What a receiver must verify before it believes a plan: bounds, alignment, no overlap, pieces cover each zone exactly once,
 * indices in range, enums in range, strings terminated. Returns 0 or -EINVAL with the first violation in *e. plan_check.c */
int plan_check(const struct mem_plan *plan, struct err *e);

/* What the plan takes from a host: one row per (set of nodes, page size). Give it host facts from whose free counts everything
 * promised elsewhere has been taken off, and `missing` is the answer whether this plan still fits: rows that compete for the same
 * node are judged together, not each by itself. */
struct plan_need {
	int host_node;        /* the one node that must give it; -1: any of `nodes` */
	struct nodeset nodes; /* empty: any node of the host */
	uint64_t page_size;   /* 4 KiB or a huge page size */
	uint64_t bytes;       /* guaranteed at create (reserve or prefault), not the sum of all promises */
	uint64_t bytes_lazy;  /* allocated on first touch, or plugged in later at once (hotplugged_size) */
	uint64_t free;        /* bytes free now on those nodes in that size, from host facts */
	uint64_t missing;     /* of bytes, what the nodes cannot give beside the other rows; 0: fits */
	char zones[128];      /* "mem0,mem1" for the message */
};
#define PLAN_NEEDS_MAX LIM_ZONES
/* Returns the number of rows; cap >= PLAN_NEEDS_MAX always suffices, with less the last rows are left out. plan_needs.c */
size_t plan_needs(const struct mem_plan *plan, const struct host_facts *host, struct plan_need *ret, size_t cap);
