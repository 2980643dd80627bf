/* How long from starting a program to the first byte of its guest's serial line, and what an idle VM costs in memory: this
 * product, with and without a running broker, against the least possible KVM program and against QEMU's microvm, all with the
 * same guest. The ways take turns (A B C D A B C D ...), so that whatever else the machine does meets all of them alike. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "start.h"

#define RUNS_MAX      1001
#define PATIENCE_MS   20000
#define SETTLE_MS     500
#define TIMED_CMDLINE "once quiet verify=off speed=off cpus=1"
#define IDLE_CMDLINE  "quiet verify=off speed=off cpus=1"

extern char **environ;

static struct way ways[WAYS] = {
    [BARE] = {.name = "bare"},
    [WITH_BROKER] = {.name = "bulkhead"},
    [PRIVATE] = {.name = "bulkhead --private"},
    [QEMU] = {.name = "qemu microvm"},
};
static char bulkhead_path[4096], broker_path[4096], probe_path[4096], bare_path[4096], socket_path[96];
static const char *qemu_path = "qemu-system-x86_64";
static struct start_conf conf = {.runs = 21, .memory_mib = 128};
static pid_t broker;

static void build_argv(enum way_id w, const char *cmdline, char *argv[32])
{
	static char mem[32], mib[16];
	unsigned n = 0;

#define A(s) (argv[n++] = (char *)(uintptr_t)(s))
	snprintf(mem, sizeof(mem), "size=%uM", conf.memory_mib);
	snprintf(mib, sizeof(mib), "%u", conf.memory_mib);
	switch (w) {
	case BARE:
		A(bare_path), A(probe_path), A(cmdline), A(mib);
		break;
	case WITH_BROKER:
		A(bulkhead_path), A("run"), A("--socket"), A(socket_path), A("--memory"), A(mem), A("--cmdline"), A(cmdline);
		break;
	case PRIVATE:
		A(bulkhead_path), A("run"), A("--private"), A("--memory"), A(mem), A("--cmdline"), A(cmdline);
		break;
	case QEMU:
		A(qemu_path), A("-M"), A("microvm,x-option-roms=off,isa-serial=on,pit=off,pic=off,rtc=off,acpi=on");
		A("-accel"), A("kvm"), A("-cpu"), A(conf.qemu_cpu), A("-m"), A(mib), A("-smp"), A("1"), A("-nodefaults"),
		    A("-no-user-config");
		A("-display"), A("none"), A("-no-reboot"), A("-serial"), A("stdio"), A("-kernel"), A(probe_path), A("-append"),
		    A(cmdline);
		break;
	case WAYS:
		break;
	}
#undef A
	argv[n] = NULL;
}

static void give_up(struct way *w, const char *what, const char *said)
{
	snprintf(w->why, sizeof(w->why), "%s: %.200s", what, said);
	for (char *p = w->why; *p; p++)
		if (*p == '\n' || *p == '"' || *p == '\\')
			*p = ' ';
}

/* One run from the start to the guest's own power-off. */
static void time_once(enum way_id id, unsigned run)
{
	struct way *w = &ways[id];
	char *argv[32], said[8192] = "";
	struct child c;
	size_t len = 0;
	double t0, first, deadline;
	int status;
	bool came;

	build_argv(id, TIMED_CMDLINE, argv);
	if (!child_start(argv, &c, &t0)) {
		give_up(w, argv[0], strerror(errno));
		return;
	}
	deadline = t0 + PATIENCE_MS;
	came = child_read(c.out, "T", deadline, said, sizeof(said), &len);
	first = now_ms() - t0;
	if (came)
		came = child_read(c.out, NULL, deadline, said, sizeof(said), &len);
	status = child_finish(c.pid, came ? deadline : now_ms());
	w->first[run] = first;
	w->whole[run] = now_ms() - t0;
	close(c.in);
	close(c.out);
	if (!came || said[0] != 'T' || !strstr(said, "\n1.."))
		give_up(w, "no whole report", said);
	else if (status != 0)
		give_up(w, "did not end well", strrchr(said, '#') ? strrchr(said, '#') : said);
}

/* One idle VM, its processes looked at. */
static void weigh(enum way_id id)
{
	struct way *w = &ways[id];
	char *argv[32], said[8192] = "";
	struct child c;
	size_t len = 0;
	double t0;

	build_argv(id, IDLE_CMDLINE, argv);
	if (!child_start(argv, &c, &t0)) {
		give_up(w, argv[0], strerror(errno));
		return;
	}
	if (!child_read(c.out, "probe> ", t0 + PATIENCE_MS, said, sizeof(said), &len)) {
		give_up(w, "did not become idle", said);
	} else {
		sleep_ms(SETTLE_MS);
		w->n_procs =
		    pss_collect((pid_t[]){c.pid, broker}, id == WITH_BROKER ? 2 : 1, conf.memory_mib * MiB / 2, w->procs);
		if (w->n_procs < 0)
			give_up(w, "cannot read smaps", strerror(errno));
	}
	kill(c.pid, SIGTERM);
	child_finish(c.pid, now_ms() + 3000);
	close(c.in);
	close(c.out);
}

