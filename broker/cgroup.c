#include "cgroup.h"

#include "bulkhead/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LEAF    "broker"
#define LOOK_MS 10
#define LOOKS   500u /* 5 s: longer than a spawner whose broker was killed takes to end */

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Where this process is, as a directory. */
static int own_path(char *path, size_t len, struct err *e)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char text[4096];
	CLEANUP(fd_cleanup) int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *line;

	if (n < 0)
		return err_sys(e, -errno, "/proc/self/cgroup");
	text[n] = 0;
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	for (size_t i = 0; line && i < ARRAY_LEN(mounts); i++) {
		if (!is_cgroup2(mounts[i]))
			continue;
		line = strstr(line, "0::") + 3;
		line[strcspn(line, "\n")] = 0;
		if (strcmp(line, "/") == 0)
			return err_set(e, -ENOENT, "it runs in no cgroup but the host's root");
		if (snprintf(path, len, "%s%s", mounts[i], line) >= (int)len)
			return err_set(e, -ENAMETOOLONG, "the path of its cgroup is too long: %.100s...", line);
		return 0;
	}
	return err_set(e, -ENOENT, "no cgroup v2 is mounted at /sys/fs/cgroup");
}

/* systemd's word for it, in either spelling: only root sees the second. */
static bool is_delegated(const char *path)
{
	static const char *const names[] = {"user.delegate", "trusted.delegate"};
	char v[8];

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (getxattr(path, names[i], v, sizeof(v)) == 1 && v[0] == '1')
			return true;
	return false;
}

static int write_to(int dir, const char *name, const char *text)
{
	CLEANUP(fd_cleanup) int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = text; (s = strstr(s, word)); s += n)
		if ((s == text || s[-1] == ' ') && (s[n] == ' ' || s[n] == '\n' || s[n] == 0))
			return true;
	return false;
}

static int check_controllers(int dir, const char *path, struct err *e)
{
	char text[512];
	CLEANUP(fd_cleanup) int fd = openat(dir, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return err_sys(e, -errno, "%s/cgroup.controllers", path);
	text[n] = 0;
	if (!has_word(text, "pids") || !has_word(text, "memory"))
		return err_set(e, -EOPNOTSUPP, "%s has not both of the controllers pids and memory, only: %.*s", path,
			       (int)strcspn(text, "\n"), text);
	return 0;
}

/* One broker for one cgroup. The lock is on a file that only its owner can open, and goes with the last process of that broker's
 * that works here, which is its spawner. */
static int lock_leaf(int dir, const char *path, struct err *e)
{
	CLEANUP(fd_cleanup) int fd = -1;

	if (mkdirat(dir, LEAF, 0755) < 0 && errno != EEXIST)
		return err_sys(e, -errno, "%s/" LEAF, path);
	fd = openat(dir, LEAF "/cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "%s/" LEAF "/cgroup.kill%s", path, errno == ENOENT ? " (it came with Linux 5.14)" : "");
	for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, -errno, "%s/" LEAF "/cgroup.kill: flock", path);
		if (i == LOOKS)
			return err_set(e, -EBUSY, "another broker divides %s: each needs one of its own", path);
		poll(NULL, 0, LOOK_MS);
	}
	return fd_take(&fd);
}

/* One cgroup of a back-end whose spawner was killed. */
static int clear_one(int dir, const char *name)
{
	char kill[300];

	snprintf(kill, sizeof(kill), "%s/cgroup.kill", name);
	write_to(dir, kill, "1");
	for (unsigned i = 0; unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT; i++) {
		if (errno != EBUSY || i == LOOKS)
			return -errno;
		poll(NULL, 0, LOOK_MS);
	}
	return 0;
}

static int clear_left(int dir, const char *path, struct err *e)
{
	int list = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = list < 0 ? NULL : fdopendir(list);
	struct dirent *f;

	if (!d)
		return err_sys(e, -errno, "%s", path);
	while (r == 0 && (f = readdir(d))) {
		if (strncmp(f->d_name, SPAWN_CGROUP_PREFIX, strlen(SPAWN_CGROUP_PREFIX)) != 0)
			continue;
		r = clear_one(dir, f->d_name);
		if (r < 0)
			err_sys(e, r, "%s/%s, which a broker that was killed has left, cannot be removed", path, f->d_name);
	}
	closedir(d);
	return r;
}

static int divide(const char *path, struct cgroups *ret, struct err *e)
{
	CLEANUP(fd_cleanup) int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(fd_cleanup) int lock = -1;
	int r;

	if (dir < 0)
		return err_sys(e, -errno, "%s", path);
	if (!is_cgroup2(path))
		return err_set(e, -ENOTDIR, "%s is no directory of cgroup v2", path);
	if (strlen(path) >= sizeof(ret->path))
		return err_set(e, -ENAMETOOLONG, "the path of the cgroup is too long: %.100s...", path);
	r = check_controllers(dir, path, e);
	if (r < 0)
		return r;
	lock = lock_leaf(dir, path, e);
	if (lock < 0)
		return lock;
	r = write_to(dir, LEAF "/cgroup.procs", "0");
	if (r < 0)
		return err_sys(e, r, "cannot move to %s/" LEAF, path);
	r = clear_left(dir, path, e);
	if (r < 0)
		return r;
	r = write_to(dir, "cgroup.subtree_control", "+pids +memory");
	if (r == -EBUSY)
		return err_set(e, r, "there are other processes than the broker in %s itself: the kernel does not divide it",
			       path);
	if (r < 0)
		return err_sys(e, r, "cannot pass pids and memory on from %s", path);
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	ret->fds = (struct spawn_cgroups){.dir = fd_take(&dir), .lock = fd_take(&lock)};
	return 0;
}

int cgroups_enter(const char *named, struct cgroups *ret, struct err *e)
{
	char path[sizeof(ret->path)];
	struct err why = {0};
	int r;

	*ret = (struct cgroups){.fds = {-1, -1}};
	if (named) {
		r = divide(named, ret, &why);
		return r < 0 ? err_set(e, r, "--cgroup: %s", why.text) : 0;
	}
	r = own_path(path, sizeof(path), &why);
	if (r == 0 && !is_delegated(path))
		r = err_set(&why, -EACCES, "%s is not delegated to it", path);
	if (r == 0)
		r = divide(path, ret, &why);
	if (r < 0)
		snprintf(ret->why_not, sizeof(ret->why_not), "%.*s", (int)sizeof(ret->why_not) - 1, why.text);
	return 0;
}
