#include "codec_samples.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static struct nodeset set_of(uint32_t a, uint32_t b)
{
	struct nodeset s = {0};

	nodeset_add(&s, a);
	nodeset_add(&s, b);
	return s;
}

const struct vm_spec *sample_spec_full(void)
{
	static uint32_t cpus[LIM_CPUS], segments[2] = {0, 5};
	static uint32_t perf_to[2] = {7, UINT32_MAX}, perf_value[2] = {80, 1};
	static struct distance_spec distances[2] = {{7, 15}, {UINT32_MAX, 254}};
	static const char *zones[2] = {"mem0", "a-long.zone_id"}, *epc[1] = {"epc0"};
	static struct affinity_spec affinity[2];
	static struct vm_spec s;
	const struct mem_opts o = {.size = GiB,
				   .shared = TRI_ON,
				   .hugepages = TRI_OFF,
				   .hugepage_size = 2 * MiB,
				   .prefault = TRI_ON,
				   .thp = TRI_OFF,
				   .mergeable = TRI_ON,
				   .reserve = TRI_OFF,
				   .has_hotplug_size = true,
				   .hotplug_size = UINT64_MAX,
				   .has_hotplugged_size = true,
				   .hotplugged_size = 0};

	for (uint32_t i = 0; i < LIM_CPUS; i++)
		cpus[i] = i;
	affinity[0] = (struct affinity_spec){0, set_of(0, 1023)};
	affinity[1] = (struct affinity_spec){254, set_of(64, 65)};
	memset(&s, 0, sizeof(s));
	s.name = "web-1.prod_x";
	s.memory = (struct memory_spec){.given = true, .has_size = true, .o = o, .hotplug_method = HOTPLUG_VIRTIO_MEM};
	s.n_zones = 2;
	s.zones[0] = (struct zone_spec){.id = "mem0",
					.has_size = true,
					.o = o,
					.file = "/var/lib/a file",
					.host_nodes = set_of(1, 63),
					.host_policy = HOST_POLICY_INTERLEAVE,
					.host_node_given = true};
	s.zones[1] = (struct zone_spec){.id = "a-long.zone_id"};
	s.n_nodes = 2;
	s.nodes[0] = (struct numa_spec){.has_id = true,
					.guest_numa_id = 7,
					.n_cpus = LIM_CPUS,
					.n_distances = 2,
					.n_zones = 2,
					.n_epc = 1,
					.n_segments = 2,
					.cpus = cpus,
					.distances = distances,
					.zones = zones,
					.epc = epc,
					.segments = segments};
	for (unsigned k = 0; k < PERF_KINDS; k++)
		s.nodes[0].perf[k] = (struct perf_list){2, perf_to, perf_value};
	s.nodes[0].has_cache_size = s.nodes[0].has_cache_line = true;
	s.nodes[0].cache_size = GiB;
	s.nodes[0].cache_line = 128;
	s.nodes[1] = (struct numa_spec){.guest_numa_id = UINT32_MAX};
	s.n_epc = 1;
	s.epc[0] = (struct epc_spec){"epc0", true, 32 * MiB, TRI_ON};
	s.n_devices = 3;
	s.devices[2] = (struct device_spec){.kind = DEVICE_VHOST_USER,
					    .socket = "/run/any",
					    .device_type = 63,
					    .queues = segments,
					    .n_queues = 2,
					    .zones = zones,
					    .n_zones = 2};
	s.devices[0] =
	    (struct device_spec){.kind = DEVICE_DISK, .id = "d0", .path = "/a/disk", .readonly = TRI_ON, .discard = TRI_OFF, .image_type = IMAGE_QCOW2, .queue_size = 128};
	s.devices[1] = (struct device_spec){
	    .kind = DEVICE_FS, .socket = "/run/fs", .tag = "t", .mac = "02::1", .mtu = 9000, .pci_segment = 3};
	s.balloon = (struct balloon_spec){true, GiB, TRI_ON, TRI_OFF};
	s.has_segments = true;
	s.num_pci_segments = 96;
	s.cpus = (struct cpus_spec){.given = true,
				    .boot = 4,
				    .max = 255,
				    .has_topology = true,
				    .threads_per_core = 2,
				    .cores_per_die = 3,
				    .dies_per_package = 4,
				    .packages = 5,
				    .n_affinity = 2,
				    .affinity = affinity};
	s.kernel = "/boot/vmlinuz";
	s.initramfs = "/boot/initrd";
	s.cmdline = "console=ttyS0 quiet";
	s.serial = SERIAL_FILE;
	s.serial_file = "/tmp/log";
	s.console = SERIAL_FILE;
	s.console_file = "/tmp/console";
	return &s;
}

