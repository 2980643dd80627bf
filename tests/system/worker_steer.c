/* What the broker can do to a machine. */
#include "worker_harness.h"

#include "bulkhead/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ON_ITS_WAY 1000000 /* bytes: the worker keeps 64 KiB, the socket some hundred */

static struct peer p;

static void waits_for_start(void **state)
{
	char c;

	begin(&p, (struct machine_wish){.guest = "hello"});
	assert_int_equal(peer_read(&p, &c, 1, 100), 0);
	peer_send(&p, WK_START, 11);
	peer_expect(&p, WK_STATE);
	assert_int_equal(p.msg.serial, 11);
	assert_true(p.msg.u.state.running);
	ends(&p, END_POWEROFF, "hi");
}

/* After the answer to PAUSE nothing comes any more but what was on its way; after RESUME it goes on. */
static void pause_and_resume(uint32_t vcpus)
{
	char buf[4096];

	begin(&p, (struct machine_wish){.guest = "tick", .vcpus = vcpus, .start = true});
	peer_expect(&p, WK_STATE);
	for (uint32_t round = 0; round < 3; round++) {
		assert_int_equal(peer_read(&p, buf, 100, PEER_ANSWER_MS), 100);
		peer_send(&p, WK_PAUSE, 20 + round);
		/* A full socket does not hold the guest up, so there is an answer whether or not we read. */
		peer_expect(&p, WK_STATE);
		assert_int_equal(p.msg.serial, 20 + round);
		assert_false(p.msg.u.state.running);
		for (size_t n, came = 0; (n = peer_read(&p, buf, sizeof(buf), 200)) > 0;)
			assert_true((came += n) < ON_ITS_WAY);
		peer_send(&p, WK_RESUME, 30 + round);
		peer_expect(&p, WK_STATE);
		assert_true(p.msg.u.state.running);
	}
	assert_int_equal(peer_read(&p, buf, 100, PEER_ANSWER_MS), 100);
	peer_send(&p, WK_STOP, 40);
	ends(&p, END_STOPPED, NULL);
}

static void pause_one_cpu(void **state)
{
	pause_and_resume(1);
}

/* The others wait for an interrupt that never comes, inside KVM_RUN. */
static void pause_four_cpus(void **state)
{
	pause_and_resume(4);
}

/* Both messages lie there when the worker reads the first: the vCPU threads are let go and held again before they have run. */
static void pause_at_once(void **state)
{
	begin(&p, (struct machine_wish){.guest = "tick", .vcpus = 2});
	for (uint32_t round = 0; round < 500; round++) {
		peer_send(&p, WK_RESUME, 2 * round);
		peer_send(&p, WK_PAUSE, 2 * round + 1);
		peer_expect(&p, WK_STATE);
		assert_true(p.msg.u.state.running);
		peer_expect(&p, WK_STATE);
		assert_int_equal(p.msg.serial, 2 * round + 1);
		assert_false(p.msg.u.state.running);
	}
	peer_send(&p, WK_STOP, 40);
	ends(&p, END_STOPPED, NULL);
}

static void stop_while_halted(void **state)
{
	char c;

	begin_running(&p, "halt");
	assert_int_equal(peer_read(&p, &c, 1, PEER_ANSWER_MS), 1);
	peer_send(&p, WK_STOP, 12);
	ends(&p, END_STOPPED, "");
}

static void console_input(void **state)
{
	char buf[64] = {0};

	begin_running(&p, "echo");
	assert_int_equal(peer_read(&p, buf, 1, PEER_ANSWER_MS), 1);
	/* More than the device's FIFO holds, so it must be taken in turns. */
	assert_int_equal(write(p.console, "abcdefghijklmnop0123456789abcdefghijklmnop", 42), 42);
	assert_int_equal(peer_read(&p, buf, 42, PEER_ANSWER_MS), 42);
	assert_memory_equal(buf, "bcdefghijklmnopq123456789:bcdefghijklmnopq", 42);
	assert_int_equal(write(p.console, "q", 1), 1);
	ends(&p, END_POWEROFF, "");
}

/* Output that nobody read is there for the next console, the oldest is given up. */
static void console_backlog(void **state)
{
	static char buf[70000];

	begin(&p, (struct machine_wish){.guest = "flood", .no_console = true, .start = true});
	peer_expect(&p, WK_STATE);
	for (int i = 0; i < 2; i++) {
		size_t n = 0;

		/* The guest may still be writing when the first console comes: read until it has said its last word. */
		peer_send_console(&p);
		n = peer_read(&p, buf, sizeof(buf), 3000);
		while (n == sizeof(buf))
			n = peer_read(&p, buf, sizeof(buf), 3000);
	}
	peer_send_console(&p);
	assert_int_equal(peer_read(&p, buf, sizeof(buf), 3000), 65536);
	for (size_t i = 0; i < 65536; i++)
		assert_int_equal(buf[i], 'b');
	peer_send(&p, WK_STOP, 1);
	ends(&p, END_STOPPED, NULL);
}

