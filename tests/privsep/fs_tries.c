/* Stands in for virtiofsd in the box of one that serves a directory, where the real library closes it in: tries what a captured
 * one would, one thing that has to kill it, or all that has to fail. What came of it is in the directory, file "found". */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SELF      4
#define DIRECTORY 5
#define LISTENER  6

static int out;

static void say(const char *what, long r)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "%s %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");

	if (write(out, text, (size_t)n) != n)
		_exit(9);
}

static long open_at(int dir, const char *path, int flags)
{
	return syscall(SYS_openat, dir, path, flags, 0);
}

/* Is it the directory itself, or something above it? */
static void say_where(const char *what, int dir, const char *path)
{
	struct stat here, there;
	int fd = (int)open_at(dir, path, O_PATH | O_DIRECTORY);

	if (fd < 0 || fstat(DIRECTORY, &here) < 0 || fstat(fd, &there) < 0)
		say(what, -1);
	else
		say(what, here.st_ino == there.st_ino && here.st_dev == there.st_dev ? 0 : (errno = EXDEV, -1));
}

static void mild(void)
{
	char path[32];
	int inner;

	say("passwd", open_at(AT_FDCWD, "/etc/passwd", O_RDONLY));
	say("usr", open_at(AT_FDCWD, "/usr", O_PATH));
	say("proc", open_at(AT_FDCWD, "/proc", O_PATH));
	say("link", open_at(DIRECTORY, "link", O_RDONLY));
	say_where("up", DIRECTORY, "..");
	say_where("root-up", AT_FDCWD, "/..");
	say("self-up", open_at(SELF, "../status", O_RDONLY));
	say("self-up-up", open_at(SELF, "../../version", O_PATH));
	say("self-up-root", open_at(SELF, "../root/etc", O_PATH));
	say("theirs", open_at(DIRECTORY, "theirs", O_RDONLY));
	say("theirs-write", open_at(DIRECTORY, "theirs", O_WRONLY));
	say("device", open_at(DIRECTORY, "null", O_RDWR));
	say("own-closed", open_at(DIRECTORY, "closed", O_RDWR)); /* mode 0: its owner's all the same */
	say("setuid", syscall(SYS_setresuid, -1, 1000, -1));
	say("setgid", syscall(SYS_setresgid, -1, 1000, -1));
	say("chown", syscall(SYS_fchownat, DIRECTORY, "mine", 1000, 1000, 0));
	say("chown-theirs", syscall(SYS_fchownat, DIRECTORY, "theirs", 0, 0, 0));
	say("chmod-theirs", syscall(SYS_fchmodat, DIRECTORY, "theirs", 0777));
	/* A directory that somebody moves out while it is open here. */
	inner = (int)open_at(DIRECTORY, "inner", O_PATH | O_DIRECTORY);
	say("inner", inner);
	if (mkdirat(DIRECTORY, "move-it", 0700) < 0)
		_exit(9);
	while (open_at(DIRECTORY, "moved", O_PATH) < 0)
		sched_yield();
	say("moved-list", open_at(inner, ".", O_RDONLY | O_DIRECTORY));
	say("moved-up", open_at(inner, "../secret", O_RDONLY));
	say("moved-make", mkdirat(inner, "made", 0700));
	snprintf(path, sizeof(path), "%d/../secret", inner);
	say("moved-self", open_at(SELF, path, O_RDONLY));
}

static void kill_me(const char *what)
{
	static char *const none[] = {NULL};

	if (strcmp(what, "socket") == 0)
		syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	else if (strcmp(what, "inet") == 0)
		syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	else if (strcmp(what, "connect") == 0)
		syscall(SYS_connect, LISTENER, NULL, 0);
	else if (strcmp(what, "exec") == 0)
		syscall(SYS_execveat, DIRECTORY, "program", none, none, 0);
	else if (strcmp(what, "fork") == 0)
		syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	else if (strcmp(what, "userns") == 0)
		syscall(SYS_unshare, CLONE_NEWUSER);
	else if (strcmp(what, "chroot") == 0)
		syscall(SYS_chroot, "inner");
	else if (strcmp(what, "mount") == 0)
		syscall(SYS_mount, "none", "/inner", "tmpfs", 0, NULL);
	else if (strcmp(what, "ptrace") == 0)
		syscall(SYS_ptrace, PTRACE_ATTACH, 1, 0, 0);
	else if (strcmp(what, "signal") == 0)
		syscall(SYS_kill, -1, 0);
	else if (strcmp(what, "code") == 0)
		syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, DIRECTORY, 0);
	else if (strcmp(what, "setuid-file") == 0)
		syscall(SYS_openat, DIRECTORY, "bad", O_CREAT | O_WRONLY, 04755);
	else if (strcmp(what, "setuid-mode") == 0)
		syscall(SYS_fchmodat, DIRECTORY, "mine", 04755);
	else if (strcmp(what, "block-device") == 0)
		syscall(SYS_mknodat, DIRECTORY, "sda", S_IFBLK | 0600, 8 << 8);
	else if (strcmp(what, "capability") == 0)
		syscall(SYS_capset, NULL, NULL);
	else if (strcmp(what, "xattr") == 0)
		syscall(SYS_fsetxattr, DIRECTORY, "user.x", "y", 1, 0);
	else if (strcmp(what, "ring") == 0)
		syscall(SYS_io_uring_setup, 1, NULL);
	else
		say("unknown", 0);
	say(what, 0);
}

int main(void)
{
	char what[64] = "";
	int fd = (int)open_at(DIRECTORY, "try", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, what, sizeof(what) - 1);

	out = (int)syscall(SYS_openat, DIRECTORY, "found", O_CREAT | O_WRONLY | O_TRUNC, 0644);
	if (n < 0 || out < 0)
		_exit(7);
	if (strcmp(what, "all") == 0)
		mild();
	else
		kill_me(what);
	say("end", 0);
	for (;;) /* until it is looked at, and killed */
		sched_yield();
}
