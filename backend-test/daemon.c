#include "daemon.h"

#include "bulkhead/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static ssize_t read_proc(pid_t pid, const char *name, char *buf, size_t cap)
{
	char path[64];
	CLEANUP(fd_cleanup) int fd = -1;
	size_t done = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while (done < cap - 1) {
		ssize_t n = read(fd, buf + done, cap - 1 - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	buf[done] = '\0';
	return (ssize_t)done;
}

/* State letter and start time; false: there is no such process. */
static bool stat_of(pid_t pid, char *ret_state, uint64_t *ret_since)
{
	char buf[1024];
	const char *p;

	if (pid <= 0 || read_proc(pid, "stat", buf, sizeof(buf)) <= 0)
		return false;
	p = strrchr(buf, ')');
	if (!p || p[1] != ' ')
		return false;
	*ret_state = p[2];
	for (unsigned field = 2; field < 22 && p; field++)
		p = strchr(p + 1, ' ');
	*ret_since = p ? strtoull(p, NULL, 10) : 0;
	return true;
}

static void ended(struct daemon *d, int status)
{
	d->child = 0;
	fd_cleanup(&d->input);
	if (WIFSIGNALED(status))
		snprintf(d->why, sizeof(d->why), "died of SIG%s", sigabbrev_np(WTERMSIG(status)) ?: "?");
	else
		snprintf(d->why, sizeof(d->why), "ended with exit status %d", WEXITSTATUS(status));
}

enum daemon_state daemon_look(struct daemon *d)
{
	uint64_t since;
	char state;

	if (d->command) {
		int status;

		if (!d->child)
			return DAEMON_ENDED;
		if (waitpid(d->child, &status, WNOHANG) != d->child)
			return DAEMON_ALIVE;
		ended(d, status);
		return WIFSIGNALED(status) ? DAEMON_CRASHED : DAEMON_ENDED;
	}
	if (d->pid <= 0 || !d->since)
		return DAEMON_ALIVE; /* not seen: whether it serves has to say it */
	if (stat_of(d->pid, &state, &since) && since == d->since && state != 'Z' && state != 'X')
		return DAEMON_ALIVE;
	snprintf(d->why, sizeof(d->why), "is gone (pid %d)", d->pid);
	return DAEMON_GONE;
}

enum daemon_state daemon_wait_end(struct daemon *d, unsigned ms)
{
	uint64_t deadline = now_ms() + ms;
	enum daemon_state s;

	while ((s = daemon_look(d)) == DAEMON_ALIVE && now_ms() < deadline)
		poll(NULL, 0, 10);
	return s;
}

static void remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

/* Starts it if it is ours and not there. */
static int start(struct daemon *d, struct err *e)
{
	int input[2];
	pid_t us = getpid();

	if (!d->command || d->child)
		return 0;
	remove_stale(d->path);
	if (pipe2(input, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	d->child = fork();
	if (d->child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != us)
			_exit(127);
		dup2(input[0], STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO); /* standard output is the report's */
		execvp(d->command[0], d->command);
		dprintf(STDERR_FILENO, "bulkhead backend-test: %s: %s\n", d->command[0], strerror(errno));
		_exit(127);
	}
	close(input[0]);
	d->input = input[1];
	if (d->child < 0) {
		d->child = 0;
		fd_cleanup(&d->input);
		return err_sys(e, -errno, "starting %s", d->command[0]);
	}
	d->starts++;
	d->used = false;
	return 0;
}

int daemon_connect(struct daemon *d, struct link *ret, unsigned ms, struct err *e)
{
	uint64_t deadline = now_ms() + d->ms;
	char state;

	/* Its last connection has ended, so it has to; how is told here if nobody has asked yet. */
	if (d->command && d->child && d->one_shot && d->used) {
		enum daemon_state s = daemon_wait_end(d, d->ms);

		if (s == DAEMON_ALIVE)
			return err_set(e, -ETIMEDOUT, "it did not notice that its connection ended");
		if (s == DAEMON_CRASHED)
			return err_set(e, -ECHILD, "the daemon %s", d->why);
	}
	for (;;) {
		int r = start(d, e);

		if (r == 0)
			r = link_open(ret, d->path, ms, e);
		if (r == 0)
			break;
		if ((r != -ENOENT && r != -ECONNREFUSED) || (!d->command && !d->one_shot) || now_ms() >= deadline)
			return r;
		if (d->command && daemon_look(d) != DAEMON_ALIVE)
			return err_set(e, -ECHILD, "%s %s%s%s", d->command[0], d->why, d->used ? "" : " before it listened on ",
				       d->used ? "" : d->path);
		poll(NULL, 0, 20);
	}
	d->used = true;
	d->pid = ret->peer;
	d->since = 0;
	stat_of(d->pid, &state, &d->since);
	return 0;
}

void daemon_stop(struct daemon *d)
{
	if (!d->child)
		return;
	kill(d->child, SIGTERM);
	fd_cleanup(&d->input);
	if (daemon_wait_end(d, 2000) == DAEMON_ALIVE) {
		kill(d->child, SIGKILL);
		daemon_wait_end(d, d->ms);
		d->child = 0;
	}
	remove_stale(d->path);
}

static long count_fds(pid_t pid)
{
	char path[64];
	DIR *dir;
	long n = -2; /* . and .. */

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static long count_maps(pid_t pid)
{
	static char buf[1u << 20];
	long n = 0;

	if (read_proc(pid, "maps", buf, sizeof(buf)) <= 0)
		return -1;
	for (const char *p = buf; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static long status_line(const char *status, const char *name)
{
	const char *p = strstr(status, name);

	return p ? strtol(p + strlen(name), NULL, 10) : -1;
}

struct daemon_usage daemon_usage(const struct daemon *d)
{
	char status[8192] = "";

	if (d->pid <= 0)
		return (struct daemon_usage){-1, -1, -1, -1};
	read_proc(d->pid, "status", status, sizeof(status));
	return (struct daemon_usage){count_fds(d->pid), count_maps(d->pid), status_line(status, "\nThreads:"),
				     status_line(status, "\nRssAnon:")};
}

void daemon_name(const struct daemon *d, char *buf, size_t cap)
{
	ssize_t n = d->pid > 0 ? read_proc(d->pid, "comm", buf, cap) : -1;

	if (n <= 0)
		snprintf(buf, cap, "?");
	else
		buf[strcspn(buf, "\n")] = '\0';
}