static void console_that_goes_away(void **state)
{
	char buf[8];

	begin_running(&p, "echo");
	assert_int_equal(peer_read(&p, buf, 1, PEER_ANSWER_MS), 1);
	fd_cleanup(&p.console);
	peer_send_console(&p);
	assert_int_equal(peer_read(&p, buf, 1, PEER_ANSWER_MS), 1);
	assert_int_equal(buf[0], '>');
	assert_int_equal(write(p.console, "1q", 2), 2);
	ends(&p, END_POWEROFF, "2");
}

/* The next one is there when the worker sees that the last has gone, and its guest takes no input: nobody hangs up on it. */
static void console_after_console(void **state)
{
	struct pollfd hung_up;
	char buf[64] = {0};
	int status;

	begin(&p, (struct machine_wish){.guest = "flood", .start = true});
	peer_expect(&p, WK_STATE);
	assert_int_equal(write(p.console, buf, sizeof(buf)), sizeof(buf)); /* more than a UART holds */
	assert_int_equal(peer_read(&p, buf, 1, 5000), 1);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(kill(p.pid, SIGSTOP), 0);
		assert_true(waitpid(p.pid, &status, WUNTRACED) == p.pid && WIFSTOPPED(status));
		fd_cleanup(&p.console);
		peer_send_console(&p);
		assert_int_equal(kill(p.pid, SIGCONT), 0);
		assert_int_equal(peer_read(&p, buf, 1, 5000), 1);
		peer_send(&p, WK_QUERY, i);
		peer_expect(&p, WK_STATS);
		hung_up = (struct pollfd){.fd = p.console};
		assert_int_equal(poll(&hung_up, 1, 0), 0);
	}
	peer_send(&p, WK_STOP, 1);
	ends(&p, END_STOPPED, NULL);
}

static void serial_to_file(void **state)
{
	char path[] = "/tmp/worker-serial-XXXXXX", buf[8] = {0};
	int tmp = mkstemp(path), fd = open(path, O_WRONLY | O_APPEND);

	assert_true(tmp >= 0 && fd >= 0);
	unlink(path);
	begin(&p, (struct machine_wish){
		      .guest = "hello", .serial = SERIAL_FILE, .serial_file = fd, .no_console = true, .start = true});
	peer_expect(&p, WK_STATE);
	ends(&p, END_POWEROFF, NULL);
	assert_int_equal(read(tmp, buf, sizeof(buf)), 2);
	assert_string_equal(buf, "hi");
	close(tmp);
	close(fd);
}

static void serial_null(void **state)
{
	begin(&p, (struct machine_wish){.guest = "hello", .serial = SERIAL_NULL, .start = true});
	peer_expect(&p, WK_STATE);
	ends(&p, END_POWEROFF, "");
}

static void reports_pages(void **state)
{
	uint64_t here = 0, all = 0;

	begin_running(&p, "halt");
	peer_send(&p, WK_QUERY, 50);
	peer_expect(&p, WK_STATS);
	assert_int_equal(p.msg.serial, 50);
	assert_int_equal(p.msg.u.reports.n, 1);
	for (size_t i = 0; i < p.msg.u.reports.reports[0].n; i++) {
		const struct node_pages *np = &p.msg.u.reports.reports[0].nodes[i];

		all += np->pages;
		if (np->node >= 0)
			here += np->pages;
	}
	assert_int_equal(all, 64 * MiB / GUEST_PAGE);
	assert_in_range(here, 2, all);
	peer_send(&p, WK_STOP, 1);
	ends(&p, END_STOPPED, NULL);
}

/* All that is said in one go is there before the worker reads the first of it. */
static void say_at_once(const enum wk_op *ops, size_t n)
{
	assert_int_equal(kill(p.pid, SIGSTOP), 0);
	for (uint32_t i = 0; i < n; i++)
		peer_send(&p, ops[i], i);
	assert_int_equal(kill(p.pid, SIGCONT), 0);
}

