/* check-host: what this host offers, what is missing, what that costs and what to do about it. Looks only, as its caller. */
#include "client.h"
#include "commands.h"
#include "host_file.h"
#include "parse.h"
#include "print.h"
#include "print_vm.h"
#include "say.h"

#include "bulkhead/fd.h"
#include "host/hostfacts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <linux/kvm.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum verdict {
	VERDICT_OK,
	VERDICT_WEAK, /* works with a loss */
	VERDICT_NO,   /* no VM on this host, for this user */
	VERDICT_INFO, /* an option less or more */
};

struct check {
	const char *name;
	enum verdict verdict;
	char found[256];
	const char *cost; /* what the lack of it means; NULL: nothing lacks */
	const char *remedy;
};

#define CHECKS_MAX      16u
#define BACKEND_PROGRAM "/usr/bin/qemu-storage-daemon" /* as in backend/main.c */

struct checks {
	size_t n;
	struct check c[CHECKS_MAX];
};

static const char *verdict_word(enum verdict v)
{
	switch (v) {
	case VERDICT_OK:
		return "ok";
	case VERDICT_WEAK:
		return "weaker";
	case VERDICT_NO:
		return "missing";
	case VERDICT_INFO:
		return "absent";
	}
	return "unknown";
}

static struct check *add(struct checks *l, const char *name, enum verdict v, const char *cost, const char *remedy)
{
	struct check *c = &l->c[l->n++];

	*c = (struct check){name, v, "", v == VERDICT_OK ? NULL : cost, v == VERDICT_OK ? NULL : remedy};
	return c;
}

/* What the worker cannot do without. */
static const struct {
	unsigned cap;
	const char *name;
} wanted_caps[] = {
    {KVM_CAP_USER_MEMORY, "user memory"},
    {KVM_CAP_EXT_CPUID, "extended CPUID"},
    {KVM_CAP_SET_TSS_ADDR, "TSS address"},
    {KVM_CAP_SET_IDENTITY_MAP_ADDR, "identity map address"},
    {KVM_CAP_IRQ_ROUTING, "interrupt routing"},
    {KVM_CAP_SIGNAL_MSI, "MSI"},
    {KVM_CAP_SPLIT_IRQCHIP, "split interrupt controller (Linux 4.5)"},
    {KVM_CAP_X2APIC_API, "x2APIC (Linux 4.8)"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit (Linux 4.11)"},
};

static void check_kvm(struct checks *l)
{
	CLEANUP(fd_cleanup) int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct check *c;
	size_t used = 0;
	int version;

	if (kvm < 0) {
		c = add(l, "kvm", VERDICT_NO, "no VM can run as this user",
			errno == EACCES ? "join the group of /dev/kvm (usermod -aG kvm USER), or use the broker of this host"
					: "switch on virtualization in the firmware, and load kvm_intel or kvm_amd");
		snprintf(c->found, sizeof(c->found), "/dev/kvm: %s", strerror(errno));
		return;
	}
	version = ioctl(kvm, KVM_GET_API_VERSION, 0);
	c = add(l, "kvm", version == KVM_API_VERSION ? VERDICT_OK : VERDICT_NO, "no VM can run",
		"use a kernel with KVM API version 12");
	snprintf(c->found, sizeof(c->found), "/dev/kvm, API version %d, up to %d vCPUs, %d memory slots", version,
		 ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS), ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS));

	c = add(l, "kvm-features", VERDICT_OK, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(wanted_caps); i++) {
		if (ioctl(kvm, KVM_CHECK_EXTENSION, wanted_caps[i].cap) > 0)
			continue;
		if (used < sizeof(c->found))
			used += (size_t)snprintf(c->found + used, sizeof(c->found) - used, "%s%s", used ? ", " : "lacks ",
						 wanted_caps[i].name);
		c->verdict = VERDICT_NO;
		c->cost = "no VM can run";
		c->remedy = "use a newer kernel";
	}
	if (!used)
		snprintf(c->found, sizeof(c->found), "all %zu that a VM needs", ARRAY_LEN(wanted_caps));
}

