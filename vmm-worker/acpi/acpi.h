/* The ACPI tables of one machine, built from the same plan as everything else. PURE: bytes into a buffer of the caller's.
 * Section numbers are those of the ACPI specification 6.5. One table, one file. */
#pragma once
#include "bulkhead/err.h"
#include "bulkhead/guest.h"
#include "model/mem_plan.h"

/* Costs of reaching one guest node from another, for HMAT; 0: not described. */
struct acpi_hmat_pair {
	uint32_t initiator, target; /* indices into mem_plan.nodes */
	uint32_t read_latency_ns, write_latency_ns;
	uint32_t read_bandwidth_mbs, write_bandwidth_mbs;
};

struct acpi_hmat_cache {
	uint32_t node; /* index of the memory node that has a memory-side cache */
	uint64_t size;
	uint16_t line_bytes;
};

/* A PCI function other than a host bridge; bus and function are always 0. */
struct acpi_device {
	uint16_t segment;
	uint8_t slot;
};

struct acpi_machine {
	const struct mem_plan *plan;
	uint32_t vcpus_boot, vcpus_max;
	uint32_t apic_id[LIM_CPUS]; /* by vCPU number */
	size_t n_pairs;
	const struct acpi_hmat_pair *pairs;
	size_t n_caches;
	const struct acpi_hmat_cache *caches;
	size_t n_devices;
	const struct acpi_device *devices;
	bool has_serial;
};

#define ACPI_MAX_BYTES (112 * KiB) /* all tables together; they lie in [PLAT_ACPI_START, 1 MiB) */

/* Builds all tables into buf, which the guest will see at guest-physical address `at` (16-byte aligned). *ret_rsdp is where the
 * RSDP then lies. -ENOSPC if they do not fit cap. */
int acpi_build(const struct acpi_machine *m, gpa_t at, uint8_t *buf, size_t cap, size_t *ret_len, gpa_t *ret_rsdp, struct err *e);