static bool start_broker(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char *argv[] = {broker_path, (char[]){"--socket"}, socket_path, NULL};
	int err, fd;

	snprintf(socket_path, sizeof(socket_path), "/tmp/bench_start.%d.sock", getpid());
	memcpy(sa.sun_path, socket_path, strlen(socket_path) + 1);
	err = posix_spawn(&broker, broker_path, NULL, NULL, argv, environ);
	if (err) {
		broker = 0;
		give_up(&ways[WITH_BROKER], broker_path, strerror(err));
		return false;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	for (unsigned i = 0; fd >= 0 && i < 500; i++) {
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
			close(fd);
			return true;
		}
		sleep_ms(10);
	}
	if (fd >= 0)
		close(fd);
	give_up(&ways[WITH_BROKER], "the broker does not listen on", socket_path);
	return false;
}

static void stop_broker(void)
{
	if (broker > 0) {
		kill(broker, SIGTERM);
		child_finish(broker, now_ms() + 5000);
		unlink(socket_path);
	}
	broker = 0;
}

/* Some KVMs refuse a register that QEMU sets for `host`; the first model that runs is taken. */
static void choose_qemu_cpu(void)
{
	static const char *const models[] = {"host", "host,-arch-capabilities", "kvm64"};

	for (unsigned i = 0; !conf.qemu_cpu && i < ARRAY_LEN(models); i++) {
		ways[QEMU].why[0] = 0;
		conf.qemu_cpu = models[i];
		time_once(QEMU, 0);
		if (ways[QEMU].why[0])
			conf.qemu_cpu = NULL;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int usage(FILE *f)
{
	fputs(
	    "usage: bench_start [--bin DIR] [--runs N] [--memory MIB] [--only WAY]... [--qemu PATH] [--qemu-cpu MODEL] [--json]\n"
	    "  --bin DIR     where bulkhead is; the others in DIR/../libexec/bulkhead [default: /usr/bin]\n"
	    "  --only WAY    bare, broker, private or qemu; may be repeated\n",
	    f);
	return f == stdout ? 0 : 2;
}

/* The bare program lies beside this one in the build tree, the guest near it. */
static void find_neighbours(void)
{
	char self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = 0;
	slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	snprintf(bare_path, sizeof(bare_path), "%s/bare", self);
	snprintf(probe_path, sizeof(probe_path), "%s/../guest/probe.elf", self);
}

static bool only(const char *name)
{
	static const char *const names[WAYS] = {"bare", "broker", "private", "qemu"};
	static bool first = true;
	bool known = false;

	for (unsigned i = 0; i < WAYS; i++) {
		if (first)
			ways[i].off = true;
		if (!strcmp(name, names[i])) {
			ways[i].off = false;
			known = true;
		}
	}
	first = false;
	return known;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"bin", 1, NULL, 'b'},  {"runs", 1, NULL, 'r'}, {"memory", 1, NULL, 'm'},
						{"only", 1, NULL, 'o'}, {"qemu", 1, NULL, 'q'}, {"qemu-cpu", 1, NULL, 'c'},
						{"json", 0, NULL, 'j'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *bin = "/usr/bin";
	bool json = false, all = true;

	find_neighbours();
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;)
		if (o == 'b')
			bin = optarg;
		else if (o == 'r')
			conf.runs = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'm')
			conf.memory_mib = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'q')
			qemu_path = optarg;
		else if (o == 'c')
			conf.qemu_cpu = optarg;
		else if (o == 'j')
			json = true;
		else if (o == 'h')
			return usage(stdout);
		else if (o != 'o' || !only(optarg))
			return usage(stderr);
	if (optind != argc || conf.runs < 1 || conf.runs > RUNS_MAX || conf.memory_mib < 16 || conf.memory_mib > 2048)
		return usage(stderr);
	snprintf(bulkhead_path, sizeof(bulkhead_path), "%.2000s/bulkhead", bin);
	snprintf(broker_path, sizeof(broker_path), "%.2000s/../libexec/bulkhead/bulkhead-broker", bin);
	signal(SIGPIPE, SIG_IGN);
	if (!ways[QEMU].off)
		choose_qemu_cpu();
	if (!ways[WITH_BROKER].off)
		start_broker();
	for (unsigned r = 0; r < conf.runs; r++)
		for (unsigned w = 0; w < WAYS; w++)
			if (way_good(&ways[w]))
				time_once(w, r);
	for (unsigned w = 0; w < WAYS; w++)
		if (way_good(&ways[w]))
			weigh(w);
	stop_broker();
	for (unsigned w = 0; w < WAYS; w++) {
		qsort(ways[w].first, conf.runs, sizeof(double), by_value);
		qsort(ways[w].whole, conf.runs, sizeof(double), by_value);
		all &= ways[w].off || way_good(&ways[w]);
	}
	if (json)
		print_json(ways, &conf);
	else
		print_table(ways, &conf);
	return all ? 0 : 1;
}