/* Tried, because sysctls, security modules and chroots all have a say. */
static void check_userns(struct checks *l)
{
	pid_t child = fork();
	int status = 0;
	struct check *c;
	bool ok;

	if (child == 0)
		_exit(unshare(CLONE_NEWUSER) < 0 ? errno : 0);
	ok = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	c = add(l, "user-namespaces", ok ? VERDICT_OK : VERDICT_WEAK,
		"VMs of unprivileged users run without namespaces and without a uid of their own; a broker started by root uses "
		"the other "
		"namespaces only",
		"sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
		"kernel.apparmor_restrict_unprivileged_userns; they cannot "
		"be made inside a chroot");
	if (ok)
		snprintf(c->found, sizeof(c->found), "this user can make them");
	else
		snprintf(c->found, sizeof(c->found), "refused: %s",
			 child > 0 && WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "no child process");
}

static void check_seccomp(struct checks *l)
{
	CLEANUP(fd_cleanup) int fd = open("/proc/sys/kernel/seccomp/actions_avail", O_RDONLY | O_CLOEXEC);
	char text[256] = "";
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	bool ok = n > 0 && strstr(text, "kill_process");
	struct check *c = add(l, "seccomp", ok ? VERDICT_OK : VERDICT_NO, "no VM is started without its filter",
			      "use a kernel with CONFIG_SECCOMP_FILTER, 4.14 or later");

	snprintf(c->found, sizeof(c->found), ok ? "filters that end the process" : "no filters that end the process");
}

/* Whether a broker has been given one is known only to that broker: it says so in its log. */
static void check_cgroups(struct checks *l)
{
	CLEANUP(fd_cleanup) int fd = open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY | O_CLOEXEC);
	char text[256] = "";
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	bool ok = n > 0 && strstr(text, "pids") && strstr(text, "memory");
	struct check *c =
	    add(l, "cgroups", ok ? VERDICT_OK : VERDICT_WEAK, "the memory of back-ends that the broker starts has no limit",
		"boot with cgroup v2 for all controllers (systemd.unified_cgroup_hierarchy=1)");

	if (ok)
		snprintf(c->found, sizeof(c->found),
			 "version 2 with pids and memory, for a broker with Delegate=yes or --cgroup");
	else
		snprintf(c->found, sizeof(c->found),
			 n < 0 ? "no version 2 at /sys/fs/cgroup" : "version 2 without pids or memory: %.*s",
			 (int)strcspn(text, "\n"), text);
}

static void check_memory(struct checks *l, const struct host_facts *f)
{
	uint64_t total = 0, available = 0;
	struct check *c = add(l, "memory", VERDICT_OK, NULL, NULL);

	for (size_t i = 0; i < f->n_nodes; i++) {
		total += f->nodes[i].mem_total;
		available += f->nodes[i].mem_free;
	}
	snprintf(c->found, sizeof(c->found), "%s on %zu node%s, %s free; guests have %u address bits", people_size(total).s,
		 f->n_nodes, f->n_nodes == 1 ? "" : "s", people_size(available).s, f->phys_bits);
}

static void check_huge(struct checks *l, const struct host_facts *f)
{
	static const char *const names[] = {"hugepages-2M", "hugepages-1G"};
	static const uint64_t sizes[] = {2 * MiB, GiB};

	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		uint64_t total = 0, available = 0;
		bool there = false;
		struct check *c;

		for (size_t i = 0; i < f->n_nodes; i++)
			for (size_t k = 0; k < f->nodes[i].n_huge; k++) {
				if (f->nodes[i].huge[k].page_size != sizes[s])
					continue;
				there = true;
				total += f->nodes[i].huge[k].total;
				available += f->nodes[i].huge[k].free;
			}
		c = add(l, names[s], total ? VERDICT_OK : VERDICT_INFO, "hugepages=on with this page size is refused",
			s == 0 ? "echo PAGES > /sys/devices/system/node/nodeN/hugepages/hugepages-2048kB/nr_hugepages"
			       : "boot with hugepagesz=1G hugepages=PAGES, or write nr_hugepages of hugepages-1048576kB early");
		if (there)
			snprintf(c->found, sizeof(c->found), "%" PRIu64 " pages, %" PRIu64 " free", total, available);
		else
			snprintf(c->found, sizeof(c->found), "the kernel or the processor does not have this size");
	}
}

