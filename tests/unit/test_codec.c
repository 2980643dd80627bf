/* The codecs: what goes in comes out. */
#include "codec_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void same_opts(const struct mem_opts *a, const struct mem_opts *b)
{
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->shared, b->shared);
	assert_int_equal(a->hugepages, b->hugepages);
	assert_int_equal(a->hugepage_size, b->hugepage_size);
	assert_int_equal(a->prefault, b->prefault);
	assert_int_equal(a->thp, b->thp);
	assert_int_equal(a->mergeable, b->mergeable);
	assert_int_equal(a->reserve, b->reserve);
	assert_int_equal(a->has_hotplug_size, b->has_hotplug_size);
	assert_true(a->hotplug_size == b->hotplug_size);
	assert_int_equal(a->has_hotplugged_size, b->has_hotplugged_size);
	assert_true(a->hotplugged_size == b->hotplugged_size);
}

static void same_text(const char *a, const char *b)
{
	if (!a || !b)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}

static void same_spec(const struct vm_spec *a, const struct vm_spec *b)
{
	same_text(a->name, b->name);
	assert_int_equal(a->memory.given, b->memory.given);
	assert_int_equal(a->memory.has_size, b->memory.has_size);
	same_opts(&a->memory.o, &b->memory.o);
	assert_int_equal(a->memory.hotplug_method, b->memory.hotplug_method);
	assert_int_equal(a->n_zones, b->n_zones);
	for (size_t i = 0; i < a->n_zones; i++) {
		same_text(a->zones[i].id, b->zones[i].id);
		assert_int_equal(a->zones[i].has_size, b->zones[i].has_size);
		same_opts(&a->zones[i].o, &b->zones[i].o);
		same_text(a->zones[i].file, b->zones[i].file);
		assert_memory_equal(&a->zones[i].host_nodes, &b->zones[i].host_nodes, sizeof(struct nodeset));
		assert_int_equal(a->zones[i].host_policy, b->zones[i].host_policy);
		assert_int_equal(a->zones[i].host_node_given, b->zones[i].host_node_given);
	}
	assert_int_equal(a->n_nodes, b->n_nodes);
	for (size_t i = 0; i < a->n_nodes; i++) {
		const struct numa_spec *x = &a->nodes[i], *y = &b->nodes[i];

		assert_int_equal(x->has_id, y->has_id);
		assert_int_equal(x->guest_numa_id, y->guest_numa_id);
		assert_int_equal(x->n_cpus, y->n_cpus);
		assert_int_equal(x->n_distances, y->n_distances);
		assert_int_equal(x->n_zones, y->n_zones);
		assert_int_equal(x->n_epc, y->n_epc);
		assert_int_equal(x->n_segments, y->n_segments);
		if (x->n_cpus)
			assert_memory_equal(x->cpus, y->cpus, x->n_cpus * sizeof(uint32_t));
		if (x->n_segments)
			assert_memory_equal(x->segments, y->segments, x->n_segments * sizeof(uint32_t));
		for (unsigned k = 0; k < PERF_KINDS; k++) {
			assert_int_equal(x->perf[k].n, y->perf[k].n);
			for (size_t j = 0; j < x->perf[k].n; j++) {
				assert_int_equal(x->perf[k].to[j], y->perf[k].to[j]);
				assert_int_equal(x->perf[k].value[j], y->perf[k].value[j]);
			}
		}
		assert_int_equal(x->has_cache_size, y->has_cache_size);
		assert_true(x->cache_size == y->cache_size);
		assert_int_equal(x->has_cache_line, y->has_cache_line);
		assert_int_equal(x->cache_line, y->cache_line);
		for (size_t j = 0; j < x->n_distances; j++) {
			assert_int_equal(x->distances[j].to, y->distances[j].to);
			assert_int_equal(x->distances[j].value, y->distances[j].value);
		}
		for (size_t j = 0; j < x->n_zones; j++)
			same_text(x->zones[j], y->zones[j]);
		for (size_t j = 0; j < x->n_epc; j++)
			same_text(x->epc[j], y->epc[j]);
	}
	assert_int_equal(a->n_epc, b->n_epc);
	for (size_t i = 0; i < a->n_epc; i++) {
		same_text(a->epc[i].id, b->epc[i].id);
		assert_int_equal(a->epc[i].has_size, b->epc[i].has_size);
		assert_int_equal(a->epc[i].size, b->epc[i].size);
		assert_int_equal(a->epc[i].prefault, b->epc[i].prefault);
	}
	assert_int_equal(a->n_devices, b->n_devices);
	for (size_t i = 0; i < a->n_devices; i++) {
		const struct device_spec *x = &a->devices[i], *y = &b->devices[i];

		assert_int_equal(x->kind, y->kind);
		same_text(x->id, y->id);
		same_text(x->path, y->path);
		same_text(x->socket, y->socket);
		same_text(x->tag, y->tag);
		same_text(x->mac, y->mac);
		assert_int_equal(x->vhost_user, y->vhost_user);
		assert_int_equal(x->readonly, y->readonly);
		assert_int_equal(x->direct, y->direct);
		assert_int_equal(x->discard, y->discard);
		assert_int_equal(x->image_type, y->image_type);
		assert_int_equal(x->num_queues, y->num_queues);
		assert_int_equal(x->queue_size, y->queue_size);
		assert_int_equal(x->mtu, y->mtu);
		assert_int_equal(x->pci_segment, y->pci_segment);
	}
	assert_memory_equal(&a->balloon, &b->balloon, sizeof(a->balloon));
	assert_int_equal(a->has_segments, b->has_segments);
	assert_int_equal(a->num_pci_segments, b->num_pci_segments);
	assert_int_equal(a->cpus.given, b->cpus.given);
	assert_int_equal(a->cpus.boot, b->cpus.boot);
	assert_int_equal(a->cpus.max, b->cpus.max);
	assert_int_equal(a->cpus.has_topology, b->cpus.has_topology);
	assert_int_equal(a->cpus.threads_per_core, b->cpus.threads_per_core);
	assert_int_equal(a->cpus.cores_per_die, b->cpus.cores_per_die);
	assert_int_equal(a->cpus.dies_per_package, b->cpus.dies_per_package);
	assert_int_equal(a->cpus.packages, b->cpus.packages);
	assert_int_equal(a->cpus.n_affinity, b->cpus.n_affinity);
	for (size_t i = 0; i < a->cpus.n_affinity; i++)
		assert_memory_equal(&a->cpus.affinity[i], &b->cpus.affinity[i], sizeof(struct affinity_spec));
	same_text(a->kernel, b->kernel);
	same_text(a->initramfs, b->initramfs);
	same_text(a->cmdline, b->cmdline);
	assert_int_equal(a->serial, b->serial);
	same_text(a->serial_file, b->serial_file);
	assert_int_equal(a->console, b->console);
	same_text(a->console_file, b->console_file);
}

