#include "kvm/vcpu.h"

#include "machine.h"
#include "model/size_text.h"
#include "policy/lockdown.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_SIZE (128 * KiB)

/* Intel SDM 3A, 2.2 and 2.5 */
#define CR0_PE       0x1u
#define CR0_ET       0x10u
#define CR0_PG       0x80000000u
#define CR4_PAE      0x20u
#define EFER_LME     0x100u
#define EFER_LMA     0x400u
#define RFLAGS_FIXED 0x2u
#define TYPE_CODE    0xbu /* execute, read, accessed */
#define TYPE_DATA    0x3u /* read, write, accessed */
#define TYPE_TSS32   0xbu

/* Memory types and string operations as firmware leaves them (SDM 3A, 12.11.2.1; SDM 4). */
#define MSR_MISC_ENABLE   0x1a0u
#define MISC_FAST_STRING  0x1u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ENABLED_WB   0x806u
#define MSR_FEATURE_CTL   0x3au

static int set_cpuid(struct vcpu *v, struct err *e)
{
	struct machine *m = v->m;
	struct cpuid_want want = {m->topology, v->id, m->gm.plan->phys_bits, m->vm.tsc_deadline, m->gm.plan};
	struct cpuid_table table = {0};

	table.nent = (uint32_t)cpuid_build(m->vm.supported.entry, m->vm.supported.nent, &want, table.entry);
	if (table.nent == 0)
		return err_set(e, -E2BIG, "vCPU %u: its CPUID table is full", v->id);
	if (ioctl(v->fd, KVM_SET_CPUID2, &table) < 0)
		return err_sys(e, -errno, "vCPU %u: KVM refuses its CPUID", v->id);
	v->feature_control = cpuid_feature_control(table.entry, table.nent);
	return 0;
}

/* KVM's own layout: a header, and its entries directly behind it. */
struct one_msr {
	uint32_t nmsrs;
	uint32_t padding;
	struct kvm_msr_entry entry;
};
_Static_assert(offsetof(struct one_msr, entry) == sizeof(struct kvm_msrs), "the layout of struct kvm_msrs");

/* What firmware would have left in MSRs. A KVM that does not know one of them has its own idea, which will do. */
static void set_msrs(struct vcpu *v)
{
	const struct kvm_msr_entry wanted[] = {
	    {.index = MSR_MISC_ENABLE, .data = MISC_FAST_STRING},
	    {.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WB},
	    {.index = MSR_FEATURE_CTL, .data = v->feature_control},
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		struct one_msr one = {.nmsrs = 1, .entry = wanted[i]};

		if (!wanted[i].data)
			continue;
		ioctl(v->fd, KVM_SET_MSRS, &one);
	}
}