static void check_options(struct checks *l, const struct host_facts *f)
{
	bool thp = f->thp[0] && strcmp(f->thp, "never") != 0;
	struct check *c =
	    add(l, "thp", thp ? VERDICT_OK : VERDICT_INFO, "thp=on has no effect: more page faults, more TLB misses",
		"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");

	snprintf(c->found, sizeof(c->found), "enabled=%s, shmem_enabled=%s", f->thp[0] ? f->thp : "?",
		 f->shmem_thp[0] ? f->shmem_thp : "?");
	c = add(l, "ksm", f->ksm_running ? VERDICT_OK : VERDICT_INFO, "mergeable=on merges nothing",
		"echo 1 > /sys/kernel/mm/ksm/run");
	snprintf(c->found, sizeof(c->found), f->ksm_running ? "running" : "not running");
	c = add(l, "sgx", f->has_vepc ? VERDICT_OK : VERDICT_INFO, "--sgx-epc is refused",
		"needs a processor with SGX switched on in the firmware, and CONFIG_X86_SGX_KVM");
	snprintf(c->found, sizeof(c->found), f->has_vepc ? "/dev/sgx_vepc" : "no /dev/sgx_vepc");
}

/* Whether there is a broker for this user, and what `--disk path=` runs. */
static bool check_programs(struct checks *l)
{
	const char *path = ctl_socket_path(NULL);
	bool there = access(path, R_OK | W_OK) == 0; /* a connection would have systemd start it */
	int reason = there ? 0 : errno;
	bool disk = access(BACKEND_PROGRAM, X_OK) == 0;
	struct check *c;

	c = add(l, "broker", there ? VERDICT_OK : VERDICT_INFO,
		"only run works, and its VM ends with it; create and all that follows need a broker that stays",
		"systemctl start bulkhead.socket, or bulkhead-broker(8); a socket that is not open to you: join its group");
	if (there)
		snprintf(c->found, sizeof(c->found), "its socket is %s", path);
	else
		snprintf(c->found, sizeof(c->found), "%s: %s", path, strerror(reason));
	c = add(l, "disk-images", disk ? VERDICT_OK : VERDICT_INFO, "--disk path= is refused; disks of vhost-user daemons work",
		"apt-get install qemu-system-common");
	snprintf(c->found, sizeof(c->found), "%s%s", disk ? "" : "no ", BACKEND_PROGRAM);
	return there;
}

static void print_checks(const struct checks *l, bool usable)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct check *c = &l->c[i];

		printf("%-16s %-8s %s\n", c->name, verdict_word(c->verdict), c->found);
		if (c->cost)
			printf("%26sso: %s\n%26sdo: %s\n", "", c->cost, "", c->remedy);
	}
	puts(usable ? "\nVMs can run here." : "\nNo VM can run here.");
}

static void print_nodes(const struct host_facts *f)
{
	struct table t = {.n_columns = 7, .right = 0x3d};

	TABLE_ROW(&t, "NODE", "CPUS", "MEMORY", "FREE", "2M PAGES FREE", "1G PAGES FREE", "DISTANCES");
	for (size_t i = 0; i < f->n_nodes; i++) {
		const struct host_node *n = &f->nodes[i];
		char id[16], pages[2][48] = {"-", "-"}, distances[128] = "";
		size_t used = 0;

		snprintf(id, sizeof(id), "%" PRIu32, n->id);
		for (size_t k = 0; k < n->n_huge; k++)
			snprintf(pages[n->huge[k].page_size == GiB], sizeof(pages[0]), "%" PRIu64 " of %" PRIu64, n->huge[k].free,
				 n->huge[k].total);
		for (size_t k = 0; k < f->n_nodes && used < sizeof(distances); k++)
			used +=
			    (size_t)snprintf(distances + used, sizeof(distances) - used, "%s%u", k ? " " : "", n->distance[k]);
		TABLE_ROW(&t, id, people_set(&n->cpus).s, people_size(n->mem_total).s, people_size(n->mem_free).s, pages[0],
			  pages[1], distances);
	}
	puts("");
	table_print(&t, stdout);
}

