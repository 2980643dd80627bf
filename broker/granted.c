#include "granted.h"

#include "bulkhead/fd.h"
#include "chan/ticket.h"
#include "model/size_text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IMAGE_MAX (4 * GiB)

struct looked_at {
	struct statx st;
	int mode; /* O_RDONLY, O_WRONLY or O_RDWR */
	int flags;
	bool memfd;
	char path[LIM_PATH + 1];
};

/* What the kernel has at hand, which is what the client's own open has brought. Who serves the file is not asked: it may be a
 * daemon of the client's, or a server that hangs, and everybody here would wait for it. */
static int status_at_hand(int fd, struct statx *ret)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		     STATX_TYPE | STATX_NLINK | STATX_INO | STATX_SIZE | STATX_UID | STATX_GID, ret);
}

static int look_at(int fd, const char *what, struct looked_at *l, struct err *e)
{
	char link[40];
	ssize_t n;

	l->flags = fcntl(fd, F_GETFL);
	if (l->flags < 0 || status_at_hand(fd, &l->st) < 0)
		return err_sys(e, -errno, "%s", what);
	if (l->flags & O_PATH)
		return err_set(e, -EBADF, "%s: the file was not opened, only looked up", what);
	l->mode = l->flags & O_ACCMODE;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, l->path, sizeof(l->path) - 1);
	if (n < 0)
		return err_sys(e, -errno, "%s", what);
	l->path[n] = 0;
	l->memfd = l->st.stx_nlink == 0 && strncmp(l->path, "/memfd:", 7) == 0;
	return 0;
}

/* What of path lies below dir, "" for none. */
static const char *rest_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (strncmp(path, dir, n) != 0 || (path[n] != '/' && n != 1))
		return "";
	path += n;
	return path + strspn(path, "/");
}

/* Is that name here, below dir, the file that came? A client in a mount namespace of its own can give any file any path, so the
 * path that the kernel tells is only a hint where to look. */
static bool is_there(const char *dir, const char *rest, const struct statx *st)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	CLEANUP(fd_cleanup) int top = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(fd_cleanup) int fd = -1;
	struct statx here;

	if (top < 0)
		return false;
	fd = (int)syscall(SYS_openat2, top, rest, &how, sizeof(how));
	return fd >= 0 && status_at_hand(fd, &here) == 0 && here.stx_dev_major == st->stx_dev_major &&
	       here.stx_dev_minor == st->stx_dev_minor && here.stx_ino == st->stx_ino;
}

static int check_place(const struct options *o, const struct looked_at *l, const char *what, struct err *e)
{
	if (o->n_allow == 0)
		return 0;
	for (size_t i = 0; i < o->n_allow; i++) {
		const char *rest = rest_below(l->path, o->allow[i]);

		if (*rest && is_there(o->allow[i], rest, &l->st))
			return 0;
	}
	return err_set(e, -EACCES, "%s %.400s is not below a directory that the operator allows (%.200s%s)", what, l->path,
		       o->allow[0], o->n_allow > 1 ? " and others" : "");
}

int granted_image(const struct options *o, int fd, const char *what, struct err *e)
{
	struct looked_at l;
	int r = look_at(fd, what, &l, e);

	if (r < 0)
		return r;
	if (!S_ISREG(l.st.stx_mode))
		return err_set(e, -EINVAL, "%s: a regular file is needed", what);
	if (l.mode == O_WRONLY)
		return err_set(e, -EBADF, "%s: it is not open for reading", what);
	if (l.st.stx_size == 0)
		return err_set(e, -EINVAL, "%s: the file is empty", what);
	if (l.st.stx_size > IMAGE_MAX)
		return err_set(e, -EFBIG, "%s: the file has %s, at most %s are possible", what, size_text(l.st.stx_size).s,
			       size_text(IMAGE_MAX).s);
	if (l.memfd) {
		/* Nobody changes it under the worker's hands, not even between a check and its use. */
		int seals = fcntl(fd, F_GET_SEALS);

		if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK))
			return err_set(e, -EPERM, "%s: a memfd must be sealed against writing and shrinking", what);
		return 0;
	}
	return check_place(o, &l, what, e);
}

