/* A virtual CPU and its thread. */
#pragma once
#include "boot/boot.h"
#include "bulkhead/err.h"
#include "model/vm_spec.h"
#include "wire/wire.h"

#include <linux/kvm.h>
#include <pthread.h>

struct machine;

struct vcpu {
	struct machine *m;
	uint32_t id;
	int fd;
	struct kvm_run *run;
	const struct affinity_spec *affinity; /* NULL: anywhere; the grant's */
	uint64_t feature_control; /* IA32_FEATURE_CONTROL as firmware leaves it; 0: nothing in it */
	int tid;                              /* written by the thread before it first parks */
	int start_error;                      /* the same: 0, or why the thread cannot run */
	struct err start_why;
};

/* Main thread, during the start: vCPU id of m, with its CPUID. */
int vcpu_create(struct machine *m, uint32_t id, struct err *e);

/* Main thread: puts vCPU 0 at the kernel's entry. All others wait for INIT and SIPI, which is how KVM creates them. */
int vcpu_set_entry(struct vcpu *v, const struct boot_entry *entry, struct err *e);

/* Main thread: starts the thread, which closes its sandbox and parks. */
int vcpu_start_thread(struct vcpu *v, struct err *e);

/* Main thread: makes KVM_RUN return soon, also if it is not running yet. */
void vcpu_kick(const struct vcpu *v, int pid);

/* exits.c. The thread's body after its sandbox is closed; never returns. */
_Noreturn void vcpu_loop(struct vcpu *v);

/* report.c: adds registers and instruction bytes to a report about v's current state. v's own thread. */
void vcpu_report_regs(struct vcpu *v, struct end_report *end);