/* Counting many pages holds up nobody, and each question has its answer. */
static void others_go_on_while_it_counts(void **state)
{
	static const enum wk_op two[] = {WK_QUERY, WK_QUERY, WK_PAUSE}, stop[] = {WK_QUERY, WK_STOP};
	enum wk_op many[24];
	bool answered[ARRAY_LEN(many)] = {0};

	begin(&p, (struct machine_wish){.guest = "halt", .memory = 512 * MiB});
	say_at_once(two, ARRAY_LEN(two));
	peer_expect(&p, WK_STATE);
	assert_int_equal(p.msg.serial, 2);
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t all = 0;

		peer_expect(&p, WK_STATS);
		assert_int_equal(p.msg.serial, i);
		assert_int_equal(p.msg.u.reports.n, 1);
		for (size_t k = 0; k < p.msg.u.reports.reports[0].n; k++)
			all += p.msg.u.reports.reports[0].nodes[k].pages;
		assert_int_equal(all, 512 * MiB / GUEST_PAGE);
	}
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = WK_QUERY;
	say_at_once(many, ARRAY_LEN(many));
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		peer_expect(&p, WK_STATS);
		assert_in_range(p.msg.serial, 0, ARRAY_LEN(many) - 1);
		assert_false(answered[p.msg.serial]);
		answered[p.msg.serial] = true;
	}
	say_at_once(stop, ARRAY_LEN(stop));
	ends(&p, END_STOPPED, NULL);
}

/* A sealed object as memsrv would hand it out: the kernel lands in it and can be seen in it from here. */
static void shared_zone(void **state)
{
	const struct plan_zone z[] = {{.id = "low", .backing = BACKING_MEMFD, .size = 8 * MiB},
				      {.id = "high", .backing = BACKING_ANON, .size = 8 * MiB, .prefault = true}};
	int fd = memfd_create("zone", MFD_ALLOW_SEALING | MFD_CLOEXEC), fds[] = {fd, -1};
	const uint8_t *map;

	assert_int_equal(ftruncate(fd, 8 * MiB), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	begin(&p, (struct machine_wish){.guest = "hello", .n_zones = 2, .zones = z, .zone_fds = fds});
	/* Only what the worker populates itself is reported. */
	assert_int_equal(p.msg.u.reports.n, 1);
	assert_int_equal(p.msg.u.reports.reports[0].zone, 1);
	map = mmap(NULL, 8 * MiB, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_not_equal(map[0x100000], 0);
	peer_send(&p, WK_START, 1);
	peer_expect(&p, WK_STATE);
	ends(&p, END_POWEROFF, "hi");
	munmap((void *)(uintptr_t)map, 8 * MiB);
	close(fd);
}

static struct affinity_spec affinity = {.vcpu = 1};

static void set_affinity(struct wk_msg *m, int *fds, void *arg)
{
	memset(&affinity.host_cpus, 0, sizeof(affinity.host_cpus));
	nodeset_add(&affinity.host_cpus, *(uint32_t *)arg);
	m->u.grant.affinity = &affinity;
	m->u.grant.n_affinity = 1;
}

/* How many of the worker's threads may run on host CPU 0 only. */
static unsigned threads_on_cpu0(void)
{
	char path[64], line[256];
	unsigned n = 0;
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)p.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir))) {
		FILE *f;

		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)p.pid, d->d_name);
		f = fopen(path, "r");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f))
			n += strcmp(line, "Cpus_allowed_list:\t0\n") == 0;
		fclose(f);
	}
	closedir(dir);
	return n;
}

static void pinned_cpu(void **state)
{
	uint32_t cpu = 0;

	begin(&p, (struct machine_wish){.guest = "halt", .vcpus = 2, .spoil = set_affinity, .spoil_arg = &cpu});
	assert_int_equal(threads_on_cpu0(), sysconf(_SC_NPROCESSORS_ONLN) == 1 ? 3 : 1);
	peer_send(&p, WK_STOP, 1);
	ends(&p, END_STOPPED, NULL);
}

static void ends_with_its_broker(void **state)
{
	int status;

	begin_running(&p, "tick");
	status = peer_end(&p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	peer_start(&p, worker_program);
	status = peer_end(&p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

const struct CMUnitTest tests_steer[] = {
    cmocka_unit_test(waits_for_start),
    cmocka_unit_test(pause_one_cpu),
    cmocka_unit_test(pause_four_cpus),
    cmocka_unit_test(stop_while_halted),
    cmocka_unit_test(console_input),
    cmocka_unit_test(console_backlog),
    cmocka_unit_test(console_that_goes_away),
    cmocka_unit_test(console_after_console),
    cmocka_unit_test(serial_to_file),
    cmocka_unit_test(serial_null),
    cmocka_unit_test(reports_pages),
    cmocka_unit_test(others_go_on_while_it_counts),
    cmocka_unit_test(shared_zone),
    cmocka_unit_test(pinned_cpu),
    cmocka_unit_test(pause_at_once),
    cmocka_unit_test(ends_with_its_broker),
};
const size_t n_tests_steer = ARRAY_LEN(tests_steer);
