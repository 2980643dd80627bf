/* A cgroup for each back-end, below the one that the broker was given: made and limited before the process is, which begins in it
 * and never has a descriptor of it. Names and files are ours, of the broker's there is one number. */
#include "spawner.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct name {
	char s[48];
};

static struct name name_of(uint32_t seat)
{
	struct name n;

	snprintf(n.s, sizeof(n.s), SPAWN_CGROUP_PREFIX "%u-%u", seat / LIM_DEVICES, seat % LIM_DEVICES);
	return n;
}

static int limit(const struct spawner_self *s, uint32_t seat, const char *file, uint64_t value)
{
	char path[80], text[32];
	CLEANUP(fd_cleanup) int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", name_of(seat).s, file);
	snprintf(text, sizeof(text), "%" PRIu64, value);
	fd = openat(s->cgroups.dir, path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* What the table lets a user have of processes and threads. There it counts for all that run under that uid, which for an
 * ordinary user's broker is every back-end of every VM; here for one. */
static uint64_t most_tasks(void)
{
	const struct process_rights *p = PROCESS_BACKEND;

	for (size_t i = 0; i < p->n_limits; i++)
		if (p->limits[i].resource == RLIMIT_NPROC)
			return p->limits[i].value;
	return 1;
}

int spawner_cgroup_make(const struct spawner_self *s, uint32_t seat, uint64_t memory)
{
	struct name n = name_of(seat);
	int fd = -1, r = mkdirat(s->cgroups.dir, n.s, 0755) < 0 ? -errno : 0;

	if (r == -EEXIST && spawner_cgroup_remove(s, seat)) /* the last one's could not be removed at once */
		r = mkdirat(s->cgroups.dir, n.s, 0755) < 0 ? -errno : 0;
	if (r < 0)
		return r;
	r = limit(s, seat, "pids.max", most_tasks());
	if (r == 0)
		r = limit(s, seat, "memory.max", memory);
	if (r == 0) {
		fd = openat(s->cgroups.dir, n.s, O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : 0;
	}
	if (r < 0)
		spawner_cgroup_remove(s, seat);
	return r < 0 ? r : fd;
}

bool spawner_cgroup_remove(const struct spawner_self *s, uint32_t seat)
{
	return unlinkat(s->cgroups.dir, name_of(seat).s, AT_REMOVEDIR) == 0 || errno == ENOENT;
}
