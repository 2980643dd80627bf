#include "kvm/cpuid.h"

/* Intel SDM 2A, CPUID; AMD APM 3, appendix E */
#define L1_EBX_CLFLUSH      0x0000ff00u
#define L1_ECX_VMX          (1u << 5)
#define L1_ECX_PDCM         (1u << 15)
#define L1_ECX_X2APIC       (1u << 21)
#define L1_ECX_TSC_DEADLINE (1u << 24)
#define L1_ECX_OSXSAVE      (1u << 27)
#define L1_ECX_HYPERVISOR   (1u << 31)
#define L1_EDX_HTT          (1u << 28)
#define L7_EBX_SGX          (1u << 2)
#define L7_ECX_SGX_LC       (1u << 30)
#define L7_ECX_OSPKE        (1u << 4)
#define LEAF_SGX            0x12u
#define L12_EAX_SGX1        (1u << 0)
#define L12_1_PROVISIONKEY  (1u << 4) /* of SECS.ATTRIBUTES: KVM gives it only to who holds /dev/sgx_provision */
#define XFRM_X87_SSE        3u        /* always there */
#define EPC_SECTION         1u        /* type of a sub-leaf */
#define EPC_PROTECTED       1u        /* confidentiality and integrity */
#define FEATURE_LOCKED      (1u << 0)
#define FEATURE_SGX_LC      (1u << 17)
#define FEATURE_SGX         (1u << 18)
#define LEAF_ARAT           6u
#define L6_EAX_ARAT         (1u << 2)
#define X1_ECX_CMP_LEGACY   (1u << 1)
#define X1_ECX_SVM          (1u << 2)
#define X1_ECX_IBS          (1u << 10)
#define X1_ECX_TOPOEXT      (1u << 22)
#define X1_ECX_PERFCTR      (7u << 23) /* core, northbridge and (bit 25 reserved) counters */
#define X1_ECX_PERFCTR_LLC  (1u << 28)

#define LEVEL_SMT  1u
#define LEVEL_CORE 2u
#define LEVEL_DIE  5u

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid_entry2 *e, size_t n, uint32_t function)
{
	for (size_t i = 0; i < n; i++)
		if (e[i].function == function)
			return &e[i];
	return NULL;
}

static const struct kvm_cpuid_entry2 *find_index(const struct kvm_cpuid_entry2 *e, size_t n, uint32_t function, uint32_t index)
{
	for (size_t i = 0; i < n; i++)
		if (e[i].function == function && e[i].index == index)
			return &e[i];
	return NULL;
}

static bool has_epc(const struct cpuid_want *w)
{
	return w->plan && w->plan->n_epc;
}

/* Leaves that say nothing true about this guest, or that are written anew below. */
static bool dropped(uint32_t function)
{
	switch (function) {
	case 0x0a:       /* performance monitoring */
	case 0x0b:       /* topology: below */
	case LEAF_SGX:   /* below, with EPC */
	case 0x1a:       /* hybrid cores */
	case 0x1c:       /* last branch records */
	case 0x1f:       /* topology: below */
	case 0x8000000a: /* SVM */
	case 0x8000001b: /* instruction based sampling */
	case 0x8000001e: /* AMD topology: below */
	case 0x8000001f: /* memory encryption */
	case 0x80000022: /* extended performance monitoring */
	case 0x80000026: /* AMD's extended topology */
		return true;
	default:
		return false;
	}
}

static uint32_t threads_per_package(const struct topology *t)
{
	return t->threads * t->cores * t->dies;
}

static void edit_caches(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	uint32_t type = e->eax & 0x1fu, level = (e->eax >> 5) & 7u;
	uint32_t sharing_bits = level >= 3 ? topology_die_shift(t) : topology_core_shift(t);

	if (type == 0)
		return;
	e->eax &= 0x00003fffu;
	e->eax |= ((1u << sharing_bits) - 1) << 14;
	if (e->function == 4)
		e->eax |= (((1u << (topology_package_shift(t) - topology_core_shift(t))) - 1) & 0x3fu) << 26;
}

