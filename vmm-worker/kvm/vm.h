/* The KVM virtual machine: created, configured, given its memory. Main thread, during the start. */
#pragma once
#include "bulkhead/err.h"
#include "guestmem/map.h"
#include "kvm/cpuid.h"

/* KVM's own layout: a header, and its entries directly behind it. */
struct cpuid_table {
	uint32_t nent;
	uint32_t padding;
	struct kvm_cpuid_entry2 entry[CPUID_MAX];
};
_Static_assert(offsetof(struct cpuid_table, entry) == sizeof(struct kvm_cpuid2), "the layout of struct kvm_cpuid2");

struct vm {
	int fd;
	size_t run_size; /* bytes of a vCPU's shared pages */
	bool tsc_deadline;
	unsigned max_slots; /* memory slots that KVM has room for */
	struct cpuid_table supported;
};

/* kvm_fd stays the caller's and is not needed any more afterwards. phys_bits: the plan's. */
int vm_create(struct vm *vm, int kvm_fd, uint8_t phys_bits, struct err *e);

/* slots.c: one memory slot per piece of the plan, slot number = piece number, and behind them one for each EPC section. */
int vm_add_slots(const struct vm *vm, const struct guestmem *gm, struct err *e);
