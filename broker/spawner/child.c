/* From clone to execve. Between the two there is one process with the spawner's memory and filter; it touches nothing but its own
 * credentials, limits and descriptors. The root directory needs no work: the spawner lives in an empty one already. */
#include "spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/mount.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAP_WAIT_SECONDS 5

const char *const child_step_names[STEP_COUNT] = {
    [STEP_NONE] = "nothing",
    [STEP_PARENT_DEATH] = "dying with the spawner",
    [STEP_SIGNALS] = "signal mask",
    [STEP_DESCRIPTORS] = "descriptors",
    [STEP_LIMITS] = "resource limits",
    [STEP_BOUNDING] = "capability bounding set",
    [STEP_ID_MAP] = "id map of the user namespace",
    [STEP_GROUPS] = "supplementary groups",
    [STEP_GID] = "group id",
    [STEP_UID] = "user id",
    [STEP_PLACE] = "its place among the mounts",
    [STEP_CAPABILITIES] = "capabilities",
    [STEP_EXEC] = "executing the program",
};

static int write_file(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	r = n < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int write_map(const struct spawner_self *s, const char *who, const char *file, uint32_t inside, uint32_t outside)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "%s/%s", who, file);
	snprintf(text, sizeof(text), "%u %u 1\n", inside, outside);
	return write_file(s->proc, path, text);
}

