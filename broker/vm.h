/* One VM as the broker knows it. States change in vm_set_state only, along the edges of model/vm_state.c. */
#pragma once
#include "balloon.h"
#include "broker.h"
#include "devices.h"
#include "grow.h"
#include "helper.h"

#define VM_MEMSRV_SILENCE_MS 30000u /* memsrv makes no progress */
#define VM_WORKER_SETUP_MS   30000u /* worker makes no progress before READY */
#define VM_STOP_MS           2000u  /* between asking a child to end and killing it */
#define VM_ACT_MS            5000u  /* pause, resume, boot take effect */
#define VM_QUERY_MS          10000u /* info waits for page counts: 0.3 s per GiB of 4 KiB pages, much more under emulation */
#define VM_RESETS_MAX        32u    /* in VM_RESETS_MS: then it is not a reset any more but a loop */
#define VM_RESETS_MS         10000u

/* Where a VM is being taken. */
enum vm_goal {
	GOAL_NONE,
	GOAL_STOPPED, /* no worker; memory kept unless drop_memory */
	GOAL_GONE,
};

struct vm {
	struct broker *b;
	uint32_t id, slot;
	char name[LIM_ID + 1];
	uid_t owner;
	gid_t owner_gid;
	enum vm_state state;
	bool dead;     /* off the table; to be freed */
	bool attached; /* ends when its client goes, and is deleted when it ends */
	bool orphan;   /* its client has gone; to be taken down after this round of events */
	bool born;     /* reached VM_CREATED or VM_RUNNING once; before that every failure removes it */
	bool start;    /* what is being brought up shall run at once */
	uint64_t since_ms;
	uint64_t resets, recent_resets, resets_since;

	/* What was asked for, in the form in which every new worker gets it. */
	struct mem_plan plan;
	struct wk_grant grant; /* plan, affinity, perf and cmdline point into this object */
	char cmdline[LIM_CMDLINE + 1];
	struct affinity_spec *affinity;
	struct node_perf *perf;           /* NULL: not described */
	struct device_plan *device_plans; /* NULL: no devices */
	struct vm_device *devices;
	unsigned noted; /* what was to be said in the log of its devices since noted_since (ms) */
	uint64_t noted_since;
	uint32_t next_device; /* of this worker: whose connection it gets next, in their order */
	int kernel, initramfs, console, serial_file, console_file;
	int zone_files[LIM_ZONES]; /* a client's files; -1: none */
	int zones[LIM_ZONES];      /* memsrv's objects; -1: none */
	bool zones_ready;

	struct helper memsrv, worker;
	bool granted, ready; /* of this worker: WK_GRANT sent, WK_READY received */
	struct promise promise;
	struct grown grown[LIM_ZONES];
	/* With ACPI: what the worker says that the memory slots hold, bytes, oldest first. */
	size_t n_dimms;
	uint64_t dimms[LIM_DIMMS];
	struct balloon balloon;

	enum vm_goal goal;
	bool drop_memory;
	bool reset; /* the worker ends only to be replaced, */
	bool again; /* and this one has replaced it: in VM_MEMORY its guest runs, as everybody else sees it */
	bool has_end, end_told;
	struct end_report end;
	struct err fail; /* why it could not be brought up */
	/* The same, while a better reason may still come, until explain_by (ms; 0: nothing is waited for). */
	struct err unexplained;
	uint64_t explain_by;
	/* A boot, pause or resume that the worker was asked for: waited for until act_until (ms), still expected after that. */
	bool acting, act_running;
	uint64_t act_until;

	/* Pages where they were when somebody asked last. */
	struct {
		size_t n;
		struct node_pages *nodes; /* malloc */
		bool outdated;            /* asked for again since, and not counted yet */
	} resident[LIM_ZONES];
	bool query_memsrv, query_worker; /* answers that are still to come */
	uint64_t query_until;
	uint32_t query_no; /* of the count under way, or of the last one */
	uint64_t progress_at; /* ms; when progress was last passed on */
};

/* A new one in VM_NEW on a free slot, without fds. NULL: all slots are taken or no memory. */
struct vm *vm_new(struct broker *b, uid_t owner, gid_t owner_gid, const char *name);
/* Off the table: closes its fds, returns its promise. Its helpers must be dead. Memory goes with vms_bury. */
void vm_remove(struct vm *vm);
void vms_bury(struct broker *b);

/* Changes the state (an edge must exist) and tells those who watch. */
void vm_set_state(struct vm *vm, enum vm_state s);

/* Notes how it ended; the first report of a run wins. */
void vm_set_end(struct vm *vm, enum end_cause cause, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* For list (zones NULL) and info (room for LIM_ZONES). Strings and arrays are the VM's, or good until the next call.
 * describe.c */
void vm_describe(const struct vm *vm, struct ctl_zone_info *zones, struct ctl_vm_info *ret);

/* true if the plan has a zone that memsrv must make. */
bool vm_needs_memsrv(const struct vm *vm);

/* The worker makes and counts the zone's pages, and they go with it: anonymous memory, and a private file's, whose pages are its
 * own as soon as the guest has written them. */
bool vm_worker_has_pages(const struct plan_zone *z);

/* --- bringup.c --- */

/* Makes what is missing: promise, memsrv with its zones, worker, grant. From VM_NEW, VM_STOPPED, and for a reset. On failure
 * nothing has been started that vm_take_down would not end; the caller calls that. */
int vm_bring_up(struct vm *vm, bool start, struct err *e);
/* Sends the grant if worker and zones are there; a failure takes the VM down. */
void vm_grant(struct vm *vm);

/* --- takedown.c --- */

/* Towards goal (never back), step by step as helpers end. fail NULL or why it could not be brought up. */
void vm_take_down(struct vm *vm, enum vm_goal goal);
void vm_fail(struct vm *vm, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The client it was attached to has gone. */
void vm_client_gone(struct vm *vm);
/* After anything changed while it is being taken down. */
void vm_step(struct vm *vm);

/* --- supervise.c --- */

/* Exit notices of the spawner. */
void supervise_exits(struct source *s, uint32_t events);
/* Deadlines; the next one in *next (ms), if it is earlier. */
void vms_tick(struct broker *b, uint64_t now, uint64_t *next);

/* --- hear_worker.c --- */

/* Asks the worker to run (boot, resume) or to pause; answers come to those who wait. */
int vm_act(struct vm *vm, enum wk_op op, struct err *e);

/* --- pages.c --- */

/* Asks the helpers where the pages are; CTL_INFO is answered when all have answered or time is up. */
void vm_query(struct vm *vm);
void vm_query_done(struct vm *vm);
