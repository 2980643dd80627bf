/* Inside the spawner: what its files share. Nothing here is for the broker's own code (that is spawn.h). */
#pragma once
#include "../spawn.h"

#include "policy/rights.gen.h"

#include <stdatomic.h>

/* How much the kernel lets us do here. Decided once, at the spawner's start. */
enum isolation {
	ISOLATION_FULL,      /* root: own uids inside own user namespaces, all other namespaces */
	ISOLATION_OWN_UID,   /* an ordinary user: user namespaces, but only the caller's uid to map */
	ISOLATION_NO_USERNS, /* root where user namespaces are refused: own uids, the other namespaces, more capabilities kept */
	ISOLATION_NONE,      /* an ordinary user where they are refused: filters, limits, no_new_privs only */
};

enum spawn_op {
	SPAWN_OP_MAKE = 1, /* one fd: the child's end of the channel; answered by spawn_reply */
	SPAWN_OP_KILL,     /* not answered */
};

struct spawn_request {
	uint32_t op;
	uint32_t kind; /* enum child_kind */
	uint32_t slot;
	uint32_t zero;
	struct spawn_backend backend;
};

struct spawn_reply {
	int32_t code; /* 0 or negative errno */
	int32_t pid;
	uint32_t cgroup; /* 1: it was its cgroup that could not be made */
};

struct spawn_notice {
	uint32_t kind;
	uint32_t slot;
	int32_t pid;
	int32_t status;
	uint32_t step; /* enum child_step that failed, or 0 */
	int32_t error; /* its errno */
};

struct spawn_hello {
	int32_t code;   /* 0: ready */
	char text[512]; /* isolation text, or what went wrong */
};

/* What a child does between clone and execve; the one that failed is reported through shared memory and then in the exit notice.
 */
enum child_step {
	STEP_NONE,
	STEP_PARENT_DEATH,
	STEP_SIGNALS,
	STEP_DESCRIPTORS,
	STEP_LIMITS,
	STEP_BOUNDING,
	STEP_ID_MAP,
	STEP_GROUPS,
	STEP_GID,
	STEP_UID,
	STEP_PLACE,
	STEP_CAPABILITIES,
	STEP_EXEC,
	STEP_COUNT,
};

extern const char *const child_step_names[STEP_COUNT];

#define CHILD_SETUP_FAILED 125 /* exit status when a step failed */

/* Children of one spawner in one row: a memsrv and a worker for each slot, or back-ends. */
#define SPAWN_SEATS SPAWN_BACKEND_SLOTS
_Static_assert(SPAWN_SEATS >= 2 * SPAWN_SLOTS, "one size for both spawners");

static inline uint32_t spawner_seat(enum child_kind kind, uint32_t slot)
{
	return child_is_backend(kind) ? slot : 2 * slot + kind;
}

static inline uint32_t spawner_slot_at(enum spawn_family family, uint32_t seat)
{
	return family == SPAWN_BACKENDS ? seat : seat / 2;
}

static inline bool spawner_makes(enum spawn_family family, uint32_t kind, uint32_t slot)
{
	return kind < CHILD_KINDS && child_is_backend((enum child_kind)kind) == (family == SPAWN_BACKENDS) &&
	       slot < spawn_slots((enum child_kind)kind);
}

/* Shared between the spawner and a child until it executes its program. */
struct spawn_shared {
	_Atomic uint32_t mapped; /* futex: number of the last request whose id maps are written */
	struct {
		uint32_t step;
		int32_t error;
	} failure[SPAWN_SEATS]; /* by seat */
};

#define SPAWN_PRELOADS 2u

struct spawner_self {
	enum spawn_family family;
	uint32_t seats; /* in use for this family */
	enum isolation isolation;
	int requests, exits;
	int programs[CHILD_KINDS];   /* -1: not of this family */
	int preload[SPAWN_PRELOADS]; /* back-ends: what their root holds beside /usr (roots.c) */
	int proc;                    /* O_PATH of /proc, -1 without */
	struct spawn_cgroups cgroups;
	uid_t uid;
	gid_t gid;
	struct spawn_shared *shared;
};

/* setup.c: makes the empty root, gives rights away, puts the filter on. Fills isolation, proc and text. */
int spawner_confine(struct spawner_self *s, char *text, size_t len, struct err *e);

/* roots.c: copies of /usr and /proc; what else belongs into the root of back-ends, which is made read-only. proc may be -1. */
struct root_parts {
	int usr, proc;
};
int spawner_take_parts(bool with_proc, struct root_parts *ret, struct err *e);
int spawner_fill_root(int root, const struct root_parts *parts, const int *preload, struct err *e);

/* child.c: in the new process; never returns. number: of this request, for shared->mapped. */
_Noreturn void spawner_child(const struct spawner_self *s, const struct spawn_request *q, int channel, uint32_t number);
/* In the spawner, after clone, for ISOLATION_FULL: writes the maps and lets the child go on. */
int spawner_map_child(const struct spawner_self *s, pid_t pid, const struct spawn_request *q, uint32_t number);

static inline uint32_t spawner_child_id(enum child_kind kind, uint32_t slot)
{
	if (kind == CHILD_BACKEND_FS)
		return 0; /* in a user namespace where that is its owner */
	return (kind == CHILD_BACKEND ? SPAWN_BACKEND_UID_BASE : SPAWN_UID_BASE) + spawner_seat(kind, slot);
}

/* cgroup.c: a new cgroup for that seat with its limits, as a descriptor for clone3, or a negative errno; and its end. false: it
 * is not empty yet. */
int spawner_cgroup_make(const struct spawner_self *s, uint32_t seat, uint64_t memory);
bool spawner_cgroup_remove(const struct spawner_self *s, uint32_t seat);

/* spawner.c: the process. */
_Noreturn void spawner_main(struct spawner_self *s);
