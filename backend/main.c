/* bulkhead-backend: takes an image that is open already, and becomes Debian's qemu-storage-daemon on it. What it may do shrinks
 * from top to bottom of main(), and once more in the program's own start (image.c). */
#include "args.h"
#include "start.h"

#include "policy/lockdown.h"
#include "wire/backend.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/qemu-storage-daemon"

/* What came with the request is an image, and the request means something. */
static int judge(const struct backend_start *s, int image, struct err *e)
{
	struct stat st;

	if (s->flags & ~BACKEND_FLAGS_ALL || s->num_queues == 0 || s->num_queues > ARGS_QUEUES_MAX)
		return err_set(e, -EPROTO, "the broker's request means nothing");
	if (fstat(image, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -EPROTO, "the broker's image is no regular file");
	return 0;
}

/* qemu's own protocol of locks (its block/file-posix.c), for what its exports leave out: byte 101 is held by whoever writes, byte
 * 201 by whoever wants nobody else to. The open file is the same for every life of this back-end, so it never stands in its own
 * way. */
#define LOCK_WRITES   101
#define LOCK_UNSHARED 201

static int lock_image(int image, bool readonly, struct err *e)
{
	struct flock mine = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = LOCK_UNSHARED, .l_len = 1};
	struct flock writer = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_WRITES, .l_len = 1};
	struct flock alone = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_UNSHARED, .l_len = 1};

	if (fcntl(image, F_OFD_SETLK, &mine) < 0 || fcntl(image, F_OFD_GETLK, &writer) < 0 ||
	    fcntl(image, F_OFD_GETLK, &alone) < 0)
		return err_sys(e, -errno, "locking the image");
	if (writer.l_type != F_UNLCK)
		return err_set(e, -EBUSY, "another process writes to the image");
	if (alone.l_type != F_UNLCK && !readonly)
		return err_set(e, -EBUSY, "another process uses the image, and wants nobody to write to it");
	return 0;
}

int main(void)
{
	static char *const environment[] = {(char *)(uintptr_t) "LD_PRELOAD=/image.so", NULL};
	static const struct backend_up up;
	CLEANUP(fd_cleanup) int image = -1, listener = -1, connection = -1;
	struct backend_start start;
	struct args args;
	struct err e = {0};
	int r;

	if (lockdown_enter(PROCESS_BACKEND, &e) < 0) /* no rights; the filter for loading a program is on */
		return start_fail(&e);
	r = start_receive(&start, &image, &e);
	if (r > 0 && judge(&start, image, &e) < 0)
		r = e.code;
	if (r <= 0)
		return r < 0 ? start_fail(&e) : 0;
	if (lock_image(image, start.flags & BACKEND_READONLY, &e) < 0 || start_sockets(&listener, &connection, &e) < 0)
		return start_fail(&e);
	if (chan_send(BACKEND_FD_BROKER, &up, sizeof(up), &connection, 1) < 0)
		return 1;
	fd_cleanup(&connection);
	if (start_place(image, BACKEND_FD_IMAGE, listener, BACKEND_FD_LISTENER, &e) <
	    0) /* nothing but the image, the socket and a place for words goes on */
		return start_fail(&e);
	signal(SIGPIPE, SIG_IGN); /* words that nobody hears */
	args_build(&args, &start);
	execve(PROGRAM, args.argv, environment);
	start_missing(PROGRAM, "qemu-system-common", "vhost_user=on,socket=PATH", &e);
	return start_fail(&e);
}