const struct mem_plan *sample_plan_full(void)
{
	static struct mem_plan p;

	memset(&p, 0, sizeof(p));
	p.phys_bits = 52;
	p.n_zones = LIM_ZONES;
	p.n_pieces = PLAN_PIECES_MAX;
	p.n_windows = PLAN_WINDOWS_MAX;
	p.n_nodes = LIM_NODES;
	p.n_segments = LIM_SEGMENTS;
	p.n_epc = LIM_EPC;
	for (unsigned i = 0; i < LIM_ZONES; i++) {
		struct plan_zone *z = &p.zones[i];

		memset(z->id, 'a' + (int)(i % 26), LIM_ID);
		z->backing = i % 5;
		z->size = UINT64_MAX - i;
		z->page_size = GiB;
		z->prefault = z->thp = i & 1;
		z->reserve = z->mergeable = !(i & 1);
		z->host_policy = i % 5;
		memset(&z->host_nodes, 0xff, sizeof(z->host_nodes));
		memset(&z->host_cpus, 0xff, sizeof(z->host_cpus));
		z->guest_node = i;
		z->hotplug_size = z->hotplugged_size = z->block_size = UINT64_MAX;
		z->hotplug = gspan(UINT64_MAX, i);
	}
	for (unsigned i = 0; i < PLAN_PIECES_MAX; i++)
		p.pieces[i] = (struct plan_piece){(uint16_t)(i / 2), UINT64_MAX, gspan(UINT64_MAX - i, UINT64_MAX)};
	for (unsigned i = 0; i < PLAN_WINDOWS_MAX; i++)
		p.windows[i] = (struct plan_window){i % 8, (uint16_t)i, gspan(UINT64_MAX - i, UINT64_MAX)};
	for (unsigned i = 0; i < LIM_NODES; i++) {
		p.nodes[i].guest_numa_id = UINT32_MAX - i;
		memset(&p.nodes[i].cpus, 0xff, sizeof(p.nodes[i].cpus));
		for (unsigned j = 0; j < LIM_NODES; j++)
			p.distance[i][j] = (uint8_t)(i == j ? 10 : 11 + i + j);
	}
	for (unsigned i = 0; i < LIM_SEGMENTS; i++)
		p.segment_node[i] = (uint8_t)(i % LIM_NODES);
	for (unsigned i = 0; i < LIM_EPC; i++) {
		snprintf(p.epc[i].id, sizeof(p.epc[i].id), "epc%u", i);
		p.epc[i].at = gspan(UINT64_MAX, i);
		p.epc[i].node = (uint8_t)i;
		p.epc[i].prefault = i & 1;
	}
	return &p;
}

static const struct zone_report *sample_reports(size_t *ret_n)
{
	static struct node_pages a[3] = {{0, 512}, {1023, UINT64_MAX}, {NODE_ABSENT, 1}}, b[1] = {{NODE_UNKNOWN, 7}};
	static struct zone_report r[2] = {{0, 2 * MiB, 3, a}, {63, 4 * KiB, 1, b}};

	*ret_n = 2;
	return r;
}

struct end_report sample_end(void)
{
	struct end_report r = {.cause = END_BAD_ACCESS,
			       .vcpu = 3,
			       .detail = "the guest wrote where nothing is",
			       .has_regs = true,
			       .rax = 1,
			       .rflags = 2,
			       .efer = UINT64_MAX,
			       .cs = 0x10,
			       .ss = 0x18,
			       .n_insn = END_INSN_MAX,
			       .has_access = true,
			       .access_addr = UINT64_MAX,
			       .access_len = 8,
			       .access_write = true};

	memset(r.insn, 0x90, sizeof(r.insn));
	return r;
}

static void tags_for(struct chan_msg *m, struct fd_tag *tags, size_t *n, size_t want)
{
	for (size_t i = 0; i < want; i++) {
		tags[i] = (struct fd_tag){FD_ROLE_ZONE, (uint16_t)i};
		m->fds[i] = -1;
	}
	*n = m->nfds = want;
}