static void test_request(void **state)
{
	struct ctl_request q = {0};
	struct arena a = fresh();

	sample_message(0, &msg);
	assert_int_equal(ctl_request_decode(&msg, &a, &q, NULL), 0);
	assert_int_equal(q.serial, 77);
	assert_int_equal(q.op, CTL_CREATE);
	assert_true(q.boot && q.attached);
	assert_int_equal(q.n_tags, LIM_ZONES);
	assert_int_equal(q.tags[63].role, FD_ROLE_ZONE);
	assert_int_equal(q.tags[63].index, 63);
	same_spec(q.spec, sample_spec_full());

	a = fresh();
	sample_message(3, &msg);
	assert_int_equal(ctl_request_decode(&msg, &a, &q, NULL), 0);
	same_spec(q.spec, &(struct vm_spec){0});
	assert_false(q.boot || q.attached || q.n_tags);
}

static void test_plan(void **state)
{
	static struct wk_msg wk;
	static struct ms_msg ms;
	struct arena a = fresh();

	sample_message(10, &msg);
	assert_int_equal(ms_decode(&msg, &a, &ms, NULL), 0);
	assert_memory_equal(ms.u.plan.plan, sample_plan_full(), sizeof(struct mem_plan));
	assert_int_equal(ms.u.plan.n_tags, LIM_ZONES);

	a = fresh();
	sample_message(15, &msg);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), 0);
	assert_memory_equal(wk.u.grant.plan, sample_plan_full(), sizeof(struct mem_plan));
	assert_int_equal(wk.u.grant.vcpus_max, 255);
	assert_int_equal(wk.u.grant.affinity[1].vcpu, 254);
	assert_true(nodeset_has(&wk.u.grant.affinity[1].host_cpus, 1023));
	assert_string_equal(wk.u.grant.cmdline, "quiet");
	assert_int_equal(wk.u.grant.serial, SERIAL_TTY);
	assert_true(wk.u.grant.start);
}

