/* The root of back-ends: /usr and its two links, read-only, and the files that are loaded before everything else. No /etc, /home,
 * /proc, /dev: what is not there needs no rule.
 *
 * A /proc is in the mount namespace all the same, below /usr, where no name leads: the spawner stands in it, and its children
 * begin there (child.c). Those who serve directories need a copy of one place in it, and that can be had in no other way. */
#include "spawner.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What lies mounted below comes along where it has to: a user may not look under what root has covered. */
static int take_tree(const char *path, uint64_t flags, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | flags};
	CLEANUP(fd_cleanup)
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0)
		return err_sys(e, -errno, "a copy of %s for back-ends", path);
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return err_sys(e, -errno, "a read-only %s for back-ends", path);
	return fd_take(&fd);
}

int spawner_take_parts(bool with_proc, struct root_parts *ret, struct err *e)
{
	ret->usr = take_tree("/usr", 0, e);
	if (ret->usr < 0)
		return ret->usr;
	/* Disks do not need it; a directory's process says that it could not be set up. */
	ret->proc = with_proc ? take_tree("/proc", MOUNT_ATTR_NOEXEC, NULL) : -1;
	return 0;
}

static int copy_file(int from, int dir, const char *name)
{
	CLEANUP(fd_cleanup) int to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	char buf[8192];
	ssize_t n;

	if (to < 0)
		return -errno;
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			return -EIO;
	if (n < 0)
		return -errno;
	return fchmod(to, 0444) < 0 ? -errno : 0;
}

int spawner_fill_root(int root, const struct root_parts *parts, const int *preload, struct err *e)
{
	static const char *const names[SPAWN_PRELOADS] = {"image.so", "fs.so"};
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};

	if (mkdirat(root, "usr", 0555) < 0 || symlinkat("usr/lib", root, "lib") < 0 || symlinkat("usr/lib64", root, "lib64") < 0)
		return err_sys(e, -errno, "the root of back-ends");
	for (unsigned i = 0; i < SPAWN_PRELOADS; i++) {
		int r = copy_file(preload[i], root, names[i]);

		if (r < 0)
			return err_sys(e, r, "%s in the root of back-ends", names[i]);
	}
	if (parts->proc >= 0 && syscall(SYS_move_mount, parts->proc, "", root, "usr", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, -errno, "/proc in the mount namespace of back-ends");
	if (syscall(SYS_move_mount, parts->usr, "", root, "usr", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, -errno, "/usr in the root of back-ends");
	if (syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_sys(e, -errno, "a read-only root for back-ends");
	return 0;
}