int spawner_map_child(const struct spawner_self *s, pid_t pid, const struct spawn_request *q, uint32_t number)
{
	uint32_t id = spawner_child_id(q->kind, q->slot);
	bool owned = q->kind == CHILD_BACKEND_FS;
	char who[16];
	int r;

	snprintf(who, sizeof(who), "%d", pid);
	r = write_map(s, who, "gid_map", id, owned ? q->backend.owner.gid : id);
	if (r == 0)
		r = write_map(s, who, "uid_map", id, owned ? q->backend.owner.uid : id);
	if (r == 0) {
		atomic_store(&s->shared->mapped, number);
		syscall(SYS_futex, &s->shared->mapped, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	}
	return r;
}

/* Without rights of its own the spawner could not write the map of an undumpable child; the child may map the one id it has. */
static int map_myself(const struct spawner_self *s, uint32_t id)
{
	int r;

	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -errno;
	r = write_file(s->proc, "self/setgroups", "deny");
	if (r == 0)
		r = write_map(s, "self", "gid_map", id, s->gid);
	if (r == 0)
		r = write_map(s, "self", "uid_map", id, s->uid);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return r;
}

static int wait_for_map(const struct spawner_self *s, uint32_t number)
{
	const struct timespec limit = {.tv_sec = MAP_WAIT_SECONDS};
	uint32_t now;

	/* Maps are written in the order of the numbers, so a later one means that ours is there too: the next child may have been
	 * made before this one came to look. */
	while ((int32_t)((now = atomic_load(&s->shared->mapped)) - number) < 0)
		if (syscall(SYS_futex, &s->shared->mapped, FUTEX_WAIT, now, &limit, NULL, 0) < 0 && errno == ETIMEDOUT)
			return -ETIMEDOUT;
	return 0;
}

static int set_limits(const struct process_rights *p)
{
	for (size_t i = 0; i < p->n_limits; i++) {
		__rlimit_resource_t resource = (__rlimit_resource_t)p->limits[i].resource;
		struct rlimit l;

		if (getrlimit(resource, &l) < 0)
			return -errno;
		if (l.rlim_max > p->limits[i].value)
			l.rlim_max = p->limits[i].value;
		l.rlim_cur = l.rlim_max;
		if (setrlimit(resource, &l) < 0)
			return -errno;
	}
	return 0;
}

/* A new user namespace begins with a full bounding set; elsewhere the spawner's own is empty already. */
static int drop_bounding(uint64_t keep)
{
	for (int c = 0;; c++) {
		int has = prctl(PR_CAPBSET_READ, c, 0, 0, 0);

		if (has < 0)
			return 0; /* beyond the last one */
		if (has > 0 && !(keep >> c & 1) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return -errno;
	}
}

static int drop_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct kept[2] = {
	    {.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
	    {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
	};

	if (syscall(SYS_capset, &h, kept) < 0)
		return -errno;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

static int result(long r)
{
	return r < 0 ? -errno : 0;
}

/* A spawner of back-ends stands in a /proc that nothing else leads to (roots.c). Who serves a directory takes a copy of one place
 * in it along, a mount of its own from which no ".." leads anywhere: its descriptors as files. Nobody stays there. */
static int leave_proc(bool with_self)
{
	if (with_self) {
		int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		/* Open, and not only looked up: so a census sees it. */
		int fd = tree < 0 ? -1 : openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 || (fd == SPAWN_SELF_FD ? fcntl(fd, F_SETFD, 0) : dup3(fd, SPAWN_SELF_FD, 0)) < 0)
			return -errno;
	}
	return result(chdir("/"));
}

struct setup {
	const struct spawner_self *s;
	enum child_kind kind;
	const struct process_rights *rights;
	uint32_t id, number;
	int channel, program;
};

static int do_step(const struct setup *u, enum child_step step)
{
	enum isolation have = u->s->isolation;
	static char *const no_environment[] = {NULL};
	char *const argv[] = {(char *)(uintptr_t)u->rights->name, NULL};
	sigset_t none;

	switch (step) {
	case STEP_PARENT_DEATH:
		return result(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
	case STEP_SIGNALS:
		sigemptyset(&none);
		return result(sigprocmask(SIG_SETMASK, &none, NULL));
	case STEP_DESCRIPTORS: /* 0, 1 and 2 are /dev/null in the spawner already */
		if (dup3(u->channel, 3, 0) < 0)
			return -errno;
		return result(syscall(SYS_close_range, 4u, ~0u, CLOSE_RANGE_CLOEXEC));
	case STEP_LIMITS:
		return set_limits(u->rights);
	case STEP_BOUNDING:
		return have == ISOLATION_NONE ? 0 : drop_bounding(u->rights->caps);
	case STEP_ID_MAP:
		if (have == ISOLATION_OWN_UID)
			return map_myself(u->s, u->id);
		return have == ISOLATION_FULL ? wait_for_map(u->s, u->number) : 0;
	case STEP_GROUPS: /* an ordinary user may not drop groups; inside the namespace they have no number any more */
		return have == ISOLATION_FULL || have == ISOLATION_NO_USERNS ? result(syscall(SYS_setgroups, 0, NULL)) : 0;
	case STEP_GID:
		return have == ISOLATION_NONE ? 0 : result(syscall(SYS_setresgid, u->id, u->id, u->id));
	case STEP_UID: /* this forgets the death signal */
		if (have != ISOLATION_NONE && syscall(SYS_setresuid, u->id, u->id, u->id) < 0)
			return -errno;
		return result(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
	case STEP_PLACE:
		return child_is_backend(u->kind) ? leave_proc(u->kind == CHILD_BACKEND_FS) : 0;
	case STEP_CAPABILITIES:
		return drop_capabilities(u->rights->caps);
	case STEP_EXEC:
		return result(syscall(SYS_execveat, u->program, "", argv, no_environment, AT_EMPTY_PATH));
	case STEP_NONE:
	case STEP_COUNT:
		break;
	}
	return -EINVAL;
}

void spawner_child(const struct spawner_self *s, const struct spawn_request *q, int channel, uint32_t number)
{
	const struct process_rights *const rights[CHILD_KINDS] = {
	    [CHILD_MEMSRV] = PROCESS_MEMSRV,
	    [CHILD_WORKER] = PROCESS_WORKER,
	    [CHILD_BACKEND] = PROCESS_BACKEND,
	    [CHILD_BACKEND_FS] = PROCESS_BACKEND_FS,
	};
	const struct setup u = {
	    .s = s,
	    .kind = q->kind,
	    .rights = rights[q->kind],
	    .id = spawner_child_id(q->kind, q->slot),
	    .number = number,
	    .channel = channel,
	    .program = s->programs[q->kind],
	};

	for (enum child_step step = STEP_NONE + 1; step < STEP_COUNT; step++) {
		int r = do_step(&u, step);

		if (r < 0) {
			s->shared->failure[spawner_seat(q->kind, q->slot)].error = -r;
			s->shared->failure[spawner_seat(q->kind, q->slot)].step = step;
			break;
		}
	}
	_exit(CHILD_SETUP_FAILED);
}