/* What a captured worker says may end on root's terminal. */
static void test_words_are_plain(void **state)
{
	static struct wk_msg wk, in;
	struct arena a = fresh();

	in.op = WK_ENDED;
	in.u.ended.cause = END_POWEROFF;
	strcpy(in.u.ended.detail, "\033[2Jgone\n\x7f\xc2\x9b.");
	assert_int_equal(wk_encode(&in, msg.data, sizeof(msg.data), &msg.len, NULL), 0);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), 0);
	assert_string_equal(wk.u.ended.detail, "?[2Jgone????.");
	in = (struct wk_msg){.op = WK_FAILED, .u.failed = {-5, "a\tb\r"}};
	assert_int_equal(wk_encode(&in, msg.data, sizeof(msg.data), &msg.len, NULL), 0);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), 0);
	assert_string_equal(wk.u.failed.text, "a?b?");
	in.u.failed.text = "";
	assert_int_equal(wk_encode(&in, msg.data, sizeof(msg.data), &msg.len, NULL), 0);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), -EPROTO);
}

static void test_reports_and_ends(void **state)
{
	struct end_report want = sample_end();
	static struct wk_msg wk;
	struct ctl_reply r = {0};
	struct ctl_event ev = {0};
	struct arena a = fresh();

	sample_message(19, &msg);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), 0);
	assert_int_equal(wk.u.reports.n, 2);
	assert_int_equal(wk.u.reports.reports[1].zone, 63);
	assert_int_equal(wk.u.reports.reports[0].nodes[2].node, NODE_ABSENT);
	assert_true(wk.u.reports.reports[0].nodes[1].pages == UINT64_MAX);

	sample_message(23, &msg);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), 0);
	assert_memory_equal(&wk.u.ended, &want, sizeof(want));

	sample_message(9, &msg);
	assert_int_equal(ctl_event_decode(&msg, &a, &ev, NULL), 0);
	assert_memory_equal(&ev.end, &want, sizeof(want));

	a = fresh();
	sample_message(5, &msg);
	assert_int_equal(ctl_reply_decode(&msg, &a, &r, NULL), 0);
	assert_int_equal(r.serial, 9);
	assert_int_equal(r.n_vms, 2);
	assert_string_equal(r.vms[0].zones[0].id, "mem0");
	assert_int_equal(r.vms[0].zones[0].nodes[1].node, NODE_ABSENT);
	assert_string_equal(r.vms[0].isolation, "full");
	assert_true(r.vms[0].has_end && !r.vms[1].has_end);
	assert_null(r.vms[1].isolation);
	assert_int_equal(r.vms[0].n_epc, 2);
	assert_string_equal(r.vms[0].epc[1].id, "epc1");
	assert_true(r.vms[0].epc[0].start == 4 * GiB && !r.vms[0].epc[0].has_node && r.vms[0].epc[1].guest_numa_id == 7);
	assert_int_equal(r.vms[0].n_pins, 2);
	assert_true(r.vms[0].pins[0].by_default && nodeset_has(&r.vms[0].pins[0].vcpus, LIM_CPUS - 1));
	assert_true(!r.vms[0].pins[1].by_default && nodeset_has(&r.vms[0].pins[1].host_cpus, 65));
	assert_int_equal(r.vms[0].n_costs, 2);
	assert_int_equal(r.vms[0].all_costs, 3);
	assert_int_equal(r.vms[0].costs[1].to, UINT32_MAX);
	assert_int_equal(r.vms[0].costs[1].cost[PERF_WRITE_BANDWIDTH], LIM_BANDWIDTH_MBS);
	assert_int_equal(r.vms[0].n_caches, 1);
	assert_int_equal(r.vms[0].caches[0].line, 128);
	assert_int_equal(r.vms[1].n_epc + r.vms[1].n_pins + r.vms[1].n_costs + r.vms[1].n_caches, 0);

	a = fresh();
	sample_message(4, &msg);
	assert_int_equal(ctl_reply_decode(&msg, &a, &r, NULL), 0);
	assert_int_equal(r.code, -22);
	assert_int_equal(r.diags->n, LIM_DIAGS);
	assert_int_equal(r.diags->dropped, 3);
	assert_string_equal(r.diags->d[63].remedy, "round it");
}

