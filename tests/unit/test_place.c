/* proto/place against the running kernel: needs no privilege and no huge page pool, and at most some hundred MiB. */
#include "place/place.h"
#include "place/text.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define NO_NODE 1000u /* a node that no test machine has */

static struct plan_zone small_zone(enum backing backing, uint64_t size)
{
	struct plan_zone z = {.backing = backing, .size = size, .page_size = 4 * KiB};

	snprintf(z.id, sizeof(z.id), "mem0");
	return z;
}

static uint8_t *anon(uint64_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static uint8_t *shared(int fd, uint64_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static uint64_t resident(uint8_t *at, uint64_t len)
{
	unsigned char *seen = malloc(len / 4096);
	uint64_t n = 0;

	assert_int_equal(mincore(at, len, seen), 0);
	for (uint64_t i = 0; i < len / 4096; i++)
		n += seen[i] & 1;
	free(seen);
	return n * 4096;
}

/* The node this thread's memory comes from, so that the tests hold on any machine. */
static unsigned a_node(void)
{
	struct nodeset allowed = {0};

	assert_int_equal(syscall(SYS_get_mempolicy, NULL, allowed.w, (unsigned long)NODESET_BITS, NULL, MPOL_F_MEMS_ALLOWED), 0);
	assert_false(nodeset_empty(&allowed));
	return (unsigned)nodeset_next(&allowed, 0);
}

static int policy_of(void *at)
{
	int mode = -1;

	assert_int_equal(syscall(SYS_get_mempolicy, &mode, NULL, 0ul, at, MPOL_F_ADDR), 0);
	return mode;
}

static void sizes_for_people(void **state)
{
	char b[PLACE_TEXT_MAX];

	assert_string_equal(place_size_text(b, sizeof(b), 74 * MiB), "74 MiB");
	assert_string_equal(place_size_text(b, sizeof(b), GiB), "1 GiB");
	assert_string_equal(place_size_text(b, sizeof(b), GiB + GiB / 2), "1536 MiB");
	assert_string_equal(place_size_text(b, sizeof(b), 12 * GiB + GiB / 2), "12.5 GiB");
	assert_string_equal(place_size_text(b, sizeof(b), GiB + 4 * KiB), "1.0 GiB");
	assert_string_equal(place_size_text(b, sizeof(b), 4 * KiB), "4 KiB");
	assert_string_equal(place_size_text(b, sizeof(b), 0), "0 bytes");
	assert_string_equal(place_size_text(b, sizeof(b), UINT64_MAX), "16777215.9 TiB");
}

static void nodes_for_people(void **state)
{
	char b[PLACE_TEXT_MAX];
	struct nodeset s = {0};

	assert_string_equal(place_nodes_text(b, sizeof(b), &s), "");
	nodeset_add(&s, 1);
	assert_string_equal(place_nodes_text(b, sizeof(b), &s), " on host node 1");
	nodeset_add(&s, 3);
	nodeset_add(&s, 4);
	assert_string_equal(place_nodes_text(b, sizeof(b), &s), " on host nodes 1,3-4");
	for (uint32_t i = 0; i < NODESET_BITS; i += 2)
		nodeset_add(&s, i);
	assert_true(strlen(place_nodes_text(b, sizeof(b), &s)) < sizeof(b));
	assert_non_null(strstr(b, "..."));
}

static void binds_and_reads_back(void **state)
{
	static const struct {
		enum host_policy ours;
		int kernel;
	} rows[] = {
	    {HOST_POLICY_UNSET, MPOL_DEFAULT},         {HOST_POLICY_BIND, MPOL_BIND},
	    {HOST_POLICY_PREFERRED, MPOL_PREFERRED},   {HOST_POLICY_LOCAL, MPOL_LOCAL},
	    {HOST_POLICY_INTERLEAVE, MPOL_INTERLEAVE},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan_zone z = small_zone(BACKING_ANON, MiB);
		uint8_t *at = anon(z.size);
		struct err e = {0};

		z.host_policy = rows[i].ours;
		nodeset_add(&z.host_nodes, a_node());
		assert_int_equal(place_bind(at, z.size, &z, &e), 0);
		assert_int_equal(policy_of(at), rows[i].kernel);
		munmap(at, z.size);
	}
}

static void refuses_a_node_that_is_not_there(void **state)
{
	struct plan_zone z = small_zone(BACKING_ANON, MiB);
	uint8_t *at = anon(z.size);
	struct err e = {0};

	z.host_policy = HOST_POLICY_BIND;
	nodeset_add(&z.host_nodes, NO_NODE);
	assert_int_equal(place_bind(at, z.size, &z, &e), -EINVAL);
	assert_non_null(strstr(e.text, "zone mem0"));
	assert_non_null(strstr(e.text, "host node 1000"));
	munmap(at, z.size);
}

static void populates_every_page_of_many_zones(void **state)
{
	/* Odd sizes on purpose: less than a chunk, a rest behind the last chunk, many chunks; and one small enough for the
	 * caller. */
	static const uint64_t sizes[] = {4 * KiB, 2 * MiB + 4 * KiB, 64 * MiB, 65 * MiB - 4 * KiB};

	for (unsigned threads = 0; threads <= 3; threads++) {
		struct plan_zone z[ARRAY_LEN(sizes)];
		struct place_job jobs[ARRAY_LEN(sizes)];
		struct err e = {0};

		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			z[i] = small_zone(BACKING_ANON, sizes[i]);
			jobs[i] = (struct place_job){anon(sizes[i]), sizes[i], &z[i], (uint16_t)i};
			if (i & 1) /* zones of two groups: everywhere, and one CPU */
				nodeset_add(&z[i].host_cpus, (uint32_t)sched_getcpu());
		}
		assert_int_equal(place_populate(jobs, ARRAY_LEN(sizes), threads, NULL, NULL, &e), 0);
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			assert_int_equal(resident(jobs[i].at, sizes[i]), sizes[i]);
			munmap(jobs[i].at, sizes[i]);
		}
	}
}

