/* Loaded into virtiofsd before everything else (LD_PRELOAD). The program would close itself in some way into its start, after it
 * has made a thread: it takes hold of its descriptors in /proc, makes the directory its root, puts a filter on and gives
 * capabilities away. Here that is done for it, before its first line and after those of its libraries, in one place and more
 * thoroughly; what it calls for that is answered below. So are a few calls for which the filter could only kill it. */
#include "policy/enclose.h"
#include "policy/lockdown.h"
#include "wire/backend.h"

#include "bulkhead/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

#define TMPFILE 0x400000 /* O_TMPFILE without O_DIRECTORY */
#define NO_BITS (S_ISUID | S_ISGID)

static bool readonly;

__attribute__((constructor)) static void lock_down(void)
{
	static const int fds[] = {0, 1, BACKEND_FD_WORDS, BACKEND_FS_FD_SELF, BACKEND_FS_FD_DIRECTORY, BACKEND_FS_FD_LISTENER};
	struct err e = {0};
	int r = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? err_sys(&e, -errno, "PR_SET_DUMPABLE") : 0;

	readonly = getenv(BACKEND_FS_READONLY);
	syscall(SYS_umask, 0); /* modes are as the guest says */
	if (r == 0)
		r = lockdown_census(fds, ARRAY_LEN(fds), &e);
	if (r == 0)
		r = enclose(BACKEND_FS_FD_DIRECTORY, readonly, &e);
	if (r == 0)
		r = lockdown_filter(readonly ? FILTER_BACKEND_FS_RO : FILTER_BACKEND_FS, &e);
	if (r == 0)
		return;
	if (write(BACKEND_FD_WORDS, e.text, strlen(e.text)) < 0)
		_exit(2);
	_exit(1);
}

/* --- what the program closes itself in by --- */

EXPORTED int chroot(const char *path)
{
	return 0;
}

EXPORTED int chdir(const char *path)
{
	return 0;
}

/* Each thread its own working directory: for extended attributes, which are off. */
EXPORTED int unshare(int flags);

int unshare(int flags)
{
	return 0;
}

/* Supplementary groups: it has none to drop. */
EXPORTED int getgroups(int n, gid_t *groups)
{
	return 0;
}

/* libseccomp */
EXPORTED void *seccomp_init(uint32_t action);
EXPORTED int seccomp_rule_add(void *filter, uint32_t action, int call, unsigned n, ...);
EXPORTED int seccomp_load(void *filter);
EXPORTED void seccomp_release(void *filter);

void *seccomp_init(uint32_t action)
{
	return &readonly; /* anything but NULL */
}

int seccomp_rule_add(void *filter, uint32_t action, int call, unsigned n, ...)
{
	return 0;
}

int seccomp_load(void *filter)
{
	return 0;
}

void seccomp_release(void *filter)
{
}

/* libcap-ng, which would look into /proc. "Has it this one?" is asked before one is given up for a moment: there is none of
 * those. */
EXPORTED int capng_get_caps_process(void);
EXPORTED void *capng_save_state(void);
EXPORTED void capng_restore_state(void **state);
EXPORTED void capng_setpid(int pid);
EXPORTED void capng_clear(int set);
EXPORTED int capng_update(int action, int type, unsigned cap);
EXPORTED int capng_updatev(int action, int type, unsigned cap, ...);
EXPORTED int capng_apply(int set);
EXPORTED int capng_have_capability(int which, unsigned cap);

int capng_get_caps_process(void)
{
	return 0;
}

void *capng_save_state(void)
{
	return calloc(1, 1); /* the program frees it at its end */
}

void capng_restore_state(void **state)
{
	free(*state);
	*state = NULL;
}

void capng_setpid(int pid)
{
}

void capng_clear(int set)
{
}

int capng_update(int action, int type, unsigned cap)
{
	return 0;
}

int capng_updatev(int action, int type, unsigned cap, ...)
{
	return 0;
}

int capng_apply(int set)
{
	return 0;
}

int capng_have_capability(int which, unsigned cap)
{
	return 0;
}

/* --- what the filter would kill it for --- */

static int no(int error)
{
	errno = error;
	return -1;
}

static int open_in(int dir, const char *name, int flags, mode_t mode)
{
	/* A guest that asks for what is above a directory is after something else: what a path means is for it to know. */
	if (strcmp(name, "..") == 0)
		return no(ENOENT);
	if (flags & TMPFILE)
		return no(EOPNOTSUPP);
	if (readonly && flags & (O_ACCMODE | O_CREAT | O_TRUNC))
		return no(EROFS);
	if (flags & O_CREAT && mode & NO_BITS)
		return no(EPERM);
	return (int)syscall(SYS_openat, dir, name, flags, mode);
}

/* By path there is its root, and its descriptors; nothing that a guest could have put there is anything that it asks for itself.
 */
EXPORTED int open64(const char *path, int flags, ...)
{
	if (strcmp(path, "/proc/self/fd") == 0)
		return fcntl(BACKEND_FS_FD_SELF, F_DUPFD_CLOEXEC, BACKEND_FS_FD_LISTENER + 1);
	return strcmp(path, "/") == 0 ? open_in(AT_FDCWD, path, flags, 0) : no(ENOENT);
}

EXPORTED int openat64(int dir, const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_in(dir, name, flags, mode);
}

/* The same, where the compiler saw that no mode is given. */
EXPORTED int __openat64_2(int dir, const char *name, int flags); /* NOLINT(bugprone-reserved-identifier) */

int __openat64_2(int dir, const char *name, int flags)
{
	return flags & O_CREAT ? no(EINVAL) : open_in(dir, name, flags, 0);
}

EXPORTED int fchmod(int fd, mode_t mode)
{
	return mode & NO_BITS ? no(EPERM) : (int)syscall(SYS_fchmod, fd, mode);
}

EXPORTED int fchmodat(int dir, const char *name, mode_t mode, int flags)
{
	return mode & NO_BITS ? no(EPERM) : (int)syscall(SYS_fchmodat, dir, name, mode);
}

EXPORTED int mknodat(int dir, const char *name, mode_t mode, dev_t dev)
{
	mode_t type = mode & S_IFMT;

	if (mode & NO_BITS || (type && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK))
		return no(EPERM);
	return (int)syscall(SYS_mknodat, dir, name, mode, (unsigned)dev);
}

EXPORTED mode_t umask(mode_t mask)
{
	return 0; /* as it is */
}

/* How many files the host could have open (/proc/sys/fs/file-max), before it is told not to change its limit. GLib frees it. */
EXPORTED int g_file_get_contents(const char *name, char **ret_text, size_t *ret_len, void **ret_error);

int g_file_get_contents(const char *name, char **ret_text, size_t *ret_len, void **ret_error)
{
	*ret_text = strdup("1000000");
	return *ret_text != NULL;
}

/* Which time zone: one file more that a guest could have written. */
EXPORTED void tzset(void)
{
}