static int control_message(unsigned k, struct chan_msg *m)
{
	static struct ctl_request q;
	static struct vm_spec nothing;
	static struct ctl_vm_info vms[2];
	static struct diags ds;
	struct ctl_reply r = {.serial = 9};
	struct ctl_event ev = {.kind = CTL_EVENT_STATE, .vm_id = 4, .name = "x", .state = VM_RUNNING};
	static struct node_pages pages[2] = {{0, 1}, {NODE_ABSENT, 2}};
	static struct ctl_zone_info zone = {"mem0", BACKING_HUGETLB,  GiB, 2 * MiB, GiB,       1, 2,         8,
					    3,      HOST_POLICY_BIND, 2,   pages,   true, "no page", 7, UINT64_MAX};

	static struct ctl_device_info device = {.id = "disk0", .socket = "/run/s", .up = true, .losses = 3, .own = true, .pid = 4321, .restarts = 2, .text = "connected"};

	static struct ctl_epc_info epc[2] = {{"epc0", 4 * GiB, MiB, false, 0}, {"epc1", 4 * GiB + MiB, 2 * MiB, true, 7}};
	static struct pinned pins[2];
	static struct node_cost costs[2] = {{0, 0, {80, 0, 9000, 1}}, {0, UINT32_MAX, {0, LIM_LATENCY_NS, 0, LIM_BANDWIDTH_MBS}}};
	static struct node_cache cache = {7, GiB, 128};

	memset(&q, 0, sizeof(q));
	q.serial = 77;
	pins[0] = (struct pinned){set_of(0, LIM_CPUS - 1), set_of(0, 1023), true};
	pins[1] = (struct pinned){set_of(1, 1), set_of(64, 65), false};
	switch (k) {
	case 0:
		q.op = CTL_CREATE;
		q.spec = (struct vm_spec *)(uintptr_t)sample_spec_full();
		q.boot = q.attached = true;
		tags_for(m, q.tags, &q.n_tags, LIM_ZONES);
		break;
	case 1:
		q.op = CTL_LIST;
		break;
	case 2:
		q.op = CTL_CONSOLE;
		q.vm = "12";
		tags_for(m, q.tags, &q.n_tags, 1);
		q.tags[0] = (struct fd_tag){FD_ROLE_CONSOLE, 0};
		break;
	case 3:
		q.op = CTL_CREATE;
		memset(&nothing, 0, sizeof(nothing));
		q.spec = &nothing;
		break;
	case 4:
		r.code = -22;
		r.text = "no";
		memset(&ds, 0, sizeof(ds));
		for (unsigned i = 0; i < LIM_DIAGS + 3; i++)
			diag_add(&ds, i % 3, "--memory-zone", "size=1000001", "round it", "not a multiple of %u", 4096u);
		r.diags = &ds;
		return ctl_reply_encode(&r, m->data, sizeof(m->data), &m->len, NULL);
	case 5:
		memset(vms, 0, sizeof(vms));
		vms[0] = (struct ctl_vm_info){1,   "a",  1000,         VM_RUNNING, 2,     GiB,    17, 0,       5,
					      6,   true, sample_end(), 1,          &zone, "full", 1,  &device, 2,
					      epc, 2,    pins,         2,          3,     costs,  1,  &cache};
		vms[0].has_balloon = true;
		vms[0].balloon = (struct wk_balloon_state){GiB, MiB, true, 1, 2, 3, UINT64_MAX};
		vms[1] = (struct ctl_vm_info){.id = 2, .name = "b", .state = VM_ENDING};
		r.vms = vms;
		r.n_vms = 2;
		return ctl_reply_encode(&r, m->data, sizeof(m->data), &m->len, NULL);
	case 6:
		return ctl_reply_encode(&r, m->data, sizeof(m->data), &m->len, NULL);
	case 7:
		return ctl_event_encode(&ev, m->data, sizeof(m->data), &m->len, NULL);
	case 8:
		ev = (struct ctl_event){.kind = CTL_EVENT_PROGRESS, .name = "x", .zone = "mem0", .done = 1, .total = 2};
		return ctl_event_encode(&ev, m->data, sizeof(m->data), &m->len, NULL);
	case 9:
		ev = (struct ctl_event){.kind = CTL_EVENT_ENDED, .name = "x", .end = sample_end()};
		return ctl_event_encode(&ev, m->data, sizeof(m->data), &m->len, NULL);
	default:
		assert(false && "sample number");
	}
	return ctl_request_encode(&q, m->data, sizeof(m->data), &m->len, NULL);
}