int vcpu_create(struct machine *m, uint32_t id, struct err *e)
{
	struct vcpu *v = &m->vcpu[id];
	int r;

	v->m = m;
	v->id = id;
	v->fd = ioctl(m->vm.fd, KVM_CREATE_VCPU, (unsigned long)topology_apic_id(&m->topology, id));
	if (v->fd < 0)
		return err_sys(e, -errno, "KVM cannot create vCPU %u", id);
	v->run = mmap(NULL, m->vm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		return err_sys(e, -errno, "vCPU %u: its shared page", id);
	r = set_cpuid(v, e);
	if (r == 0)
		set_msrs(v);
	return r;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool long_mode)
{
	bool code = type == TYPE_CODE;

	return (struct kvm_segment){
	    .limit = 0xffffffff,
	    .selector = selector,
	    .type = type,
	    .present = 1,
	    .db = !(code && long_mode),
	    .s = 1,
	    .l = code && long_mode,
	    .g = 1,
	};
}

int vcpu_set_entry(struct vcpu *v, const struct boot_entry *entry, struct err *e)
{
	bool lm = entry->mode == BOOT_LINUX64;
	struct kvm_regs regs = {.rip = entry->ip.v, .rflags = RFLAGS_FIXED};
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return err_sys(e, -errno, "vCPU %u: KVM_GET_SREGS", v->id);
	/* Linux's boot.rst: __BOOT_CS 0x10, __BOOT_DS 0x18. PVH leaves the selectors open. */
	s.cs = flat(lm ? 0x10 : 0x08, TYPE_CODE, lm);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(lm ? 0x18 : 0x10, TYPE_DATA, lm);
	s.tr = (struct kvm_segment){.limit = 0x67, .type = TYPE_TSS32, .present = 1};
	s.gdt = s.idt = (struct kvm_dtable){0};
	s.cr0 = CR0_PE | CR0_ET;
	s.cr3 = s.cr4 = s.efer = 0;
	if (lm) {
		s.cr0 |= CR0_PG;
		s.cr3 = entry->cr3.v;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
		regs.rsi = entry->info.v;
	} else {
		regs.rbx = entry->info.v;
	}
	if (ioctl(v->fd, KVM_SET_SREGS, &s) < 0)
		return err_sys(e, -errno, "vCPU %u: KVM_SET_SREGS", v->id);
	if (ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return err_sys(e, -errno, "vCPU %u: KVM_SET_REGS", v->id);
	return 0;
}

static int not_allowed(const struct vcpu *v, int code, const struct nodeset *got, struct err *e)
{
	struct txt asked = {""}, allowed = {""};

	txt_add_set(&asked, v->affinity->host_cpus.w, LIM_HOST_CPUS);
	txt_add_set(&allowed, got->w, LIM_HOST_CPUS);
	return err_sys(e, code, "--cpus affinity=[%u@[%s]]: vCPU %u may not run on all of these host CPUs, the cpuset allows %s",
		       v->id, asked.s, v->id, allowed.s);
}

/* The kernel takes what the cpuset leaves of a set and says nothing as long as that is not empty; so it is asked what it made of
 * it. Where the set was only our idea, that is good enough, and none at all as well. */
static int pin(const struct vcpu *v, struct err *e)
{
	const struct nodeset *want = &v->affinity->host_cpus;
	struct nodeset got = {0};
	int r = syscall(SYS_sched_setaffinity, 0, sizeof(want->w), want->w) < 0 ? -errno : 0;

	if (v->affinity->by_default)
		return 0;
	if (syscall(SYS_sched_getaffinity, 0, sizeof(got.w), got.w) < 0)
		return err_sys(e, -errno, "vCPU %u: sched_getaffinity", v->id);
	if (r < 0 || memcmp(&got, want, sizeof(got)) != 0)
		return not_allowed(v, r < 0 ? r : -EINVAL, &got, e);
	return 0;
}

static int close_sandbox(struct vcpu *v, struct err *e)
{
	char name[16];
	int r = 0;

	snprintf(name, sizeof(name), "vcpu%u", v->id);
	pthread_setname_np(pthread_self(), name); /* for people who look with ps or top */
	if (v->affinity)
		r = pin(v, e);
	return r < 0 ? r : lockdown_filter(FILTER_WORKER_VCPU, e);
}

static void *thread(void *arg)
{
	struct vcpu *v = arg;

	v->tid = (int)syscall(SYS_gettid);
	v->start_error = close_sandbox(v, &v->start_why);
	runctl_park(&v->m->run);
	if (v->start_error < 0)
		for (;;)
			runctl_park(&v->m->run);
	vcpu_loop(v);
}

int vcpu_start_thread(struct vcpu *v, struct err *e)
{
	pthread_attr_t attr;
	pthread_t t;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	r = -pthread_create(&t, &attr, thread, v);
	pthread_attr_destroy(&attr);
	return r < 0 ? err_sys(e, r, "vCPU %u: no thread for it", v->id) : 0;
}

void vcpu_kick(const struct vcpu *v, int pid)
{
	/* Before the thread enters KVM_RUN the flag makes it come back; inside, the signal does. The thread clears the flag and
	 * looks at runctl after that, so neither can be lost. */
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_tgkill, pid, v->tid, SIGUSR1);
}
