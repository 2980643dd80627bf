/* The spawner gives its own rights away, and finds out how much isolation this kernel grants. */
#include "spawner.h"

#include "bulkhead/fd.h"
#include "policy/lockdown.h"
#include "policy/shed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP_BIT(c) (UINT64_C(1) << (c))

static uint64_t own_capabilities(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return 0;
	return d[0].effective | (uint64_t)d[1].effective << 32;
}

static int write_text(const char *path, const char *text)
{
	CLEANUP(fd_cleanup) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* An ordinary user: a user namespace around the spawner, so that it may have a mount namespace with an empty root. */
static int enter_userns(const struct spawner_self *s)
{
	char map[64];
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	r = write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1\n", s->gid, s->gid);
	if (r == 0)
		r = write_text("/proc/self/gid_map", map);
	snprintf(map, sizeof(map), "%u %u 1\n", s->uid, s->uid);
	if (r == 0)
		r = write_text("/proc/self/uid_map", map);
	return r;
}

/* A file system with nothing in it, or, for back-ends, with places for what roots.c puts there: as its owner, who may have no
 * right to pass over modes. It is made read-only later. */
static int new_fs(enum spawn_family family, struct err *e)
{
	bool empty = family == SPAWN_VMS;
	CLEANUP(fd_cleanup) int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return err_sys(e, -errno, "fsopen tmpfs");
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", empty ? "0555" : "0755", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", empty ? "4k" : "1m", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "nr_inodes", empty ? "1" : "8", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, -errno, "empty file system");
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			  empty ? MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC : 0);
	return fd < 0 ? err_sys(e, -errno, "fsmount") : fd;
}

/* A mount namespace in which a read-only directory is all there is: an empty one, or one that holds /usr. Children copy it, which
 * is one mount to copy, or three. Where the current root cannot be moved away (a chroot, a root on rootfs), the new directory
 * becomes the root by chroot, and the rest of the namespace stays out of reach but present. */
static int new_root(const struct spawner_self *s, struct err *e)
{
	CLEANUP(fd_cleanup) int fd = -1, usr = -1, proc = -1;
	struct root_parts parts;
	bool attached;
	int r = 0;

	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, -errno, "own mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 && errno != EINVAL) /* EINVAL: "/" is no mount (chroot) */
		return err_sys(e, -errno, "private mounts");
	if (s->family == SPAWN_BACKENDS) {
		r = spawner_take_parts(s->proc >= 0, &parts, e);
		if (r < 0)
			return r;
		usr = parts.usr;
		proc = parts.proc;
	}
	fd = new_fs(s->family, e);
	if (fd < 0)
		return fd;
	attached = syscall(SYS_move_mount, fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0;
	if (usr >= 0)
		r = attached ? spawner_fill_root(fd, &parts, s->preload, e) : err_sys(e, -errno, "a root for back-ends");
	if (r < 0)
		return r;
	if (attached && fchdir(fd) == 0 && syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0)
			return err_sys(e, -errno, "detaching the old root");
	} else if (fchdir(fd) < 0 || chroot(".") < 0) {
		return err_sys(e, -errno, "empty root");
	}
	return (proc < 0 ? chdir("/") : fchdir(proc)) < 0 ? err_sys(e, -errno, "chdir") : 0;
}

static int leave_at_once(void *arg)
{
	_exit(0);
}

/* Can a user namespace be made here? The reason for a no is only known by trying. */
static int probe_userns(void)
{
	static char stack[8192] __attribute__((aligned(16)));
	pid_t pid = clone(leave_at_once, stack + sizeof(stack), CLONE_NEWUSER | CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);

	if (pid < 0)
		return -errno;
	waitpid(pid, NULL, 0);
	return 0;
}

static const char *why_refused(int r)
{
	switch (-r) {
	case ENOSPC:
	case EUSERS:
		return "the limit /proc/sys/user/max_user_namespaces is reached";
	case EPERM:
	case EACCES:
		return "the kernel's security settings forbid them, or this is a chroot";
	case ENOENT:
		return "there is no /proc here";
	case EINVAL:
	case ENOSYS:
		return "the kernel is built without them";
	default:
		return strerrordesc_np(-r);
	}
}

static int confine_root(struct spawner_self *s, char *text, size_t len, struct err *e)
{
	int r = new_root(s, e);

	if (r < 0)
		return r;
	r = s->proc < 0 ? -ENOENT : probe_userns();
	if (r == 0) {
		s->isolation = ISOLATION_FULL;
		snprintf(text, len, "full");
		return 0;
	}
	s->isolation = ISOLATION_NO_USERNS;
	snprintf(
	    text, len,
	    "no user namespaces: %s. Each process of a VM still has its own user id, an empty root and its other namespaces, but "
	    "the spawner keeps the capabilities to make them (sys_admin, kill)",
	    why_refused(r));
	return 0;
}

static int confine_user(struct spawner_self *s, char *text, size_t len, struct err *e)
{
	int r = s->proc < 0 ? -ENOENT : enter_userns(s);

	if (r == 0) {
		s->isolation = ISOLATION_OWN_UID;
		snprintf(
		    text, len,
		    "full, but the processes of all your VMs run under your own user id %u (only root can give each its own)",
		    s->uid);
		return new_root(s, e);
	}
	if (s->family == SPAWN_BACKENDS) /* somebody else's program in the user's own files and network: no */
		return err_set(e, r, "no user namespaces: %s", why_refused(r));
	s->isolation = ISOLATION_NONE;
	snprintf(
	    text, len,
	    "no user namespaces: %s. The processes of a VM share your user id %u and your view of files, network and processes; "
	    "what holds them is the system call filter, the resource limits and no_new_privs",
	    why_refused(r), s->uid);
	return 0;
}

int spawner_confine(struct spawner_self *s, char *text, size_t len, struct err *e)
{
	uint64_t needed = CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID),
		 fallback = needed | CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_KILL);
	bool backends = s->family == SPAWN_BACKENDS;
	const struct process_rights *rights = backends ? PROCESS_BACKEND_SPAWNER : PROCESS_SPAWNER;
	uint64_t keep = 0;
	int r;

	s->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	s->uid = geteuid();
	s->gid = getegid();
	if ((own_capabilities() & fallback) == fallback)
		r = confine_root(s, text, len, e);
	else
		r = confine_user(s, text, len, e);
	if (r < 0)
		return r;
	if (s->isolation == ISOLATION_FULL)
		keep = needed;
	if (s->isolation == ISOLATION_NO_USERNS) {
		keep = fallback;
		rights = backends ? PROCESS_BACKEND_SPAWNER_WITHOUT_USERNS : PROCESS_SPAWNER_WITHOUT_USERNS;
	}
	r = shed_limits(rights, e);
	if (r == 0)
		r = shed_capabilities(keep, e);
	if (r == 0)
		r = lockdown_enter(rights, e);
	return r;
}