static void test_balloon(void **state)
{
	static const struct wk_balloon_state want = {BALLOON_MAX, GUEST_PAGE, true, 1, 2, 3, UINT64_MAX};
	static const struct wk_balloon_state info = {GiB, MiB, true, 1, 2, 3, UINT64_MAX};
	static struct wk_msg wk;
	struct ctl_request q;
	struct ctl_event ev;
	struct ctl_reply r;
	struct arena a = fresh();

	sample_message(15, &msg);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), 0);
	assert_true(wk.u.grant.balloon.there && wk.u.grant.balloon.deflate_on_oom && wk.u.grant.balloon.free_page_reporting);
	assert_int_equal(wk.u.grant.balloon.bytes, 64 * MiB);
	a = fresh();
	sample_message(30, &msg);
	assert_int_equal(ctl_request_decode(&msg, &a, &q, NULL), 0);
	assert_true(q.balloon && q.no_wait && !q.zone);
	a = fresh();
	sample_message(31, &msg);
	assert_int_equal(ctl_event_decode(&msg, &a, &ev, NULL), 0);
	assert_int_equal(ev.kind, CTL_EVENT_BALLOON);
	assert_int_equal(ev.done, 2 * GiB);
	assert_int_equal(ev.total, GiB);
	a = fresh();
	sample_message(32, &msg);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), 0);
	assert_int_equal(wk.u.balloon.bytes, BALLOON_MAX);
	a = fresh();
	sample_message(33, &msg);
	assert_int_equal(wk_decode(&msg, &a, &wk, NULL), 0);
	assert_memory_equal(&wk.u.balloon_state, &want, sizeof(want));
	a = fresh();
	sample_message(5, &msg);
	assert_int_equal(ctl_reply_decode(&msg, &a, &r, NULL), 0);
	assert_true(r.vms[0].has_balloon && !r.vms[1].has_balloon);
	assert_memory_equal(&r.vms[0].balloon, &info, sizeof(info));
}

/* Every sample is taken by exactly one decoder. */
static void test_each_by_one(void **state)
{
	for (unsigned k = 0; k < SAMPLE_KINDS; k++) {
		sample_message(k, &msg);
		assert_int_equal(decode_with_all(&msg, mem, sizeof(mem)), 1);
	}
}

/* A list of as many VMs as a broker may have fits one message. */
static void test_longest_list(void **state)
{
	static struct ctl_vm_info vms[LIM_VMS];
	char name[LIM_ID + 1] = {0};
	struct ctl_reply r = {.n_vms = LIM_VMS, .vms = vms};
	struct arena a = fresh();

	memset(name, 'n', LIM_ID);
	for (unsigned i = 0; i < LIM_VMS; i++)
		vms[i] = (struct ctl_vm_info){UINT32_MAX, name,      UINT32_MAX, VM_RUNNING, LIM_CPUS,
					      UINT64_MAX, INT32_MAX, INT32_MAX,  UINT64_MAX, UINT64_MAX};
	msg.nfds = 0;
	assert_int_equal(ctl_reply_encode(&r, msg.data, sizeof(msg.data), &msg.len, NULL), 0);
	assert_int_equal(ctl_reply_decode(&msg, &a, &r, NULL), 0);
	assert_int_equal(r.n_vms, LIM_VMS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_request),         cmocka_unit_test(test_plan),        cmocka_unit_test(test_reports_and_ends),
	    cmocka_unit_test(test_words_are_plain), cmocka_unit_test(test_each_by_one), cmocka_unit_test(test_longest_list),
	    cmocka_unit_test(test_balloon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