static void leaves_the_caller_where_it_may_run(void **state)
{
	struct plan_zone z = small_zone(BACKING_ANON, MiB);
	struct place_job job = {anon(z.size), z.size, &z, 0};
	cpu_set_t before, after;
	struct err e = {0};

	nodeset_add(&z.host_cpus, (uint32_t)sched_getcpu());
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(place_populate(&job, 1, 0, NULL, NULL, &e), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
	munmap(job.at, z.size);
}

struct seen {
	uint64_t last[2];
	unsigned calls;
	bool backwards, final[2];
};

static void on_progress(void *arg, uint16_t zone, uint64_t done, uint64_t total)
{
	struct seen *s = arg;

	assert_in_range(zone, 7, 8);
	s->calls++;
	s->backwards |= done < s->last[zone - 7] || done > total;
	s->last[zone - 7] = done;
	s->final[zone - 7] = done == total;
}

static void tells_progress_by_the_zones_own_number(void **state)
{
	struct plan_zone z[2] = {small_zone(BACKING_ANON, 32 * MiB), small_zone(BACKING_ANON, 16 * MiB)};
	struct place_job jobs[2] = {{anon(32 * MiB), 32 * MiB, &z[0], 7}, {anon(16 * MiB), 16 * MiB, &z[1], 8}};
	struct seen seen = {0};
	struct err e = {0};

	assert_int_equal(place_populate(jobs, 2, 2, on_progress, &seen, &e), 0);
	assert_false(seen.backwards);
	assert_true(seen.final[0] && seen.final[1]);
	assert_in_range(seen.calls, 2, 1000);
	munmap(jobs[0].at, 32 * MiB);
	munmap(jobs[1].at, 16 * MiB);
}

/* An object shorter than the mapping is what an exhausted pool looks like to the caller: EFAULT in the middle. */
static void failure_says_how_far_it_came(void **state)
{
	struct plan_zone z = small_zone(BACKING_FILE_SHARED, 64 * MiB);
	int fd = memfd_create("short", MFD_CLOEXEC);
	struct place_job job = {0};
	struct err e = {0};

	assert_int_equal(ftruncate(fd, 24 * MiB), 0);
	job = (struct place_job){shared(fd, z.size), z.size, &z, 0};
	assert_int_equal(place_populate(&job, 1, 1, NULL, NULL, &e), -EIO);
	assert_non_null(strstr(e.text, "zone mem0"));
	assert_non_null(strstr(e.text, "24 MiB of 64 MiB"));

	/* The same with huge pages in the plan: the words are those of a pool. */
	z.backing = BACKING_HUGETLB;
	z.page_size = 2 * MiB;
	z.host_policy = HOST_POLICY_BIND;
	nodeset_add(&z.host_nodes, 1);
	assert_int_equal(place_populate(&job, 1, 2, NULL, NULL, &e), -ENOMEM);
	assert_string_equal(e.text,
			    "zone mem0: 32 huge pages of 2 MiB needed on host node 1, 12 came (populate stopped at 24 MiB of "
			    "64 MiB)");
	munmap(job.at, z.size);
	close(fd);
}

static void one_failure_stops_the_others(void **state)
{
	struct plan_zone good = small_zone(BACKING_ANON, 64 * MiB), bad = small_zone(BACKING_ANON, 8 * MiB);
	struct place_job jobs[2] = {{anon(good.size), good.size, &good, 0}, {anon(bad.size), bad.size, &bad, 1}};
	struct err e = {0};

	snprintf(bad.id, sizeof(bad.id), "hole");
	munmap(jobs[1].at, bad.size);
	assert_int_equal(place_populate(jobs, 2, 2, NULL, NULL, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "zone hole"));
	munmap(jobs[0].at, good.size);
}

static uint64_t pages_on(const struct zone_report *r, int32_t node)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->nodes[i].node == node)
			return r->nodes[i].pages;
	return 0;
}

