/* The life of a vCPU thread: KVM_RUN, and what to do each time it returns. */
#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* Intel SDM 3A, 10.1.1 */
#define RESET_RIP 0xfff0u
#define RESET_CS  0xf000u

#define REST_MS 10u /* that a vCPU waits for what it rang for: then the guest goes on, it may have other things to do */

#define EMULATION_FAILURE_HAS_INSN KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES

static _Noreturn void end_with(struct vcpu *v, struct end_report *end)
{
	vcpu_report_regs(v, end);
	runctl_end(&v->m->run, end);
}

static _Noreturn void end_triple_fault(struct vcpu *v)
{
	struct end_report end = {.cause = END_TRIPLE_FAULT};

	vcpu_report_regs(v, &end);
	/* AMD APM 2, 15.14.3: the state is undefined after a SHUTDOWN intercept, so KVM resets the vCPU. */
	snprintf(end.detail, sizeof(end.detail), "an exception, and no handler for it or for the double fault that followed%s",
		 end.rip == RESET_RIP && end.cs == RESET_CS ? "; this host's CPU keeps no registers of it, these are a reset's"
							    : "");
	runctl_end(&v->m->run, &end);
}

/* The guest's own wish; no registers, nothing is wrong. */
static _Noreturn void end_power(struct vcpu *v, enum power_request request)
{
	struct end_report end = {.cause = request == POWER_OFF ? END_POWEROFF : END_RESET, .vcpu = v->id};

	snprintf(end.detail, sizeof(end.detail), "%s",
		 request == POWER_OFF ? "the guest switched itself off" : "the guest asked for a reset");
	runctl_end(&v->m->run, &end);
}

/* Lets the main thread do what this vCPU rang for (pace.h). */
static void give_way(struct machine *m)
{
	unsigned rounds = runctl_rounds(&m->run);

	pace_rang(&m->pace);
	virtio_kick(&m->virtio);
	runctl_rest(&m->run, rounds, REST_MS);
}

static void on_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	struct machine *m = v->m;
	enum power_request request;
	bool notify, rang;

	pthread_mutex_lock(&m->dev_lock);
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		bus_access(&m->pio, run->io.port, data, run->io.size, run->io.direction == KVM_EXIT_IO_OUT);
	request = m->power.request;
	notify = m->serial.notify || m->dimms.notify;
	m->serial.notify = m->dimms.notify = false;
	rang = virtio_rang(&m->virtio);
	pthread_mutex_unlock(&m->dev_lock);
	if (notify)
		runctl_wake(&m->run);
	if (rang)
		give_way(m);
	if (request != POWER_NONE)
		end_power(v, request);
}

static bool in_window(const struct mem_plan *plan, uint64_t addr, uint32_t len)
{
	for (size_t i = 0; i < plan->n_windows; i++)
		if (plan->windows[i].kind != WINDOW_HOLE && gspan_contains(plan->windows[i].at, gpa(addr), glen(len)))
			return true;
	return false;
}

static _Noreturn void end_bad_access(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct end_report end = {
	    .cause = END_BAD_ACCESS,
	    .has_access = true,
	    .access_addr = run->mmio.phys_addr,
	    .access_len = run->mmio.len,
	    .access_write = run->mmio.is_write,
	};

	snprintf(end.detail, sizeof(end.detail),
		 "vCPU %u %s %u bytes at guest-physical %#llx, which is neither RAM nor a window of the plan", v->id,
		 run->mmio.is_write ? "wrote" : "read", run->mmio.len, (unsigned long long)run->mmio.phys_addr);
	end_with(v, &end);
}

static void on_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct machine *m = v->m;
	enum bus_result r;
	bool known = true, rang;

	pthread_mutex_lock(&m->dev_lock);
	r = bus_access(&m->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len, run->mmio.is_write);
	if (r == BUS_NOBODY) {
		known = in_window(m->gm.plan, run->mmio.phys_addr, run->mmio.len);
		m->in_window += known;
		hotplug_strayed(m, gpa(run->mmio.phys_addr));
	}
	rang = virtio_rang(&m->virtio);
	pthread_mutex_unlock(&m->dev_lock);
	if (rang)
		give_way(m);
	if (!known)
		end_bad_access(v);
}

