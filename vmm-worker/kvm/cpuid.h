/* What CPUID tells the guest: what KVM supports here, less what this product does not offer (nested virtualization, PMU, SGX
 * without EPC, memory encryption), with this vCPU's place in the topology. PURE. */
#pragma once
#include "bulkhead/base.h"
#include "kvm/topology.h"
#include "model/mem_plan.h"

#include <linux/kvm.h>

#define CPUID_MAX 256u /* KVM's own bound */

struct cpuid_want {
	struct topology topology;
	uint32_t vcpu;
	uint8_t phys_bits;
	bool tsc_deadline;           /* KVM_CAP_TSC_DEADLINE_TIMER is there */
	const struct mem_plan *plan; /* for its EPC sections; NULL: there are none */
};

/* Writes the table of one vCPU to ret (CPUID_MAX entries). host: KVM_GET_SUPPORTED_CPUID's n entries. Returns the number of
 * entries, 0 if they do not fit. */
size_t cpuid_build(const struct kvm_cpuid_entry2 *host, size_t n, const struct cpuid_want *want, struct kvm_cpuid_entry2 *ret);

/* Guest-physical address bits that KVM offers, out of the same table. */
uint8_t cpuid_phys_bits(const struct kvm_cpuid_entry2 *host, size_t n);

/* true if KVM lets guests use SGX. */
bool cpuid_offers_sgx(const struct kvm_cpuid_entry2 *host, size_t n);

/* What firmware would have put into IA32_FEATURE_CONTROL for a guest that sees this table: SGX switched on, and locked. 0:
 * nothing to say. */
uint64_t cpuid_feature_control(const struct kvm_cpuid_entry2 *table, size_t n);
