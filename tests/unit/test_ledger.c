/* The ledger: pages promised to VMs in creation are not promised again, wherever each of them is with taking them. */
#include "../../broker/ledger.h"
#include "plan_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct host_facts host; /* what the kernel would say at the moment */
static struct ledger ledger;
static struct err e;

static int setup(void **state)
{
	fix_host(&host);
	memset(&ledger, 0, sizeof(ledger));
	for (size_t n = 0; n < host.n_nodes; n++) {
		host.nodes[n].mem_free = 8 * GiB;
		for (size_t i = 0; i < host.nodes[n].n_huge; i++)
			host.nodes[n].huge[i].free = host.nodes[n].huge[i].page_size == 2 * MiB ? 100 : 4;
	}
	return 0;
}

/* One zone of that many bytes; node -1: anywhere. */
static const struct mem_plan *plan_of(uint64_t size, uint64_t page_size, int node)
{
	static struct mem_plan p;

	memset(&p, 0, sizeof(p));
	p.n_zones = 1;
	strcpy(p.zones[0].id, "m");
	p.zones[0].backing = page_size == GUEST_PAGE ? BACKING_MEMFD : BACKING_HUGETLB;
	p.zones[0].size = size;
	p.zones[0].page_size = page_size;
	p.zones[0].reserve = true;
	if (node >= 0) {
		p.zones[0].host_policy = HOST_POLICY_BIND;
		nodeset_add(&p.zones[0].host_nodes, (uint32_t)node);
	}
	return &p;
}

static int ask(struct promise *p, uint64_t pages, int node)
{
	e = (struct err){0};
	return ledger_promise(&ledger, &host, plan_of(pages * 2 * MiB, 2 * MiB, node), p, &e);
}

/* The VM's memory is being taken: the kernel counts fewer free pages. */
static void populate(unsigned node, uint64_t pages)
{
	for (size_t i = 0; i < host.nodes[node].n_huge; i++)
		if (host.nodes[node].huge[i].page_size == 2 * MiB)
			host.nodes[node].huge[i].free -= pages;
}

static void test_competing(void **state)
{
	struct promise a, b, c;

	assert_int_equal(ask(&a, 60, 0), 0);
	assert_int_equal(ask(&b, 60, 0), -ENOMEM); /* nothing has been taken yet, but it is promised */
	assert_non_null(strstr(e.text, "zone m: 60 huge pages of 2M needed on host node 0, 40 free"));
	assert_non_null(strstr(e.text, "promised to VMs in creation"));
	assert_int_equal(ask(&b, 60, 1), 0); /* the other node has them */
	assert_int_equal(ask(&c, 40, 0), 0);
	assert_int_equal(ledger.in_flight, 3);
}

/* While a VM takes its pages they are neither counted twice nor lost. */
static void test_half_way(void **state)
{
	struct promise a, b, c;

	assert_int_equal(ask(&a, 60, 0), 0);
	populate(0, 55);
	assert_int_equal(ask(&b, 41, 0), -ENOMEM);
	assert_int_equal(ask(&b, 40, 0), 0);
	populate(0, 5);
	ledger_kept(&ledger, &a);
	assert_int_equal(ask(&c, 1, 0), -ENOMEM);
	populate(0, 40);
	ledger_kept(&ledger, &b);
	assert_int_equal(ledger.in_flight, 0);
	assert_int_equal(ask(&c, 1, 0), -ENOMEM);
	assert_null(strstr(e.text, "in creation")); /* now they are simply not free */
}

static void test_returned(void **state)
{
	struct promise a, b, c;

	assert_int_equal(ask(&a, 60, 0), 0);
	assert_int_equal(ask(&b, 40, 0), 0);
	ledger_returned(&ledger, &a); /* it failed: nothing was taken */
	assert_int_equal(ask(&c, 61, 0), -ENOMEM);
	assert_int_equal(ask(&c, 60, 0), 0);
	ledger_returned(&ledger, &c);
	ledger_returned(&ledger, &c); /* twice is harmless */
	assert_int_equal(ledger.in_flight, 1);
	assert_int_equal(ask(&a, 60, 0), 0);
}

/* A VM that was there before is deleted while another one is made. */
static void test_deleted_meanwhile(void **state)
{
	struct promise old, a, b;

	assert_int_equal(ask(&old, 90, 0), 0);
	populate(0, 90);
	ledger_kept(&ledger, &old);
	assert_int_equal(ask(&a, 5, 0), 0);
	assert_int_equal(ask(&b, 50, 0), -ENOMEM);
	populate(0, (uint64_t)-90);
	ledger_returned(&ledger, &old);
	assert_int_equal(ask(&b, 50, 0), 0);
}

/* Somebody else on this host takes pages in the middle. */
static void test_others(void **state)
{
	struct promise a, b;

	assert_int_equal(ask(&a, 10, 0), 0);
	populate(0, 95);
	assert_int_equal(ask(&b, 6, 0), -ENOMEM);
}

/* And gives them back, while there is always some VM in flight: nothing is forgotten to be free. */
static void test_others_give_back(void **state)
{
	struct promise a, b, c;

	assert_int_equal(ask(&a, 10, 0), 0);
	for (unsigned i = 0; i < 20; i++) {
		populate(0, 95);
		assert_int_equal(ask(&b, 6, 0), -ENOMEM);
		populate(0, (uint64_t)-95);
		assert_int_equal(ask(&b, 91, 0), -ENOMEM);
		assert_int_equal(ask(&b, 90, 0), 0);
		assert_int_equal(ask(&c, 1, 0), -ENOMEM);
		ledger_returned(&ledger, &a);
		assert_int_equal(ask(&a, 10, 0), 0);
		ledger_returned(&ledger, &b);
	}
	assert_int_equal(ledger.in_flight, 1);
}

