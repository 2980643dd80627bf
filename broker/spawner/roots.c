/* The root of back-ends: /usr and its two links, read-only, and the file that is loaded before everything else. No /etc, /home,
 * /proc, /dev: what is not there needs no rule. */
#include "spawner.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int spawner_take_usr(struct err *e)
{
	/* What lies mounted below comes along: a user may not look under what root has covered. */
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	CLEANUP(fd_cleanup)
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0)
		return err_sys(e, -errno, "a copy of /usr for back-ends");
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return err_sys(e, -errno, "a read-only /usr for back-ends");
	return fd_take(&fd);
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

int spawner_fill_root(int root, int usr, int preload, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	int r;

	if (mkdirat(root, "usr", 0555) < 0 || symlinkat("usr/lib", root, "lib") < 0 || symlinkat("usr/lib64", root, "lib64") < 0)
		return err_sys(e, -errno, "the root of back-ends");
	r = copy_file(preload, root, "image.so");
	if (r < 0)
		return err_sys(e, r, "image.so in the root of back-ends");
	if (syscall(SYS_move_mount, usr, "", root, "usr", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, -errno, "/usr in the root of back-ends");
	if (syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_sys(e, -errno, "a read-only root for back-ends");
	return 0;
}
