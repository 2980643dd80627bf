#include "child.h"

#include "bulkhead/fd.h"

#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_FREE 10 /* descriptors that the child's own 0 to 3 must not land on */

void child_must(bool ok, const char *what)
{
	if (!ok)
		err(99, "%s", what);
}

static void set_limits(const struct process_rights *r)
{
	for (size_t i = 0; i < r->n_limits; i++) {
		struct rlimit now, want = {r->limits[i].value, r->limits[i].value};

		child_must(getrlimit((__rlimit_resource_t)r->limits[i].resource, &now) == 0, "getrlimit");
		if (now.rlim_max < want.rlim_max)
			want.rlim_cur = want.rlim_max = now.rlim_max;
		child_must(setrlimit((__rlimit_resource_t)r->limits[i].resource, &want) == 0, "setrlimit");
	}
}

static _Noreturn void become(int program, int channel, const struct process_rights *r, uid_t uid)
{
	int null = open("/dev/null", O_RDWR);

	child_must(null >= 0, "/dev/null");
	child_must(dup2(channel, 3) == 3, "dup2");
	for (int i = 0; i < 3; i++)
		child_must(dup2(null, i) == i, "dup2");
	set_limits(r);
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		child_must(prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0, "bounding set");
	child_must(setgroups(0, NULL) == 0, "setgroups");
	child_must(setresgid(uid, uid, uid) == 0, "setresgid");
	child_must(setresuid(uid, uid, uid) == 0, "setresuid");
	child_must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	child_must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "pdeathsig");
	child_must(syscall(SYS_close_range, 4, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */) == 0, "close_range");
	syscall(SYS_execveat, program, "", (char *[]){(char *)(uintptr_t)r->name, NULL}, (char *[]){NULL}, AT_EMPTY_PATH);
	err(99, "execveat");
}

pid_t child_start(const char *program, const struct process_rights *rights, uid_t uid, int *ret_channel)
{
	CLEANUP(fd_cleanup) int fd = open(program, O_RDONLY | O_CLOEXEC);
	CLEANUP(fd_cleanup) int theirs = -1;
	CLEANUP(fd_cleanup) int high = -1;
	int pair[2];
	pid_t pid;

	child_must(fd >= 0, program);
	high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE);
	child_must(high >= 0, "dup");
	child_must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, FIRST_FREE);
	close(pair[1]);
	child_must(theirs >= 0, "dup");
	pid = fork();
	child_must(pid >= 0, "fork");
	if (pid == 0)
		become(high, theirs, rights, uid);
	*ret_channel = pair[0];
	return pid;
}