static int print_json(const struct checks *l, const struct host_facts *f, bool usable)
{
	struct json_object *o = json_object_new_object(), *a;

	json_object_object_add(o, "host", host_facts_json(f));
	a = json_add_array(o, "checks");
	for (size_t i = 0; i < l->n; i++) {
		struct json_object *c = json_append_object(a);

		json_add_str(c, "name", l->c[i].name);
		json_add_str(c, "verdict", verdict_word(l->c[i].verdict));
		json_add_str(c, "found", l->c[i].found);
		json_add_str(c, "cost", l->c[i].cost);
		json_add_str(c, "remedy", l->c[i].remedy);
	}
	json_add_bool(o, "usable", usable);
	return json_print(o);
}

static const char help_text[] =
    "usage: bulkhead check-host [--json]\n\n"
    "Shows what this host offers to VMs of the user who asks, what is missing, what that costs and what to do.\n\n"
    "  --json          print one JSON object: host (what 'bulkhead plan --host' reads), checks, usable\n\n"
    "Exit status: 0 VMs can run here, 1 they cannot.";

/* -1: go on; otherwise the exit code. */
static int read_flags(int argc, char **argv, bool *ret_json)
{
	static uint8_t buf[4 * KiB];
	static struct diags ds;
	struct arena arena = arena_over(buf, sizeof(buf));
	struct parse_extra extra = {0};
	bool want_help = false;
	const struct own_flag own[] = {{"--json", ret_json, NULL}, {"--help", &want_help, NULL}};

	parse_args(argc - 1, argv + 1, own, ARRAY_LEN(own), &arena, NULL, &extra, &ds);
	if (want_help)
		return puts(help_text), EXIT_OK;
	if (extra.n_positional)
		diag_add(&ds, DIAG_ERROR, argv[0], extra.positional[0], "leave it out", "one argument too many");
	if (ds.n_errors == 0)
		return -1;
	say_failure(&(struct say){argv[0], *ret_json, false}, &ds, NULL);
	return EXIT_CONFIG;
}

int cmd_check_host(int argc, char **argv)
{
	static struct host_facts facts;
	static struct checks l;
	bool json = false, usable = true, broker;
	struct err e = {0};
	int rc = read_flags(argc, argv, &json);

	if (rc >= 0)
		return rc;
	if (host_facts_read(HOST_ROOT_REAL, &facts, &e) < 0) {
		say_failure(&(struct say){argv[0], json, false}, NULL, e.text);
		return EXIT_REFUSED;
	}
	check_kvm(&l);
	check_seccomp(&l);
	check_userns(&l);
	check_cgroups(&l);
	check_memory(&l, &facts);
	check_huge(&l, &facts);
	check_options(&l, &facts);
	broker = check_programs(&l);
	/* Who may talk to a broker needs no /dev/kvm of his own. */
	if (broker && l.c[0].verdict == VERDICT_NO && access("/dev/kvm", F_OK) == 0 && access("/dev/kvm", R_OK | W_OK) < 0) {
		l.c[0].verdict = VERDICT_INFO;
		l.c[0].cost = "VMs by the broker of this host only; this user cannot run one of his own";
		l.c[0].remedy = "nothing, or join the group of /dev/kvm (usermod -aG kvm USER)";
	}
	for (size_t i = 0; i < l.n; i++)
		usable = usable && l.c[i].verdict != VERDICT_NO;
	if (json) {
		if (print_json(&l, &facts, usable) < 0)
			return EXIT_REFUSED;
	} else {
		print_checks(&l, usable);
		print_nodes(&facts);
	}
	return usable ? EXIT_OK : EXIT_REFUSED;
}