static void edit(struct kvm_cpuid_entry2 *e, const struct cpuid_want *w, uint32_t apic_id)
{
	const struct topology *t = &w->topology;
	uint32_t logical = threads_per_package(t);

	switch (e->function) {
	case 0x0:
		if (has_epc(w) && e->eax < LEAF_SGX)
			e->eax = LEAF_SGX;
		break;
	case 0x1:
		e->ebx = (e->ebx & (L1_EBX_CLFLUSH | 0xffu)) | apic_id << 24 | ((1u << topology_package_shift(t)) & 0xffu) << 16;
		e->ecx &= ~(L1_ECX_VMX | L1_ECX_PDCM | L1_ECX_OSXSAVE | L1_ECX_TSC_DEADLINE);
		e->ecx |= L1_ECX_HYPERVISOR | L1_ECX_X2APIC | (w->tsc_deadline ? L1_ECX_TSC_DEADLINE : 0);
		e->edx = logical > 1 ? e->edx | L1_EDX_HTT : e->edx & ~L1_EDX_HTT;
		break;
	case 0x4:
	case 0x8000001d:
		edit_caches(e, t);
		break;
	case LEAF_ARAT: /* the local APIC timer keeps running in every idle state; nothing else of this leaf is virtual */
		*e = (struct kvm_cpuid_entry2){.function = LEAF_ARAT, .eax = L6_EAX_ARAT};
		break;
	case 0x7:
		if (e->index == 0) {
			e->ebx &= has_epc(w) ? ~0u : ~L7_EBX_SGX;
			e->ecx &= has_epc(w) ? ~L7_ECX_OSPKE : ~(L7_ECX_OSPKE | L7_ECX_SGX_LC);
		}
		break;
	case 0x80000001:
		e->ecx &= ~(X1_ECX_SVM | X1_ECX_IBS | X1_ECX_PERFCTR | X1_ECX_PERFCTR_LLC | X1_ECX_CMP_LEGACY);
		/* Set only on AMD, where it announces leaf 0x8000001e, and there "cores" in leaf 1 means logical processors. */
		if ((e->ecx & X1_ECX_TOPOEXT) && logical > 1)
			e->ecx |= X1_ECX_CMP_LEGACY;
		break;
	case 0x80000008:
		/* linear address bits stay; bits 16-23 (guest's own physical bits) say "the same" */
		e->eax = (e->eax & 0x0000ff00u) | w->phys_bits;
		e->ecx = (e->ecx & ~0xf0ffu) | topology_package_shift(t) << 12 | ((logical - 1) & 0xffu);
		break;
	default:
		break;
	}
}

struct out {
	struct kvm_cpuid_entry2 *e;
	size_t n;
	bool full;
};

static void put(struct out *o, struct kvm_cpuid_entry2 e)
{
	if (o->n == CPUID_MAX)
		o->full = true;
	else
		o->e[o->n++] = e;
}

/* One level of leaf 0xb or 0x1f. */
static void put_level(struct out *o, uint32_t function, uint32_t index, uint32_t level, unsigned shift, uint32_t count,
		      uint32_t apic_id)
{
	put(o, (struct kvm_cpuid_entry2){.function = function,
					 .index = index,
					 .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
					 .eax = shift,
					 .ebx = count,
					 .ecx = index | level << 8,
					 .edx = apic_id});
}

static void put_topology(struct out *o, uint32_t function, const struct topology *t, uint32_t apic_id)
{
	uint32_t i = 0;

	put_level(o, function, i++, LEVEL_SMT, topology_core_shift(t), t->threads, apic_id);
	if (function == 0x1f) {
		put_level(o, function, i++, LEVEL_CORE, topology_die_shift(t), t->threads * t->cores, apic_id);
		put_level(o, function, i++, LEVEL_DIE, topology_package_shift(t), threads_per_package(t), apic_id);
	} else {
		put_level(o, function, i++, LEVEL_CORE, topology_package_shift(t), threads_per_package(t), apic_id);
	}
	put_level(o, function, i, 0, 0, 0, apic_id);
}

/* AMD APM 3, E.4.17: extended APIC id; core id and threads per core; node id, one node per die, and nodes per package. */
static void put_amd_topology(struct out *o, const struct topology *t, uint32_t apic_id)
{
	uint32_t package = apic_id >> topology_package_shift(t);
	uint32_t die = (apic_id >> topology_die_shift(t)) - (package << (topology_package_shift(t) - topology_die_shift(t)));

	put(o, (struct kvm_cpuid_entry2){.function = 0x8000001e,
					 .eax = apic_id,
					 .ebx = ((apic_id >> topology_core_shift(t)) & 0xffu) | (t->threads - 1) << 8,
					 .ecx = ((package * t->dies + die) & 0xffu) | ((t->dies - 1) & 7u) << 8});
}