/* Whoever may take from any node does not take what only one node can give, if there is a choice. */
static void test_anywhere(void **state)
{
	struct promise a, b, c;

	populate(1, 50);
	assert_int_equal(ask(&a, 50, -1), 0);
	assert_int_equal(ask(&b, 50, 1), 0);
	assert_int_equal(ask(&c, 51, -1), -ENOMEM);
	assert_null(strstr(e.text, "host node"));
	assert_int_equal(ask(&c, 50, -1), 0);
}

/* The kernel takes what was promised of any node from a node of its own choice, while others ask. */
static void test_anywhere_half_way(void **state)
{
	struct promise a, b, c;

	for (unsigned node = 0; node < 2; node++) {
		setup(state);
		assert_int_equal(ask(&a, 100, -1), 0);
		populate(node, 4);
		assert_int_equal(ask(&c, 101, -1), -ENOMEM);
		assert_int_equal(ask(&b, 100, -1), 0);
		assert_int_equal(ask(&c, 1, -1), -ENOMEM);
		populate(node, 96);
		assert_int_equal(ask(&c, 1, -1), -ENOMEM);
		assert_int_equal(ask(&c, 1, 1 - (int)node), -ENOMEM); /* b has no other place */
		ledger_kept(&ledger, &a);
		assert_int_equal(ask(&c, 1, -1), -ENOMEM);
		populate(1 - node, 30);
		ledger_returned(&ledger, &b); /* before the kernel has it again */
		assert_int_equal(ask(&c, 71, -1), -ENOMEM);
		populate(1 - node, (uint64_t)-30);
		assert_int_equal(ask(&c, 100, 1 - (int)node), 0);
		assert_int_equal(ask(&b, 1, -1), -ENOMEM);
		ledger_returned(&ledger, &c);
		assert_int_equal(ledger.in_flight, 0);
	}
}

/* All of the nodes by name is any node. */
static void test_all_by_name(void **state)
{
	struct mem_plan p = *plan_of(100 * 2 * MiB, 2 * MiB, 0);
	struct promise a, b, c;

	nodeset_add(&p.zones[0].host_nodes, 1);
	assert_int_equal(ledger_promise(&ledger, &host, &p, &a, &e), 0);
	populate(1, 50);
	assert_int_equal(ledger_promise(&ledger, &host, &p, &b, &e), 0);
	assert_int_equal(ask(&c, 1, 0), -ENOMEM);
}

/* Pages that are reserved on a host of several nodes are free on each, and nobody's to take. */
static void test_reserved(void **state)
{
	struct promise a, b;

	host.spoken_for[host_purse(&host, 2 * MiB)] = 120 * 2 * MiB;
	assert_int_equal(ask(&a, 81, -1), -ENOMEM);
	assert_non_null(strstr(e.text, "80 free"));
	assert_int_equal(ask(&a, 81, 1), -ENOMEM);
	assert_int_equal(ask(&a, 30, 1), 0);
	assert_int_equal(ask(&b, 51, 0), -ENOMEM);
	assert_int_equal(ask(&b, 50, 0), 0);
	host.spoken_for[host_purse(&host, 2 * MiB)] = 0; /* they were taken: 120 of 200 */
	populate(0, 50 + 50);
	populate(1, 30 + 70);
	ledger_kept(&ledger, &a);
	assert_int_equal(ask(&a, 1, -1), -ENOMEM);
}

static void test_small_pages(void **state)
{
	struct promise a, b;

	assert_int_equal(ledger_promise(&ledger, &host, plan_of(6 * GiB, GUEST_PAGE, 0), &a, &e), 0);
	assert_int_equal(ledger_promise(&ledger, &host, plan_of(3 * GiB, GUEST_PAGE, 0), &b, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "zone m: 3G of memory needed on host node 0, 2G free"));
	assert_non_null(strstr(e.text, "1G missing"));
	assert_int_equal(ask(&b, 100, 0), 0); /* another purse */
}

/* What is taken on first touch is nobody's promise. */
static void test_lazy(void **state)
{
	struct mem_plan p = *plan_of(100 * GiB, GUEST_PAGE, 0);
	struct promise a;

	p.zones[0].reserve = false;
	assert_int_equal(ledger_promise(&ledger, &host, &p, &a, &e), 0);
	assert_int_equal(a.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_competing, setup),   cmocka_unit_test_setup(test_half_way, setup),
	    cmocka_unit_test_setup(test_returned, setup),    cmocka_unit_test_setup(test_deleted_meanwhile, setup),
	    cmocka_unit_test_setup(test_others, setup),      cmocka_unit_test_setup(test_anywhere, setup),
	    cmocka_unit_test_setup(test_small_pages, setup), cmocka_unit_test_setup(test_lazy, setup),
	    cmocka_unit_test_setup(test_others_give_back, setup), cmocka_unit_test_setup(test_anywhere_half_way, setup),
	    cmocka_unit_test_setup(test_all_by_name, setup), cmocka_unit_test_setup(test_reserved, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