static int memsrv_message(unsigned k, struct chan_msg *m)
{
	static struct ms_msg ms;

	memset(&ms, 0, sizeof(ms));
	ms.serial = k;
	switch (k) {
	case 0:
		ms.op = MS_PLAN;
		ms.u.plan.plan = (struct mem_plan *)(uintptr_t)sample_plan_full();
		tags_for(m, ms.u.plan.tags, &ms.u.plan.n_tags, LIM_ZONES);
		break;
	case 1:
		ms.op = MS_QUERY;
		break;
	case 2:
		ms.op = MS_ZONES;
		ms.u.zones.reports = (struct zone_report *)(uintptr_t)sample_reports(&ms.u.zones.n_reports);
		tags_for(m, ms.u.zones.tags, &ms.u.zones.n_tags, 2);
		break;
	case 3:
		ms.op = MS_PROGRESS;
		ms.u.progress = (struct wire_progress){63, 1, UINT64_MAX};
		break;
	default:
		ms.op = MS_FAILED;
		ms.u.failed = (struct wire_failed){-12, "zone mem0: 512 huge pages needed"};
		break;
	}
	return ms_encode(&ms, m->data, sizeof(m->data), &m->len, NULL);
}

static int worker_message(unsigned k, struct chan_msg *m)
{
	static struct device_plan device = {.id = "net0",
					    .kind = DEVICE_NET,
					    .virtio_id = 1,
					    .pci_segment = 95,
					    .n_queues = 2,
					    .queue_size = {128, 256},
					    .zones = UINT64_MAX,
					    .narrowed = true,
					    .own = true,
					    .has_mac = true,
					    .mac = {2, 0, 0, 0, 0, 1},
					    .mtu = 1500,
					    .tag = "t"};
	static struct affinity_spec affinity[2];
	static struct wk_msg wk;

	memset(&wk, 0, sizeof(wk));
	switch (k) {
	case 0:
		affinity[1] = (struct affinity_spec){254, set_of(0, 1023)};
		wk.op = WK_GRANT;
		wk.u.grant = (struct wk_grant){.plan = (struct mem_plan *)(uintptr_t)sample_plan_full(),
					       .vcpus_boot = 1,
					       .vcpus_max = 255,
					       .threads_per_core = 2,
					       .n_affinity = 2,
					       .affinity = affinity,
					       .n_devices = 1,
					       .devices = &device,
					       .balloon = {true, 64 * MiB, true, true},
					       .cmdline = "quiet",
					       .serial = SERIAL_TTY,
					       .start = true};
		tags_for(m, wk.u.grant.tags, &wk.u.grant.n_tags, LIM_ZONES);
		break;
	case 1:
		wk.op = WK_START;
		break;
	case 2:
		wk.op = WK_CONSOLE;
		m->nfds = 1;
		m->fds[0] = -1;
		break;
	case 3:
		wk.op = WK_READY;
		break;
	case 4:
		wk.op = WK_STATS;
		wk.u.reports.reports = (struct zone_report *)(uintptr_t)sample_reports(&wk.u.reports.n);
		break;
	case 5:
		wk.op = WK_PROGRESS;
		wk.u.progress = (struct wire_progress){1, 5, 5};
		break;
	case 6:
		wk.op = WK_STATE;
		wk.u.state.running = true;
		break;
	case 7:
		wk.op = WK_FAILED;
		wk.u.failed = (struct wire_failed){-5, "no"};
		break;
	default:
		wk.op = WK_ENDED;
		wk.u.ended = sample_end();
		break;
	}
	return wk_encode(&wk, m->data, sizeof(m->data), &m->len, NULL);
}