int granted_zone_file(const struct options *o, int fd, const struct plan_zone *z, struct err *e)
{
	bool shared = z->backing == BACKING_FILE_SHARED;
	char what[LIM_ID + 24];
	struct looked_at l;
	int r;

	snprintf(what, sizeof(what), "zone %s: file", z->id);
	r = look_at(fd, what, &l, e);
	if (r < 0)
		return r;
	if (!S_ISREG(l.st.stx_mode))
		return err_set(e, -EINVAL, "%s %.400s: a regular file is needed", what, l.path);
	if (l.mode != O_RDWR && (shared || l.mode != O_RDONLY))
		return err_set(e, -EBADF, "%s %.400s: it must be open for reading%s", what, l.path, shared ? " and writing" : "");
	if (l.st.stx_size > INT64_MAX || l.st.stx_size < plan_zone_object_size(z))
		return err_set(e, -EINVAL, "%s %.400s has %s, the zone needs %s: make the file longer (fallocate -l)", what,
			       l.path, size_text(l.st.stx_size).s, size_text(plan_zone_object_size(z)).s);
	return check_place(o, &l, what, e);
}

int granted_disk(const struct options *o, int fd, const char *id, bool readonly, struct err *e)
{
	char what[LIM_ID + 24];
	struct looked_at l;
	int r;

	snprintf(what, sizeof(what), "device %s: image", id);
	r = look_at(fd, what, &l, e);
	if (r < 0)
		return r;
	if (!S_ISREG(l.st.stx_mode))
		return err_set(e, -EINVAL, "%s %.400s: a regular file is needed", what, l.path);
	if (l.mode != (readonly ? O_RDONLY : O_RDWR) || (l.flags & (O_APPEND | O_SYNC)))
		return err_set(e, -EBADF, "%s %.400s: it must be open for reading%s, and not for appending", what, l.path,
			       readonly ? " only" : " and writing");
	if (l.st.stx_size == 0)
		return err_set(e, -EINVAL, "%s %.400s is empty", what, l.path);
	return check_place(o, &l, what, e);
}

int granted_directory(const struct options *o, int fd, const char *id, struct spawn_owner *ret, struct err *e)
{
	char what[LIM_ID + 24];
	struct looked_at l;
	int r;

	snprintf(what, sizeof(what), "device %s: directory", id);
	r = look_at(fd, what, &l, e);
	if (r < 0)
		return r;
	if (!S_ISDIR(l.st.stx_mode))
		return err_set(e, -ENOTDIR, "%s %.400s: this is none", what, l.path);
	*ret = (struct spawn_owner){.uid = l.st.stx_uid, .gid = l.st.stx_gid};
	return check_place(o, &l, what, e);
}

int granted_output(const struct options *o, int fd, const char *what, struct err *e)
{
	struct looked_at l;
	int r = look_at(fd, what, &l, e);

	if (r < 0)
		return r;
	if (l.mode != O_WRONLY)
		return err_set(e, -EBADF, "%s: it must be open for writing only", what);
	if (!S_ISREG(l.st.stx_mode)) /* a FIFO would stop the guest while nobody reads */
		return err_set(e, -EINVAL, "%s %.400s: a regular file is needed", what, l.path);
	if (!(l.flags & O_APPEND))
		return err_set(e, -EBADF, "%s %.400s: it must be open for appending", what, l.path);
	return check_place(o, &l, what, e);
}

static int socket_option(int fd, int option)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, option, &v, &len) < 0 ? -1 : v;
}

int granted_socket(int fd, const char *what, struct err *e)
{
	if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM ||
	    socket_option(fd, SO_ACCEPTCONN) != 0)
		return err_set(e, -ENOTSOCK, "%s must be one end of a Unix stream socket pair", what);
	return 0;
}

int granted_ticket(int fd, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & TICKET_SEALS) != TICKET_SEALS || fstat(fd, &st) < 0 ||
	    st.st_size > (off_t)(sizeof(struct ticket_head) + TICKET_PATH))
		return err_set(e, -EINVAL, "leave to connect to a back-end again must be a small memfd with all seals");
	return 0;
}
