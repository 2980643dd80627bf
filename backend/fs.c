/* bulkhead-backend-fs: takes a directory that is open already, and becomes Debian's virtiofsd on it. What it may do shrinks from
 * top to bottom of main(), and once more before the program's first line (fs_preload.c). */
#include "start.h"

#include "policy/lockdown.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "/usr/lib/qemu/virtiofsd"
#define STR_(x) #x
#define STR(x)  STR_(x)

/* What came with the request is a directory that somebody could read, and not only name: a broker that is captured can open none
 * like that (Landlock), so it has no more than what its clients sent. */
static int judge(const struct backend_start *s, int dir, struct err *e)
{
	int flags = fcntl(dir, F_GETFL);
	struct stat st;

	if (s->flags & ~BACKEND_FLAGS_ALL_FS || s->num_queues != BACKEND_FS_QUEUES)
		return err_set(e, -EPROTO, "the broker's request means nothing");
	if (fstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, -EPROTO, "the broker's directory is none");
	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) != O_RDONLY)
		return err_set(e, -EPROTO, "the broker's directory is not open for reading");
	return 0;
}

/* Every option is here: nothing of the command line comes from anybody. */
static void become(bool readonly)
{
	static char name[] = "virtiofsd", f[] = "-f", fd[] = "--fd=" STR(BACKEND_FS_FD_LISTENER), o[] = "-o",
		    limit[] = "--rlimit-nofile=0", pool[] = "--thread-pool-size=0",
		    options[] = "source=/,sandbox=chroot,cache=auto,no_xattr,no_flock,no_posix_lock,log_level=warn";
	static char preload[] = "LD_PRELOAD=/fs.so", ro[] = BACKEND_FS_READONLY "=1";
	char *const argv[] = {name, f, fd, limit, pool, o, options, NULL};
	char *const environment[] = {preload, readonly ? ro : NULL, NULL};

	execve(PROGRAM, argv, environment);
}

int main(void)
{
	static const struct backend_up up;
	CLEANUP(fd_cleanup) int dir = -1, listener = -1, connection = -1;
	struct backend_start start;
	struct err e = {0};
	int r;

	if (lockdown_enter(PROCESS_BACKEND_FS, &e) <
	    0) /* two capabilities over one uid; the filter for loading a program is on */
		return start_fail(&e);
	r = start_receive(&start, &dir, &e);
	if (r > 0 && judge(&start, dir, &e) < 0)
		r = e.code;
	if (r <= 0)
		return r < 0 ? start_fail(&e) : 0;
	if (start_sockets(&listener, &connection, &e) < 0)
		return start_fail(&e);
	if (chan_send(BACKEND_FD_BROKER, &up, sizeof(up), &connection, 1) < 0)
		return 1;
	fd_cleanup(&connection);
	if (start_place(dir, BACKEND_FS_FD_DIRECTORY, listener, BACKEND_FS_FD_LISTENER, &e) < 0)
		return start_fail(&e);
	signal(SIGPIPE, SIG_IGN); /* words that nobody hears */
	become(start.flags & BACKEND_READONLY);
	start_missing(PROGRAM, "qemu-system-common", "socket=PATH instead of path=", &e);
	return start_fail(&e);
}