/* What memory that grows has added. */
static int memory_message(unsigned k, struct chan_msg *m)
{
	struct ctl_request q = {.serial = 5, .op = CTL_RESIZE, .vm = "web", .zone = "mem0", .size = GiB, .no_wait = true};
	struct ctl_event ev = {.kind = CTL_EVENT_RESIZE,
			       .name = "x",
			       .zone = "mem0",
			       .done = 2 * GiB,
			       .total = GiB,
			       .text = "no page",
			       .over = true};
	static const uint32_t dimms[] = {1, UINT32_MAX, 8};
	static struct ms_msg ms;
	static struct wk_msg wk;

	memset(&ms, 0, sizeof(ms));
	memset(&wk, 0, sizeof(wk));
	switch (k) {
	case 0:
		return ctl_request_encode(&q, m->data, sizeof(m->data), &m->len, NULL);
	case 1:
		return ctl_event_encode(&ev, m->data, sizeof(m->data), &m->len, NULL);
	case 2:
		ms.op = MS_PLUGGER;
		m->nfds = 1;
		m->fds[0] = -1;
		return ms_encode(&ms, m->data, sizeof(m->data), &m->len, NULL);
	case 3:
		ms.op = MS_ALLOW;
		ms.u.allow = (struct ms_allow){63, UINT64_MAX};
		return ms_encode(&ms, m->data, sizeof(m->data), &m->len, NULL);
	case 4:
		wk.op = WK_RESIZE;
		wk.u.resize = (struct wk_resize){63, UINT64_MAX, 9};
		break;
	default:
		wk.op = WK_MEMORY;
		wk.u.memory = (struct wk_memory){.zone = 1,
						 .request = 9,
						 .wanted = 3,
						 .plugged = 2,
						 .idle = 1,
						 .driver = true,
						 .over = true,
						 .refused = "no page",
						 .n_dimms = ARRAY_LEN(dimms),
						 .dimms = dimms,
						 .denied = 5,
						 .strayed = UINT64_MAX};
		break;
	}
	return wk_encode(&wk, m->data, sizeof(m->data), &m->len, NULL);
}

/* What the balloon has added. */
static int balloon_message(unsigned k, struct chan_msg *m)
{
	struct ctl_request q = {.serial = 5, .op = CTL_RESIZE, .vm = "web", .size = GiB, .no_wait = true, .balloon = true};
	struct ctl_event ev = {.kind = CTL_EVENT_BALLOON, .name = "x", .done = 2 * GiB, .total = GiB};
	static struct wk_msg wk;

	memset(&wk, 0, sizeof(wk));
	switch (k) {
	case 0:
		return ctl_request_encode(&q, m->data, sizeof(m->data), &m->len, NULL);
	case 1:
		return ctl_event_encode(&ev, m->data, sizeof(m->data), &m->len, NULL);
	case 2:
		wk.op = WK_BALLOON;
		wk.u.balloon = (struct wk_balloon){.there = true, .bytes = BALLOON_MAX};
		break;
	default:
		wk.op = WK_BALLOON_STATE;
		wk.u.balloon_state = (struct wk_balloon_state){BALLOON_MAX, GUEST_PAGE, true, 1, 2, 3, UINT64_MAX};
		break;
	}
	return wk_encode(&wk, m->data, sizeof(m->data), &m->len, NULL);
}

void sample_message(unsigned k, struct chan_msg *ret)
{
	int r;

	assert(k < SAMPLE_KINDS);
	ret->nfds = 0;
	r = k < 10   ? control_message(k, ret)
	    : k < 15 ? memsrv_message(k - 10, ret)
	    : k < 24 ? worker_message(k - 15, ret)
	    : k < 30 ? memory_message(k - 24, ret)
		     : balloon_message(k - 30, ret);
	assert(r == 0);
}

unsigned decode_with_all(const struct chan_msg *m, void *arena, size_t cap)
{
	static union {
		struct ctl_request q;
		struct ctl_reply r;
		struct ctl_event ev;
		struct ms_msg ms;
		struct wk_msg wk;
	} out;
	struct arena a;
	struct err e = {0};
	unsigned took = 0;

	a = arena_over(arena, cap);
	took += ctl_request_decode(m, &a, &out.q, &e) == 0;
	a = arena_over(arena, cap);
	took += ctl_reply_decode(m, &a, &out.r, &e) == 0;
	a = arena_over(arena, cap);
	took += ctl_event_decode(m, &a, &out.ev, &e) == 0;
	a = arena_over(arena, cap);
	took += ms_decode(m, &a, &out.ms, &e) == 0;
	a = arena_over(arena, cap);
	took += wk_decode(m, &a, &out.wk, &e) == 0;
	return took;
}
