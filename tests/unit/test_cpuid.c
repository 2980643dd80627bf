/* CPUID and APIC ids of a vCPU: PURE functions of what KVM supports and of the topology. */
#include "kvm/cpuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/limits.h"

/* A host with everything that must not reach the guest. */
static const struct kvm_cpuid_entry2 host[] = {
    {.function = 0x0, .eax = 0x20},
    {.function = 0x1, .ebx = 0x07100812, .ecx = 0xffffffff & ~(1u << 21), .edx = 0xffffffff},
    {.function = 0x4, .index = 0, .flags = 1, .eax = 0xfc004121}, /* level 1 data */
    {.function = 0x4, .index = 1, .flags = 1, .eax = 0xfc1fc163}, /* level 3 unified */
    {.function = 0x4, .index = 2, .flags = 1, .eax = 0},
    {.function = 0x6, .eax = 0xffff},
    {.function = 0x7, .index = 0, .flags = 1, .eax = 1, .ebx = 0xffffffff, .ecx = 0xffffffff, .edx = 0xffffffff},
    {.function = 0x7, .index = 1, .flags = 1, .eax = 0x10},
    {.function = 0xa, .eax = 0x05300802},
    {.function = 0xb, .index = 0, .flags = 1, .eax = 1, .edx = 77},
    {.function = 0xd, .index = 0, .flags = 1, .eax = 0xe7},
    {.function = 0x12, .index = 0, .flags = 1, .eax = 3},
    {.function = 0x1f, .index = 0, .flags = 1, .eax = 1, .edx = 77},
    {.function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b, .ecx = 0x564b4d56, .edx = 0x4d},
    {.function = 0x40000001, .eax = 0x01007efb},
    {.function = 0x80000000, .eax = 0x80000022},
    {.function = 0x80000001, .ecx = 0xffffffff, .edx = 0x2c100800},
    {.function = 0x80000008, .eax = 0x2e302e2e, .ecx = 0x0000703f},
    {.function = 0x8000000a, .eax = 1},
    {.function = 0x8000001d, .index = 3, .flags = 1, .eax = 0x0003c163},
    {.function = 0x8000001e, .eax = 77},
    {.function = 0x8000001f, .eax = 1},
    {.function = 0x80000022, .eax = 1},
};

static struct kvm_cpuid_entry2 out[CPUID_MAX];
static size_t n_out;

static void build(struct topology t, uint32_t vcpu)
{
	struct cpuid_want want = {.topology = t, .vcpu = vcpu, .phys_bits = 39, .tsc_deadline = true};

	n_out = cpuid_build(host, ARRAY_LEN(host), &want, out);
	assert_int_not_equal(n_out, 0);
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (size_t i = 0; i < n_out; i++) {
		if (out[i].function != function || out[i].index != index)
			continue;
		assert_null(found); /* KVM takes the first of two; there must be one */
		found = &out[i];
	}
	return found;
}

static void flat_ids(void **state)
{
	struct topology t = topology_of(0, 0, 0, 0, 8);

	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(topology_apic_id(&t, i), i);
	assert_int_equal(topology_package_shift(&t), 3);
	t = topology_of(0, 0, 0, 0, 1);
	assert_int_equal(topology_package_shift(&t), 0);
	t = topology_of(0, 0, 0, 0, LIM_CPUS);
	assert_int_equal(topology_apic_id(&t, LIM_CPUS - 1), LIM_CPUS - 1);
}

/* 2 threads, 3 cores, 2 dies, 2 packages: 1 + 2 + 1 bits below the package. */
/* vCPU i on the node that the i-th character names. */
static struct topology of_nodes(const char *nodes)
{
	static struct mem_plan plan;
	uint32_t n = 0;

	plan = (struct mem_plan){.n_nodes = 3};
	for (; nodes[n]; n++)
		nodeset_add(&plan.nodes[nodes[n] - '0'].cpus, n);
	return topology_of_nodes(&plan, n);
}

