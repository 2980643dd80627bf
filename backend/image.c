/* Loaded into qemu-storage-daemon before everything else (LD_PRELOAD). Two things: its start ends the time in which anything can
 * be opened or made executable, before the program's first own line runs; and the image, which Debian's version can only open by
 * name, is a descriptor that it has already.  */
#include "policy/lockdown.h"
#include "wire/backend.h"

#include "bulkhead/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

__attribute__((constructor)) static void lock_down(void)
{
	static const int fds[] = {0, 1, BACKEND_FD_WORDS, BACKEND_FD_IMAGE, BACKEND_FD_LISTENER};
	struct err e = {0};
	int r = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? err_sys(&e, -errno, "PR_SET_DUMPABLE") : 0;

	if (r == 0)
		r = lockdown_census(fds, ARRAY_LEN(fds), &e);
	if (r == 0)
		r = lockdown_filter(FILTER_BACKEND_DISK, &e);
	if (r == 0)
		return;
	if (write(BACKEND_FD_WORDS, e.text, strlen(e.text)) < 0)
		_exit(2);
	_exit(1);
}

/* The image with the flags that were asked for, as far as a descriptor can take them on: O_DIRECT. It cannot become writable
 * here; the kernel knows how it was opened. */
static int image(int flags)
{
	int fd = fcntl(BACKEND_FD_IMAGE, F_DUPFD_CLOEXEC, BACKEND_FD_LISTENER + 1);
	int have = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	if (have < 0)
		return -1;
	if ((flags & O_ACCMODE) == O_RDWR && (have & O_ACCMODE) != O_RDWR) {
		close(fd);
		errno = EACCES;
		return -1;
	}
	if (fcntl(fd, F_SETFL, (have & ~O_DIRECT) | (flags & O_DIRECT)) == 0)
		return fd;
	have = errno;
	close(fd);
	errno = have;
	return -1;
}

EXPORTED int open64(const char *path, int flags, ...)
{
	if (strcmp(path, BACKEND_IMAGE_PATH) == 0)
		return image(flags);
	if (strcmp(path, "/dev/null") == 0) /* on it qemu tries which kind of locks there is */
		return fcntl(0, F_DUPFD_CLOEXEC, BACKEND_FD_LISTENER + 1);
	errno = ENOENT;
	return -1;
}