/* Intel SDM 2A, CPUID leaf 12H; 3D, 36.7. Sub-leaves 0 and 1 are what KVM allows enclaves, 2 and up the sections, the last one
 * says that there are no more. */
static void put_sgx(struct out *o, const struct kvm_cpuid_entry2 *host, size_t n, const struct mem_plan *plan)
{
	struct kvm_cpuid_entry2 e[2] = {{.function = LEAF_SGX, .index = 0}, {.function = LEAF_SGX, .index = 1}};
	uint32_t index = 0;

	if (cpuid_offers_sgx(host, n)) {
		const struct kvm_cpuid_entry2 *attributes = find_index(host, n, LEAF_SGX, 1);
		const struct kvm_cpuid_entry2 *xcr0 = find_index(host, n, 0xd, 0);

		e[0] = *find_index(host, n, LEAF_SGX, 0);
		if (attributes)
			e[1] = *attributes;
		e[1].eax &= ~L12_1_PROVISIONKEY;
		/* Enclaves cannot have more extended state than the guest. */
		e[1].ecx &= (xcr0 ? xcr0->eax : 0) | XFRM_X87_SSE;
		e[1].edx &= xcr0 ? xcr0->edx : 0;
	}
	for (; index < 2; index++) {
		e[index].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		put(o, e[index]);
	}
	for (size_t i = 0; i < plan->n_epc; i++) {
		uint64_t start = plan->epc[i].at.start.v, len = plan->epc[i].at.len.v;

		put(o, (struct kvm_cpuid_entry2){.function = LEAF_SGX,
						 .index = index++,
						 .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
						 .eax = ((uint32_t)start & 0xfffff000u) | EPC_SECTION,
						 .ebx = (uint32_t)(start >> 32) & 0xfffffu,
						 .ecx = ((uint32_t)len & 0xfffff000u) | EPC_PROTECTED,
						 .edx = (uint32_t)(len >> 32) & 0xfffffu});
	}
	put(o, (struct kvm_cpuid_entry2){.function = LEAF_SGX, .index = index, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX});
}

size_t cpuid_build(const struct kvm_cpuid_entry2 *host, size_t n, const struct cpuid_want *want, struct kvm_cpuid_entry2 *ret)
{
	const struct kvm_cpuid_entry2 *basic = find(host, n, 0), *x1 = find(host, n, 0x80000001);
	uint32_t apic_id = topology_apic_id(&want->topology, want->vcpu);
	struct out o = {ret, 0, false};

	for (size_t i = 0; i < n; i++) {
		if (dropped(host[i].function))
			continue;
		put(&o, host[i]);
		if (!o.full)
			edit(&ret[o.n - 1], want, apic_id);
	}
	if (basic && basic->eax >= 0xb)
		put_topology(&o, 0xb, &want->topology, apic_id);
	if (basic && basic->eax >= 0x1f)
		put_topology(&o, 0x1f, &want->topology, apic_id);
	if (x1 && (x1->ecx & X1_ECX_TOPOEXT))
		put_amd_topology(&o, &want->topology, apic_id);
	if (has_epc(want))
		put_sgx(&o, host, n, want->plan);
	return o.full ? 0 : o.n;
}

uint8_t cpuid_phys_bits(const struct kvm_cpuid_entry2 *host, size_t n)
{
	const struct kvm_cpuid_entry2 *e = find(host, n, 0x80000008);

	return e ? (uint8_t)(e->eax & 0xff) : 36;
}

bool cpuid_offers_sgx(const struct kvm_cpuid_entry2 *host, size_t n)
{
	const struct kvm_cpuid_entry2 *features = find_index(host, n, 7, 0), *sgx = find_index(host, n, LEAF_SGX, 0);

	return features && (features->ebx & L7_EBX_SGX) && sgx && (sgx->eax & L12_EAX_SGX1);
}

uint64_t cpuid_feature_control(const struct kvm_cpuid_entry2 *table, size_t n)
{
	const struct kvm_cpuid_entry2 *features = find_index(table, n, 7, 0);

	if (!features || !(features->ebx & L7_EBX_SGX))
		return 0;
	return FEATURE_LOCKED | FEATURE_SGX | (features->ecx & L7_ECX_SGX_LC ? FEATURE_SGX_LC : 0);
}