static void on_eoi(struct vcpu *v)
{
	pthread_mutex_lock(&v->m->dev_lock);
	ioapic_eoi(&v->m->ioapic, v->run->eoi.vector);
	pthread_mutex_unlock(&v->m->dev_lock);
}

static _Noreturn void on_internal_error(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	struct end_report end = {.cause = END_KVM_INTERNAL};

	switch (run->internal.suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		snprintf(end.detail, sizeof(end.detail), "vCPU %u executed an instruction that KVM cannot emulate", v->id);
		if (run->emulation_failure.ndata >= 3 && (run->emulation_failure.flags & EMULATION_FAILURE_HAS_INSN) &&
		    run->emulation_failure.insn_size <= END_INSN_MAX) {
			end.n_insn = run->emulation_failure.insn_size;
			memcpy(end.insn, run->emulation_failure.insn_bytes, end.n_insn);
		}
		break;
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		snprintf(end.detail, sizeof(end.detail), "vCPU %u faulted while KVM delivered an event to it", v->id);
		break;
	default:
		snprintf(end.detail, sizeof(end.detail), "vCPU %u: KVM reports internal error %u", v->id, run->internal.suberror);
		break;
	}
	end_with(v, &end);
}

static _Noreturn void on_system_event(struct vcpu *v)
{
	struct end_report end = {.cause = END_KVM_INTERNAL};

	if (v->run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN)
		end_power(v, POWER_OFF);
	if (v->run->system_event.type == KVM_SYSTEM_EVENT_RESET)
		end_power(v, POWER_RESET);
	snprintf(end.detail, sizeof(end.detail), "vCPU %u: KVM reports system event %u", v->id, v->run->system_event.type);
	end_with(v, &end);
}

static void on_run_error(struct vcpu *v, int error)
{
	struct end_report end = {.cause = END_KVM_ERROR};

	if (error == EINTR || error == EAGAIN)
		return;
	if (error == EFAULT || error == EHWPOISON) {
		end.cause = END_HOST_MEMORY;
		snprintf(end.detail, sizeof(end.detail), "vCPU %u: the host has no page for guest memory: %s", v->id,
			 error == EFAULT ? "out of memory or huge pages, or the file behind a zone was cut"
					 : "the page is broken");
	} else {
		snprintf(end.detail, sizeof(end.detail), "vCPU %u: KVM_RUN failed: %s", v->id, strerrordesc_np(error));
	}
	end_with(v, &end);
}

static void on_exit_reason(struct vcpu *v)
{
	struct end_report end = {.cause = END_KVM_INTERNAL};

	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		on_io(v);
		return;
	case KVM_EXIT_MMIO:
		on_mmio(v);
		return;
	case KVM_EXIT_IOAPIC_EOI:
		on_eoi(v);
		return;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return;
	case KVM_EXIT_SHUTDOWN:
		end_triple_fault(v);
	case KVM_EXIT_SYSTEM_EVENT:
		on_system_event(v);
	case KVM_EXIT_INTERNAL_ERROR:
		on_internal_error(v);
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(end.detail, sizeof(end.detail), "vCPU %u: the processor refused to enter the guest, reason %#llx", v->id,
			 (unsigned long long)v->run->fail_entry.hardware_entry_failure_reason);
		end_with(v, &end);
	default:
		snprintf(end.detail, sizeof(end.detail),
			 "vCPU %u: KVM returned with reason %u, which this machine never asks for", v->id, v->run->exit_reason);
		end_with(v, &end);
	}
}

_Noreturn void vcpu_loop(struct vcpu *v)
{
	struct runctl *rc = &v->m->run;

	for (;;) {
		/* The order matters: see vcpu_kick. */
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (runctl_held(rc)) {
			runctl_park(rc);
			continue;
		}
		if (ioctl(v->fd, KVM_RUN, 0) < 0)
			on_run_error(v, errno);
		else
			on_exit_reason(v);
	}
}