static void census_counts_what_is_there_and_what_is_not(void **state)
{
	static uint8_t memory[16 * KiB];
	/* Unbound; bound to one node (checked by the kernel); a file (asked page by page, since its pages may be anywhere). */
	for (unsigned way = 0; way < 3; way++) {
		struct plan_zone z = small_zone(way == 2 ? BACKING_FILE_SHARED : BACKING_MEMFD, 8 * MiB);
		struct arena a = arena_over(memory, sizeof(memory));
		int fd = memfd_create("census", MFD_CLOEXEC);
		struct zone_report r;
		uint64_t there = 0;
		struct err e = {0};
		uint8_t *at;

		assert_int_equal(ftruncate(fd, 8 * MiB), 0);
		at = shared(fd, z.size);
		if (way == 1) {
			z.host_policy = HOST_POLICY_BIND;
			nodeset_add(&z.host_nodes, a_node());
		}
		assert_int_equal(place_bind(at, z.size, &z, &e), 0);
		assert_int_equal(madvise(at, z.size, MADV_NOHUGEPAGE), 0);
		for (size_t i = 0; i < 100; i++)
			at[i * 5 * 4096] = 1;
		assert_int_equal(place_census(at, z.size, &z, 3, &a, &r, &e), 0);
		assert_int_equal(r.zone, 3);
		assert_int_equal(r.page_size, 4096);
		for (size_t i = 0; i < r.n; i++)
			if (r.nodes[i].node >= 0)
				there += r.nodes[i].pages;
		assert_int_equal(there, 100);
		assert_int_equal(pages_on(&r, NODE_ABSENT), 2048 - 100);
		assert_int_equal(place_verify(&r, &z, &e), 0);
		munmap(at, z.size);
		close(fd);
	}
}

static void census_in_threads_agrees(void **state)
{
	static uint8_t memory[16 * KiB];
	struct plan_zone z = small_zone(BACKING_FILE_SHARED, 96 * MiB); /* beyond what the caller does alone */
	struct arena a = arena_over(memory, sizeof(memory));
	int fd = memfd_create("census", MFD_CLOEXEC);
	struct place_tally t = {0};
	struct zone_report r;
	struct err e = {0};
	uint8_t *at;

	assert_int_equal(ftruncate(fd, 96 * MiB), 0);
	at = shared(fd, z.size);
	assert_int_equal(madvise(at, 40 * MiB, 23 /* MADV_POPULATE_WRITE */), 0);
	assert_int_equal(place_tally_add(&t, at, z.size, z.page_size, &e), 0);
	assert_int_equal(place_census(at, z.size, &z, 0, &a, &r, &e), 0);
	assert_int_equal(t.absent, 56 * MiB / 4096);
	assert_int_equal(pages_on(&r, NODE_ABSENT), t.absent);
	for (size_t i = 0; i < LIM_HOST_NODES; i++)
		assert_int_equal(pages_on(&r, (int32_t)i), t.node[i]);
	munmap(at, z.size);
	close(fd);
}