static void packages_in_nodes(void **state)
{
	static const struct {
		const char *nodes;
		uint32_t cores, packages;
	} cases[] = {
	    {"0", 1, 1},      {"000000", 6, 1}, {"000111", 1, 6},   {"00001111", 4, 2}, {"0000111122", 4, 3},
	    {"010101", 1, 6}, {"00112", 2, 3},  {"00000001", 1, 8}, {"2222", 4, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct topology t = of_nodes(cases[i].nodes);

		assert_int_equal(t.cores, cases[i].cores);
		assert_int_equal(t.packages, cases[i].packages);
		assert_int_equal(t.threads * t.dies, 1);
		if (t.packages > 1)
			for (uint32_t v = 0; cases[i].nodes[v]; v++)
				assert_int_equal(topology_apic_id(&t, v), v);
	}
}

static void ids_with_holes(void **state)
{
	struct topology t = topology_of(2, 3, 2, 2, 24);
	uint32_t seen = 0;

	assert_int_equal(topology_core_shift(&t), 1);
	assert_int_equal(topology_die_shift(&t), 3);
	assert_int_equal(topology_package_shift(&t), 4);
	assert_int_equal(topology_apic_id(&t, 1), 1);
	assert_int_equal(topology_apic_id(&t, 5), 5);
	assert_int_equal(topology_apic_id(&t, 6), 8);
	assert_int_equal(topology_apic_id(&t, 12), 16);
	assert_int_equal(topology_apic_id(&t, 23), 29);
	for (uint32_t i = 0; i < 24; i++) {
		uint32_t bit = 1u << topology_apic_id(&t, i);

		assert_int_equal(seen & bit, 0);
		seen |= bit;
	}
}

static void features(void **state)
{
	build(topology_of(0, 0, 0, 0, 4), 2);
	assert_int_equal(leaf(1, 0)->ebx, 0x02040812);
	assert_int_equal(leaf(1, 0)->ecx & (1u << 5), 0);      /* VMX */
	assert_int_equal(leaf(1, 0)->ecx & (1u << 27), 0);     /* OSXSAVE follows CR4 */
	assert_int_not_equal(leaf(1, 0)->ecx & (1u << 31), 0); /* hypervisor */
	assert_int_not_equal(leaf(1, 0)->ecx & (1u << 21), 0); /* x2APIC */
	assert_int_not_equal(leaf(1, 0)->ecx & (1u << 24), 0); /* TSC deadline */
	assert_int_not_equal(leaf(1, 0)->edx & (1u << 28), 0); /* more than one logical processor */
	assert_int_equal(leaf(6, 0)->eax, 4);                  /* ARAT and nothing else */
	assert_int_equal(leaf(7, 0)->ebx & (1u << 2), 0);      /* SGX */
	assert_int_equal(leaf(7, 1)->eax, 0x10);               /* other subleaves as they are */
	assert_int_equal(leaf(0xd, 0)->eax, 0xe7);
	assert_int_equal(leaf(0x80000001, 0)->ecx & (1u << 2), 0); /* SVM */
	assert_int_equal(leaf(0x80000008, 0)->eax & 0xff, 39);
	assert_int_equal(leaf(0x80000008, 0)->eax & 0xff00, 0x2e00);
	assert_int_equal(leaf(0x80000008, 0)->eax >> 16, 0);
	assert_int_equal(leaf(0x80000008, 0)->ecx & 0xff, 3);
	assert_int_equal(leaf(0x40000000, 0)->ebx, 0x4b4d564b);
	assert_int_equal(leaf(0x40000001, 0)->eax, 0x01007efb);
}

static void hidden_leaves(void **state)
{
	const uint32_t hidden[] = {0xa, 0x12, 0x8000000a, 0x8000001f, 0x80000022};

	build(topology_of(0, 0, 0, 0, 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
		assert_null(leaf(hidden[i], 0));
	assert_int_equal(leaf(1, 0)->edx & (1u << 28), 0);
}

static void check_level(uint32_t function, uint32_t index, uint32_t shift, uint32_t count, uint32_t type, uint32_t id)
{
	const struct kvm_cpuid_entry2 *e = leaf(function, index);

	assert_non_null(e);
	assert_int_equal(e->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	assert_int_equal(e->eax, shift);
	assert_int_equal(e->ebx, count);
	assert_int_equal(e->ecx, index | type << 8);
	assert_int_equal(e->edx, id);
}

static void topology_leaves(void **state)
{
	build(topology_of(2, 3, 2, 2, 24), 13); /* second thread of the second package's first core: 17 */
	check_level(0xb, 0, 1, 2, 1, 17);
	check_level(0xb, 1, 4, 12, 2, 17);
	check_level(0xb, 2, 0, 0, 0, 17);
	check_level(0x1f, 0, 1, 2, 1, 17);
	check_level(0x1f, 1, 3, 6, 2, 17);
	check_level(0x1f, 2, 4, 12, 5, 17);
	check_level(0x1f, 3, 0, 0, 0, 17);
	assert_int_equal(leaf(0x8000001e, 0)->eax, 17);
	assert_int_equal(leaf(0x8000001e, 0)->ebx, 8 | 1 << 8);
	assert_int_equal(leaf(0x8000001e, 0)->ecx, 2 | 1 << 8); /* the third die, two per package */
	assert_int_equal(leaf(0x80000008, 0)->ecx & 0xf0ff, 4 << 12 | 11);
	build(topology_of(2, 3, 2, 2, 24), 23);
	assert_int_equal(leaf(0x8000001e, 0)->ecx, 3 | 1 << 8);
}

static void caches(void **state)
{
	build(topology_of(2, 4, 1, 1, 8), 0);
	assert_int_equal((leaf(4, 0)->eax >> 14) & 0xfff, 1); /* a core's two threads */
	assert_int_equal((leaf(4, 1)->eax >> 14) & 0xfff, 7); /* the die */
	assert_int_equal(leaf(4, 0)->eax >> 26, 3);
	assert_int_equal(leaf(4, 0)->eax & 0x3fff, 0xfc004121 & 0x3fff);
	assert_int_equal(leaf(4, 2)->eax, 0);
	assert_int_equal((leaf(0x8000001d, 3)->eax >> 14) & 0xfff, 7);
}

/* Two sections over 4 GiB and 64 GiB, with every bit that has a place of its own. */
static const struct mem_plan with_epc = {
    .n_epc = 2, .epc = {{.at = {{0x0f0123456000}, {0x000200789000}}}, {.at = {{0x0f03239df000}, {0x1000}}}}};

static void build_sgx(const struct kvm_cpuid_entry2 *offered, size_t n, const struct mem_plan *plan)
{
	struct cpuid_want want = {.topology = topology_of(0, 0, 0, 0, 1), .phys_bits = 46, .plan = plan};

	n_out = cpuid_build(offered, n, &want, out);
	assert_int_not_equal(n_out, 0);
}

static void check_section(uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	const struct kvm_cpuid_entry2 *e = leaf(0x12, index);

	assert_non_null(e);
	assert_int_equal(e->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	assert_int_equal(e->eax, eax);
	assert_int_equal(e->ebx, ebx);
	assert_int_equal(e->ecx, ecx);
	assert_int_equal(e->edx, edx);
}

static void epc_sections(void **state)
{
	static struct kvm_cpuid_entry2 offer[] = {
	    {.function = 0x0, .eax = 0x1b},
	    {.function = 0x7, .index = 0, .flags = 1, .ebx = 1u << 2 | 1u << 18, .ecx = 1u << 30 | 1u << 2},
	    {.function = 0xd, .index = 0, .flags = 1, .eax = 0x207, .edx = 0x100},
	    {.function = 0x12, .index = 0, .flags = 1, .eax = 3, .ebx = 1, .edx = 0x381f},
	    {.function = 0x12, .index = 1, .flags = 1, .eax = 0x36, .ecx = 0xffffffff, .edx = 0xffffffff},
	};

	assert_true(cpuid_offers_sgx(offer, ARRAY_LEN(offer)));
	build_sgx(offer, ARRAY_LEN(offer), &with_epc);
	assert_int_equal(leaf(0, 0)->eax, 0x1b);
	assert_int_equal(leaf(7, 0)->ebx, 1u << 2 | 1u << 18);
	assert_int_equal(leaf(7, 0)->ecx, 1u << 30 | 1u << 2);
	check_section(0, 3, 1, 0, 0x381f);
	check_section(1, 0x26, 0, 0x207, 0x100); /* no PROVISIONKEY, and no state that the guest has not */
	check_section(2, 0x23456001, 0x0f01, 0x00789001, 2);
	check_section(3, 0x239df001, 0x0f03, 0x00001001, 0);
	check_section(4, 0, 0, 0, 0);
	assert_null(leaf(0x12, 5));
	assert_true(cpuid_feature_control(out, n_out) == (1u | 1u << 17 | 1u << 18));
	offer[1].ecx = 0;
	build_sgx(offer, ARRAY_LEN(offer), &with_epc);
	assert_true(cpuid_feature_control(out, n_out) == (1u | 1u << 18)); /* no launch control here */
	offer[1].ecx = 1u << 30;

	/* Without a section nothing of it is to be seen. */
	build_sgx(offer, ARRAY_LEN(offer), &(struct mem_plan){0});
	assert_null(leaf(0x12, 0));
	assert_null(leaf(0x12, 2));
	assert_int_equal(leaf(7, 0)->ebx, 1u << 18);
	assert_int_equal(leaf(7, 0)->ecx & (1u << 30), 0);
	assert_true(cpuid_feature_control(out, n_out) == 0);

	/* SGX1 is what makes it SGX. */
	offer[3].eax = 0;
	assert_false(cpuid_offers_sgx(offer, ARRAY_LEN(offer)));
	offer[3].eax = 3;
	assert_false(cpuid_offers_sgx(offer, 3));
}

/* A stand-in on a host without SGX: the sections can be found, the feature is not claimed. */
static void epc_without_sgx(void **state)
{
	static const struct kvm_cpuid_entry2 offer[] = {{.function = 0x0, .eax = 0xd},
							{.function = 0x7, .index = 0, .flags = 1, .ebx = 1u << 18}};

	build_sgx(offer, ARRAY_LEN(offer), &with_epc);
	assert_int_equal(leaf(0, 0)->eax, 0x12);
	assert_int_equal(leaf(7, 0)->ebx, 1u << 18);
	check_section(0, 0, 0, 0, 0);
	check_section(1, 0, 0, 0, 0);
	check_section(2, 0x23456001, 0x0f01, 0x00789001, 2);
	check_section(4, 0, 0, 0, 0);
	assert_true(cpuid_feature_control(out, n_out) == 0);
}

static void full_table(void **state)
{
	static struct kvm_cpuid_entry2 many[CPUID_MAX];
	struct cpuid_want want = {.topology = topology_of(0, 0, 0, 0, 1), .phys_bits = 36};

	many[0].eax = 0x1f;
	for (uint32_t i = 1; i < CPUID_MAX; i++)
		many[i].function = 0x100 + i;
	assert_int_equal(cpuid_build(many, CPUID_MAX, &want, out), 0);
	assert_int_equal(cpuid_build(many, CPUID_MAX - 16, &want, out), CPUID_MAX - 16 + 7);
}

static void phys_bits(void **state)
{
	assert_int_equal(cpuid_phys_bits(host, ARRAY_LEN(host)), 0x2e);
	assert_int_equal(cpuid_phys_bits(host, 1), 36);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(flat_ids),     cmocka_unit_test(packages_in_nodes), cmocka_unit_test(ids_with_holes),
	    cmocka_unit_test(features),     cmocka_unit_test(hidden_leaves),     cmocka_unit_test(topology_leaves),
	    cmocka_unit_test(caches),       cmocka_unit_test(full_table),        cmocka_unit_test(phys_bits),
	    cmocka_unit_test(epc_sections), cmocka_unit_test(epc_without_sgx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
