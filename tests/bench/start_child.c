/* Starting programs, reading what they say, and seeing them off. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "start.h"

extern char **environ;

double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

bool child_start(char *const argv[], struct child *ret, double *ret_t)
{
	posix_spawn_file_actions_t fa;
	int in[2], out[2], err;

	if (pipe2(in, O_CLOEXEC) < 0)
		return false;
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return false;
	}
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	posix_spawn_file_actions_adddup2(&fa, out[1], 2);
	*ret_t = now_ms();
	err = posix_spawnp(&ret->pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(in[0]);
	close(out[1]);
	ret->in = in[1];
	ret->out = out[0];
	if (err) {
		close(in[1]);
		close(out[0]);
		errno = err;
	}
	return err == 0;
}

int child_finish(pid_t pid, double deadline)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > deadline) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
		sleep_ms(1);
	}
	return status;
}

bool child_read(int fd, const char *text, double deadline, char *buf, size_t cap, size_t *len)
{
	char more[4096];

	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		double left = deadline - now_ms();
		ssize_t n;

		if (text && *len && memmem(buf, *len, text, strlen(text)))
			return true;
		if (left <= 0 || poll(&p, 1, (int)left + 1) < 0)
			return false;
		if (!p.revents)
			continue;
		n = read(fd, *len < cap - 1 ? buf + *len : more, *len < cap - 1 ? cap - 1 - *len : sizeof(more));
		if (n <= 0)
			return !text && n == 0;
		if (*len < cap - 1)
			*len += (size_t)n;
		buf[*len] = 0;
	}
}
