#include "listen.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* 0: nobody is there and the name is free now. */
static int clear_stale(const char *path, const struct sockaddr_un *sa, struct err *e)
{
	CLEANUP(fd_cleanup) int probe = new_socket();
	struct stat st;

	if (probe < 0)
		return err_sys(e, -errno, "socket");
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "--socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "--socket %s: there is something else than a socket; name another path", path);
	if (connect(probe, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN)
		return err_set(e, -EADDRINUSE, "--socket %s: another broker answers there; stop it first, or name another path",
			       path);
	if (errno != ECONNREFUSED)
		return err_sys(e, -errno, "--socket %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, -errno, "--socket %s: cannot remove what a dead broker left", path);
	return 0;
}

int listen_at(const char *path, mode_t mode, gid_t group, struct err *e)
{
	CLEANUP(fd_cleanup) int fd = -1;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t before;
	int r;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "--socket: the path has %zu characters, a socket's path at most %zu",
			       strlen(path), sizeof(sa.sun_path) - 1);
	memcpy(sa.sun_path, path, strlen(path));
	r = clear_stale(path, &sa, e);
	if (r < 0)
		return r;
	fd = new_socket();
	if (fd < 0)
		return err_sys(e, -errno, "socket");
	before = umask(0777); /* closed to everybody until owner and mode are right */
	r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(before);
	if (r == -EADDRINUSE)
		return err_set(e, r, "--socket %s: another broker was faster; stop it first, or name another path", path);
	if (r == -ENOENT)
		return err_set(e, r, "--socket %s: its directory is not there; make it first, or name another path", path);
	if (r < 0)
		return err_sys(e, r, "--socket %s", path);
	if ((group != LISTEN_GROUP_NONE && chown(path, (uid_t)-1, group) < 0) || chmod(path, mode) < 0 || listen(fd, 64) < 0) {
		r = err_sys(e, -errno, "--socket %s", path);
		unlink(path);
		return r;
	}
	return fd_take(&fd);
}
