/* Grants and messages that must not be believed. */
#include "worker_harness.h"

#include "bulkhead/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct peer p;

/* The worker must answer with WK_FAILED, the text must contain this, and it must be gone then, by its own exit. */
static void refused(const char *because)
{
	int status;

	peer_expect(&p, WK_FAILED);
	if (!strstr(p.msg.u.failed.text, because))
		print_message("# \"%s\" should say \"%s\"\n", p.msg.u.failed.text, because);
	assert_non_null(strstr(p.msg.u.failed.text, because));
	assert_true(p.msg.u.failed.code < 0);
	assert_int_equal(peer_answer(&p), 0);
	status = peer_end(&p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void grant_spoiled(struct machine_wish w, void (*spoil)(struct wk_msg *m, int *fds, void *arg), void *arg)
{
	if (!w.guest)
		w.guest = tiny("hello");
	w.spoil = spoil;
	w.spoil_arg = arg;
	peer_start(&p, worker_program);
	peer_grant(&p, &w);
}

static int zone_object(uint64_t size, unsigned seals)
{
	int fd = memfd_create("zone", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void try_zone(enum backing backing, int fd, const char *because)
{
	const struct plan_zone z = {.id = "z0", .backing = backing, .size = 8 * MiB};

	grant_spoiled((struct machine_wish){.n_zones = 1, .zones = &z, .zone_fds = &fd}, NULL, NULL);
	refused(because);
	close(fd);
}

static void zones(void **state)
{
	unsigned good = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	try_zone(BACKING_MEMFD, zone_object(8 * MiB, 0), "zone z0");
	try_zone(BACKING_MEMFD, zone_object(8 * MiB, F_SEAL_SHRINK | F_SEAL_GROW), "zone z0");
	try_zone(BACKING_MEMFD, zone_object(8 * MiB, F_SEAL_GROW | F_SEAL_SEAL), "zone z0");
	try_zone(BACKING_MEMFD, zone_object(8 * MiB, good | F_SEAL_WRITE), "cannot be written");
	try_zone(BACKING_MEMFD, zone_object(4 * MiB, good), "zone z0");
	try_zone(BACKING_MEMFD, zone_object(16 * MiB, good), "zone z0");
	try_zone(BACKING_MEMFD, open("/dev/null", O_RDWR), "not a regular file");
	try_zone(BACKING_MEMFD, -1, "no object");
	try_zone(BACKING_ANON, zone_object(8 * MiB, good), "anonymous");
	try_zone(BACKING_FILE_SHARED, zone_object(4 * MiB, 0), "zone z0");
}

/* Small pages where huge ones were promised. */
static void huge_zone(void **state)
{
	const struct plan_zone z = {.id = "z0", .backing = BACKING_HUGETLB, .size = 8 * MiB, .page_size = 2 * MiB};
	int fd = zone_object(8 * MiB, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);

	grant_spoiled((struct machine_wish){.n_zones = 1, .zones = &z, .zone_fds = &fd}, NULL, NULL);
	refused("zone z0");
	close(fd);
}

static void set_fd0(struct wk_msg *m, int *fds, void *arg)
{
	fds[0] = *(int *)arg;
}

static void set_fd1(struct wk_msg *m, int *fds, void *arg)
{
	fds[1] = *(int *)arg;
}

static void not_kvm(void **state)
{
	int fd = open("/dev/zero", O_RDWR);

	grant_spoiled((struct machine_wish){0}, set_fd0, &fd);
	refused("/dev/kvm");
	close(fd);
	fd = open(worker_program, O_RDONLY);
	grant_spoiled((struct machine_wish){0}, set_fd0, &fd);
	refused("/dev/kvm");
	close(fd);
}

static void set_roles_equal(struct wk_msg *m, int *fds, void *arg)
{
	m->u.grant.tags[1].role = FD_ROLE_KVM;
}

static void set_zone_beyond(struct wk_msg *m, int *fds, void *arg)
{
	m->u.grant.tags[1] = (struct fd_tag){FD_ROLE_ZONE, 63};
}

static void set_console_file(struct wk_msg *m, int *fds, void *arg)
{
	fds[2] = fds[1];
}

static void set_output_unasked(struct wk_msg *m, int *fds, void *arg)
{
	m->u.grant.tags[m->u.grant.n_tags] = (struct fd_tag){FD_ROLE_SERIAL_FILE, *(const uint16_t *)arg};
	fds[m->u.grant.n_tags++] = fds[1];
}

static void set_console_to_kernel(struct wk_msg *m, int *fds, void *arg)
{
	m->u.grant.console = SERIAL_FILE;
	set_output_unasked(m, fds, arg);
}

static void drop_kernel(struct wk_msg *m, int *fds, void *arg)
{
	fds[1] = fds[2];
	m->u.grant.tags[1] = m->u.grant.tags[2];
	m->u.grant.n_tags = 2;
}

static void roles(void **state)
{
	uint16_t line = 0, console = 1, beyond = 2;

	grant_spoiled((struct machine_wish){0}, set_roles_equal, NULL);
	refused("same thing");
	grant_spoiled((struct machine_wish){0}, set_zone_beyond, NULL);
	refused("no place");
	grant_spoiled((struct machine_wish){0}, set_console_file, NULL);
	refused("console");
	grant_spoiled((struct machine_wish){0}, set_output_unasked, &line);
	refused("--serial: a file is granted and not used");
	grant_spoiled((struct machine_wish){0}, set_output_unasked, &console);
	refused("--console: a file is granted and not used");
	grant_spoiled((struct machine_wish){0}, set_output_unasked, &beyond);
	refused("index of a file descriptor");
	grant_spoiled((struct machine_wish){0}, set_console_to_kernel, &console); /* which is for reading */
	refused("--console");
	grant_spoiled((struct machine_wish){0}, drop_kernel, NULL);
	refused("kernel");
}

static void want_epc(struct wk_msg *m, int *fds, void *arg)
{
	struct mem_plan *plan = m->u.grant.plan;
	int fd = *(int *)arg;
	size_t at = plan->n_windows;

	/* Behind RAM, in front of the 64-bit PCI window. */
	plan->n_epc = 1;
	memcpy(plan->epc[0].id, "enclaves", sizeof("enclaves"));
	plan->epc[0].at = gspan(4 * GiB, MiB);
	for (; at > 0 && plan->windows[at - 1].kind == WINDOW_PCI64; at--) {
		plan->windows[at] = plan->windows[at - 1];
		plan->windows[at].at.start.v += 4 * GiB; /* room for it */
		plan->windows[at].at.len.v -= 4 * GiB;
	}
	plan->windows[at] = (struct plan_window){WINDOW_EPC, 0, plan->epc[0].at};
	plan->n_windows++;
	if (fd < 0)
		return;
	m->u.grant.tags[m->u.grant.n_tags] = (struct fd_tag){FD_ROLE_EPC, 0};
	fds[m->u.grant.n_tags++] = fd;
}

static void set_epc_unasked(struct wk_msg *m, int *fds, void *arg)
{
	m->u.grant.tags[m->u.grant.n_tags] = (struct fd_tag){FD_ROLE_EPC, 0};
	fds[m->u.grant.n_tags++] = fds[1];
}

/* EPC comes as a device, or as a file that is long enough; for writing. */
static void epc(void **state)
{
	int fd = memfd_create("epc", MFD_CLOEXEC), none = -1, tmp;

	grant_spoiled((struct machine_wish){0}, set_epc_unasked, NULL);
	refused("no place");
	grant_spoiled((struct machine_wish){0}, want_epc, &none);
	refused("EPC section enclaves: nothing came");
	assert_int_equal(ftruncate(fd, MiB - 4096), 0);
	grant_spoiled((struct machine_wish){0}, want_epc, &fd);
	refused("neither a device nor a file of its size");
	tmp = open("/dev/null", O_RDWR | O_CLOEXEC);
	grant_spoiled((struct machine_wish){0}, want_epc, &tmp);
	refused("EPC section enclaves: cannot map");
	close(tmp);
	tmp = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	grant_spoiled((struct machine_wish){0}, want_epc, &tmp);
	refused("wrong direction");
	close(tmp);
	close(fd);
	if (access("/dev/sgx_vepc", F_OK) == 0)
		return;
	/* It can be mapped, but KVM here has no SGX: no guest with EPC that it cannot use. */
	tmp = open("/dev/zero", O_RDWR | O_CLOEXEC);
	grant_spoiled((struct machine_wish){0}, want_epc, &tmp);
	refused("KVM offers guests no SGX");
	close(tmp);
}

static void pin_to_nowhere(struct wk_msg *m, int *fds, void *arg)
{
	static struct affinity_spec affinity;

	nodeset_add(&affinity.host_cpus, LIM_HOST_CPUS - 1);
	m->u.grant.affinity = &affinity;
	m->u.grant.n_affinity = 1;
}

static void no_such_host_cpu(void **state)
{
	grant_spoiled((struct machine_wish){0}, pin_to_nowhere, NULL);
	refused("--cpus affinity");
}

static void overlap_pieces(struct wk_msg *m, int *fds, void *arg)
{
	m->u.grant.plan->pieces[0].at.start.v = UINT64_MAX - 4095;
}

static void bad_plan(void **state)
{
	grant_spoiled((struct machine_wish){0}, overlap_pieces, NULL);
	refused("");
}

static void kernel_of(const void *data, size_t len, const char *because)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	assert_int_equal(write(fd, data, len), (ssize_t)len);
	grant_spoiled((struct machine_wish){0}, set_fd1, &fd);
	refused(because);
	close(fd);
}

static void kernels(void **state)
{
	static uint8_t image[65536];
	FILE *f = fopen(tiny("hello"), "r");
	size_t n;

	assert_non_null(f);
	n = fread(image, 1, sizeof(image), f);
	fclose(f);
	kernel_of("", 0, "kernel");
	kernel_of("#!/bin/sh\n# this is a file, but it is surely no kernel, and it is longer than an ELF header\n", 90,
		  "neither");
	kernel_of(image, 70, "kernel");  /* ends inside the program headers */
	kernel_of(image, 200, "kernel"); /* ends before the segments */
	image[54]++;                     /* e_phentsize */
	kernel_of(image, n, "program headers");
	image[54]--;
	image[18]++; /* e_machine */
	kernel_of(image, n, "x86-64");
	image[18]--;
	memset(image + 64 + 24, 0xff, 8); /* the first p_paddr */
	kernel_of(image, n, "kernel");
	/* The shell: an ELF program without a PVH note. */
	{
		int fd = open("/proc/self/exe", O_RDONLY);

		grant_spoiled((struct machine_wish){0}, set_fd1, &fd);
		refused("PVH");
		close(fd);
	}
}

static void initramfs_too_big(void **state)
{
	char path[] = "/tmp/worker-initramfs-XXXXXX";
	int fd = mkstemp(path);

	assert_int_equal(ftruncate(fd, 64 * MiB), 0);
	grant_spoiled((struct machine_wish){.initramfs = path}, NULL, NULL);
	refused("initramfs");
	close(fd);
	unlink(path);
}

static void gone_after(const void *data, size_t len)
{
	int status;

	peer_send_raw(&p, data, len, NULL, 0);
	while (peer_answer(&p) == 1)
		assert_int_equal(p.msg.op, WK_FAILED);
	status = peer_end(&p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

/* Before the grant and after it: noise, headers without a body, a body cut short, the worker's own messages. */
static void garbage(void **state)
{
	static uint8_t noise[4096];
	const struct wire_hdr heads[] = {
	    {WIRE_MAGIC, WIRE_VERSION, 0, 0, 1},           {WIRE_MAGIC, WIRE_VERSION, 9999, 0, 1},
	    {WIRE_MAGIC, WIRE_VERSION, WK_READY, 0, 1},    {WIRE_MAGIC, WIRE_VERSION, WK_GRANT, 0, 1},
	    {WIRE_MAGIC, WIRE_VERSION + 1, WK_STOP, 0, 1}, {WIRE_MAGIC, WIRE_VERSION, WK_CONSOLE, 0, 1},
	};

	srandom(1);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)random();
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		peer_start(&p, worker_program);
		gone_after(&heads[i], sizeof(heads[i]));
		begin_running(&p, "halt");
		gone_after(&heads[i], sizeof(heads[i]));
	}
	for (size_t len = 1; len <= sizeof(noise); len *= 4) {
		peer_start(&p, worker_program);
		gone_after(noise, len);
		begin_running(&p, "halt");
		gone_after(noise, len);
	}
}

/* A console that is no socket is not taken, and the machine goes on. */
static void console_no_socket(void **state)
{
	struct wire_hdr h = {WIRE_MAGIC, WIRE_VERSION, WK_CONSOLE, 0, 1};
	int fd = open("/dev/zero", O_RDWR);

	begin_running(&p, "halt");
	peer_send_raw(&p, &h, sizeof(h), &fd, 1);
	close(fd);
	peer_send(&p, WK_STOP, 2);
	ends(&p, END_STOPPED, NULL);
}

/* The owner of a file zone cuts it under the machine. */
static void file_cut_short(void **state)
{
	const struct plan_zone z = {.id = "z0", .backing = BACKING_FILE_SHARED, .size = 8 * MiB};
	char path[] = "/tmp/worker-zone-XXXXXX";
	int fd = mkstemp(path), status;

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, 8 * MiB), 0);
	begin(&p, (struct machine_wish){.guest = "hello", .n_zones = 1, .zones = &z, .zone_fds = &fd});
	assert_int_equal(ftruncate(fd, 0), 0);
	peer_send(&p, WK_START, 1);
	peer_expect(&p, WK_STATE);
	peer_expect(&p, WK_ENDED);
	assert_int_equal(p.msg.u.ended.cause, END_HOST_MEMORY);
	status = peer_end(&p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(fd);
}

const struct CMUnitTest tests_wrong[] = {
    cmocka_unit_test(zones),
    cmocka_unit_test(huge_zone),
    cmocka_unit_test(not_kvm),
    cmocka_unit_test(roles),
    cmocka_unit_test(epc),
    cmocka_unit_test(no_such_host_cpu),
    cmocka_unit_test(bad_plan),
    cmocka_unit_test(kernels),
    cmocka_unit_test(initramfs_too_big),
    cmocka_unit_test(garbage),
    cmocka_unit_test(console_no_socket),
    cmocka_unit_test(file_cut_short),
};
const size_t n_tests_wrong = ARRAY_LEN(tests_wrong);