static void census_in_a_full_arena_fails(void **state)
{
	struct plan_zone z = small_zone(BACKING_ANON, MiB);
	struct arena a = {0};
	struct zone_report r;
	struct err e = {0};
	uint8_t *at = anon(z.size);

	assert_int_equal(place_census(at, z.size, &z, 0, &a, &r, &e), -ENOBUFS);
	munmap(at, z.size);
}

static void verify_finds_a_page_elsewhere(void **state)
{
	struct node_pages rows[] = {{0, 510}, {2, 2}, {NODE_ABSENT, 5}};
	struct zone_report r = {.page_size = 4096, .n = ARRAY_LEN(rows), .nodes = rows};
	struct plan_zone z = small_zone(BACKING_MEMFD, MiB);
	struct err e = {0};

	nodeset_add(&z.host_nodes, 0);
	z.host_policy = HOST_POLICY_PREFERRED; /* a wish */
	assert_int_equal(place_verify(&r, &z, &e), 0);
	z.host_policy = HOST_POLICY_BIND; /* a promise */
	assert_int_equal(place_verify(&r, &z, &e), -EREMOTE);
	assert_non_null(strstr(e.text, "zone mem0: 2 pages are on host node 2"));
	nodeset_add(&z.host_nodes, 2);
	assert_int_equal(place_verify(&r, &z, &e), 0);
}

static unsigned vm_flag(const void *at, const char *flag)
{
	char line[512], want[8];
	unsigned found = 0;
	bool mine = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	assert_non_null(f);
	snprintf(want, sizeof(want), " %s", flag);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			mine = (uintptr_t)at >= from && (uintptr_t)at < to;
		else if (mine && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, want) != NULL;
	}
	fclose(f);
	return found;
}

static void advises_as_the_zone_asks(void **state)
{
	struct plan_zone z = small_zone(BACKING_ANON, 4 * MiB);
	uint8_t *at = anon(z.size);
	struct err e = {0};

	z.thp = true;
	assert_int_equal(place_advise(at, z.size, &z, &e), 0);
	assert_true(vm_flag(at, "dd")); /* not in core dumps */
	assert_true(vm_flag(at, "dc")); /* not in forks */
	assert_true(vm_flag(at, "hg"));
	assert_false(vm_flag(at, "mg"));
	z.thp = false;
	assert_int_equal(place_advise(at, z.size, &z, &e), 0);
	assert_true(vm_flag(at, "nh"));
	munmap(at, z.size);

	z.mergeable = true;
	at = anon(z.size);
	if (place_advise(at, z.size, &z, &e) == 0)
		assert_true(vm_flag(at, "mg"));
	else
		assert_non_null(strstr(e.text, "KSM"));
	munmap(at, z.size);
}

static void nothing_to_do_is_no_error(void **state)
{
	struct plan_zone z = small_zone(BACKING_ANON, 0);
	struct err e = {0};

	assert_int_equal(place_populate(NULL, 0, 0, NULL, NULL, &e), 0);
	assert_int_equal(place_bind(NULL, 0, &z, &e), 0);
	assert_int_equal(place_advise(NULL, 0, &z, &e), 0);
	assert_int_equal(place_populate(NULL, LIM_ZONES + 1, 0, NULL, NULL, &e), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes_for_people),
	    cmocka_unit_test(nodes_for_people),
	    cmocka_unit_test(binds_and_reads_back),
	    cmocka_unit_test(refuses_a_node_that_is_not_there),
	    cmocka_unit_test(populates_every_page_of_many_zones),
	    cmocka_unit_test(leaves_the_caller_where_it_may_run),
	    cmocka_unit_test(tells_progress_by_the_zones_own_number),
	    cmocka_unit_test(failure_says_how_far_it_came),
	    cmocka_unit_test(one_failure_stops_the_others),
	    cmocka_unit_test(census_counts_what_is_there_and_what_is_not),
	    cmocka_unit_test(census_in_threads_agrees),
	    cmocka_unit_test(census_in_a_full_arena_fails),
	    cmocka_unit_test(verify_finds_a_page_elsewhere),
	    cmocka_unit_test(advises_as_the_zone_asks),
	    cmocka_unit_test(nothing_to_do_is_no_error),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
