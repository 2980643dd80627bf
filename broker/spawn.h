/* The broker's side of the spawner, a child process that the broker forks before it does anything else. The spawner is the only
 * place that makes processes; all it ever reads is fixed-size requests from the broker. There are two of them: back-ends are
 * other people's programs, and what those need is in no root and no filter of a memsrv or a worker. See spawner/ and
 * policy/README.md. Broker thread only. */
#pragma once
#include "bulkhead/err.h"
#include "model/limits.h"
#include "policy/rights.h"

#include <sys/types.h>

enum child_kind {
	CHILD_MEMSRV,
	CHILD_WORKER,
	CHILD_BACKEND,    /* a disk */
	CHILD_BACKEND_FS, /* a directory */
};
#define CHILD_KINDS 4u

static inline bool child_is_backend(enum child_kind kind)
{
	return kind >= CHILD_BACKEND;
}

/* Which spawner. */
enum spawn_family {
	SPAWN_VMS,      /* memsrvs and workers */
	SPAWN_BACKENDS, /* back-ends of devices */
};

#define SPAWN_UID_BASE RIGHTS_UID_BASE
#define SPAWN_SLOTS    LIM_VMS /* slots 0 .. SPAWN_SLOTS - 1; uid = gid = base + 2 * slot + kind */
/* A back-end's slot is its VM's, times LIM_DEVICES, plus the number of its device. */
#define SPAWN_BACKEND_UID_BASE (SPAWN_UID_BASE + 0x10000u)
#define SPAWN_BACKEND_SLOTS    (LIM_VMS * LIM_DEVICES)

static inline uint32_t spawn_slots(enum child_kind kind)
{
	return child_is_backend(kind) ? SPAWN_BACKEND_SLOTS : SPAWN_SLOTS;
}

/* Where each back-end gets a cgroup of its own (cgroup.h): dir is divided for them, lock is kept for as long as one may be there.
 * Both -1: they stay where the spawner is. */
struct spawn_cgroups {
	int dir, lock;
};
#define SPAWN_CGROUP_PREFIX "backend-" /* then the VM's slot, "-", and the number of the device */

struct spawner {
	enum spawn_family family;
	int requests; /* SEQPACKET to the spawner */
	int exits;    /* SEQPACKET from the spawner, non-blocking: for the event loop */
	pid_t pid;
	char isolation[512]; /* "full", or what is weaker here and why */
};

/* Starts the spawner: call before any other descriptor, thread or signal handler exists. The programs are looked for beside the
 * broker's own (directory of /proc/self/exe). The caller still has all its rights; it gives them away after this
 * (lockdown_enter). cgroups stay the caller's; NULL for none. Costs one fork; waits until the spawner is ready and sandboxed. */
int spawner_start(struct spawner *ret, enum spawn_family family, const struct spawn_cgroups *cgroups, struct err *e);

struct child {
	pid_t pid;   /* as the broker sees it; its end comes as an exit notice */
	int channel; /* owned; SEQPACKET, non-blocking here, blocking in the child as fd 3 */
};

#define SPAWN_SELF_FD 4 /* of a CHILD_BACKEND_FS: its own descriptors as files */

/* Whose files a CHILD_BACKEND_FS serves: that uid and gid of the host it has, as 0 in its own user namespace. Never root's. */
struct spawn_owner {
	uid_t uid;
	gid_t gid;
};

struct spawn_backend {
	uint64_t memory;          /* bytes, the most that its cgroup may have, if it gets one */
	struct spawn_owner owner; /* of a CHILD_BACKEND_FS */
};

/* Makes a child for a slot; at most one of each kind per slot at a time, and one back-end (-EBUSY). Returns as soon as the
 * kernel has made the * process; it sets itself up in parallel, and what goes wrong there shows as an exit (spawn_exit_text).
 * Bounded wait (5 s): a spawner that does not answer is dead, -EPIPE, and the broker must end. what: of a back-end, NULL for
 * others. -ENOTSUP: a CHILD_BACKEND_FS where there are no user namespaces. */
int spawner_spawn(struct spawner *s, enum child_kind kind, uint32_t slot, const struct spawn_backend *what, struct child *ret,
		  struct err *e);

/* SIGKILLs the child of that slot, if there is one. No reply: its exit notice is the reply. The broker itself needs no right to
 * kill. */
int spawner_kill(struct spawner *s, enum child_kind kind, uint32_t slot, struct err *e);

/* The broker's last act: the spawner ends every child and itself, and both are waited for, so that nothing is left behind, not
 * even for init to reap. */
void spawner_end(struct spawner *s);

struct spawn_exit {
	enum child_kind kind;
	uint32_t slot;
	pid_t pid;
	int status;           /* as from waitpid */
	uint32_t failed_step; /* for spawn_exit_text: which step of its set-up failed, or 0 */
	int failed_errno;
};

/* The next exit notice. 1: *ret is valid, 0: none now, -EPIPE: the spawner is gone and with it every child (they die with it). */
int spawner_next_exit(struct spawner *s, struct spawn_exit *ret);

/* Words for an exit status: "exited with status 3", "was killed by SIGKILL", "broke its sandbox's rules (SIGSYS)", "could not be
 * set up: ...". */
void spawn_exit_text(const struct spawn_exit *x, char *buf, size_t len);

/* "full", or a sentence that names what is weaker and why; lives as long as *s. */
static inline const char *spawner_isolation_text(const struct spawner *s)
{
	return s->isolation;
}
