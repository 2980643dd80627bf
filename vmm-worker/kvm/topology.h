/* Which APIC id a vCPU has, and how the bits of that id divide into packages, dies, cores and threads. Shared by CPUID and the
 * ACPI tables. PURE. */
#pragma once
#include "bulkhead/base.h"
#include "model/mem_plan.h"

struct topology {
	uint32_t threads, cores, dies, packages; /* per unit above; all at least 1 */
};

/* A description without topology is one package with one single-threaded core per vCPU. */
struct topology topology_of(uint16_t threads_per_core, uint16_t cores_per_die, uint16_t dies_per_package, uint16_t packages,
			    uint32_t vcpus_max);

/* The same for a machine whose vCPUs are on several nodes: nobody described packages, and one that reached across nodes would
 * share a cache there, which kernels do not believe. Packages of as many cores as never cross a node's border. */
struct topology topology_of_nodes(const struct mem_plan *plan, uint32_t vcpus_max);

/* Width in bits of what lies below a core, a die and a package in an APIC id (Intel SDM 3A, 9.9.1). */
unsigned topology_core_shift(const struct topology *t);
unsigned topology_die_shift(const struct topology *t);
unsigned topology_package_shift(const struct topology *t);

/* vCPUs are numbered threads first, then cores, dies, packages. */
uint32_t topology_apic_id(const struct topology *t, uint32_t vcpu);
