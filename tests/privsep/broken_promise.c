/* Sets a process up as the spawner would, but for what the arguments name, and executes the probe. Run by root.
 * argv: descriptor of the channel, program, what to break ... */
#include "bulkhead/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UID    0x70000001u
#define NOFILE 1024

static char **breaks;

static bool broken(const char *what)
{
	for (char **b = breaks; *b; b++)
		if (strcmp(*b, what) == 0)
			return true;
	return false;
}

static void check(long r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, strerrordesc_np(errno));
		_exit(90);
	}
}

static void limit(__rlimit_resource_t resource, rlim_t value)
{
	struct rlimit l = {value, value}, now;

	check(getrlimit(resource, &now), "getrlimit");
	if (now.rlim_max < value)
		l.rlim_cur = l.rlim_max = now.rlim_max;
	check(setrlimit(resource, &l), "setrlimit");
}

static void descriptors(int channel)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	check(null, "/dev/null");
	if (channel != 3)
		check(dup2(channel, 3), "channel");
	fcntl(3, F_SETFD, 0);
	if (broken("fd-900"))
		check(dup2(null, 900), "900");
	for (int fd = 0; fd < 3; fd++)
		if (fd != null)
			check(dup2(null, fd), "dup2");
	check(syscall(SYS_close_range, 4u, 899u, 0), "close_range");
	if (broken("fd-4"))
		check(dup2(0, 4), "4");
	if (broken("path-4")) {
		int path = open("/", O_PATH | O_CLOEXEC);

		check(path, "O_PATH");
		check(dup2(path, 4), "4");
	}
	if (broken("no-fd-2"))
		close(2);
}

static void limits(void)
{
	if (!broken("limit-core"))
		limit(RLIMIT_CORE, 0);
	else
		limit(RLIMIT_CORE, 4096);
	limit(RLIMIT_MEMLOCK, 0);
	limit(RLIMIT_NOFILE, broken("limit-nofile") ? NOFILE + 1 : NOFILE);
	limit(RLIMIT_FSIZE, 1u << 30);
	limit(RLIMIT_MSGQUEUE, 0);
	limit(RLIMIT_RTPRIO, 0);
	limit(RLIMIT_NICE, 0);
	limit(RLIMIT_STACK, 8 << 20);
}

static void ids(void)
{
	gid_t gid = broken("gid") ? UID + 1 : UID;
	uid_t real = broken("real-uid") ? UID + 1 : UID;

	check(syscall(SYS_setgroups, 0, NULL), "setgroups");
	if (broken("root"))
		return;
	if (broken("capability"))
		check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS");
	check(setresgid(gid, gid, gid), "setresgid");
	check(setresuid(real, UID, UID), "setresuid");
}

/* An ambient capability survives execve without being in any file. */
static void keep_a_capability(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {
	    {.effective = 1 << CAP_NET_RAW, .permitted = 1 << CAP_NET_RAW, .inheritable = 1 << CAP_NET_RAW}};

	check(syscall(SYS_capset, &h, d), "capset");
	check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0), "PR_CAP_AMBIENT_RAISE");
}

int main(int argc, char **argv)
{
	char *const empty[] = {NULL};
	char *name[] = {(char *)(uintptr_t) "bulkhead-worker", NULL};
	int program;

	if (argc < 3)
		return 2;
	breaks = argv + 3;
	program = open(argv[2], O_RDONLY | O_CLOEXEC);
	check(program, argv[2]);
	check(fcntl(program, F_DUPFD_CLOEXEC, 950), "program");
	descriptors((int)strtol(argv[1], NULL, 10));
	for (int c = 0; !broken("bounding") && prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (!(broken("capability") && c == CAP_NET_RAW))
			check(prctl(PR_CAPBSET_DROP, c, 0, 0, 0), "PR_CAPBSET_DROP");
	limits();
	ids();
	if (broken("capability"))
		keep_a_capability();
	if (!broken("no-new-privs"))
		check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
	if (!broken("death"))
		check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG");
	check(syscall(SYS_execveat, 950, "", name, empty, AT_EMPTY_PATH), "execveat");
	return 91;
}
