/* CLI <-> broker. Decoded forms; strings and arrays live in the arena given to decode. codec_control.c is the only file that
 * knows the protobuf types behind them. */
#pragma once
#include "model/guest_facts.h"
#include "model/vm_state.h"
#include "wire/wire.h"

enum ctl_op {
	CTL_CREATE = 1, /* spec and fds; with boot: starts it too (what `run` sends) */
	CTL_BOOT,
	CTL_LIST,
	CTL_INFO,
	CTL_PAUSE,
	CTL_RESUME,
	CTL_STOP,
	CTL_DELETE,
	CTL_CONSOLE, /* one FD_ROLE_CONSOLE */
	CTL_WAIT,    /* CTL_EVENT_ENDED comes on this connection when the VM ends */
	CTL_POWER_BUTTON, /* pressed; what the guest does about it is the guest's affair */
	CTL_RESIZE, /* answered when it is on its way; CTL_EVENT_RESIZE tells how far it has come */
	CTL_REPLY = 64,
	CTL_EVENT,
};

struct ctl_request {
	uint32_t serial;
	enum ctl_op op;
	const char *vm; /* name or decimal id; every op but CREATE and LIST */
	/* CREATE */
	struct vm_spec *spec;
	bool boot;
	bool attached; /* the VM lives no longer than this connection */
	size_t n_tags;
	struct fd_tag tags[CHAN_FDS_MAX];
	/* RESIZE */
	const char *zone; /* NULL: plain memory */
	uint64_t size;    /* bytes, with what it has at boot */
	bool no_wait;     /* the client will not wait for the guest */
	bool balloon;     /* size is the balloon's, not the memory's */
};

struct ctl_zone_info {
	const char *id;
	enum backing backing;
	uint64_t size, page_size;
	uint64_t hotplug_size, requested_size, plugged_size; /* of the hotplug window, beside size */
	uint32_t dimms; /* memory slots in use (ACPI) */
	uint32_t guest_numa_id;
	enum host_policy host_policy;
	size_t n_nodes;
	struct node_pages *nodes; /* resident now, */
	bool outdated;            /* or some time ago: whoever counts them has not answered in time */
	const char *refused;      /* why host or guest refused some of the last request; NULL: they did not */
	uint64_t denied, strayed; /* of the guest: requests that were not granted, touches of what is not plugged */
};

/* A device with a back-end of its own. */
struct ctl_device_info {
	const char *id, *socket; /* socket: or the image of a back-end that the broker starts */
	bool up;
	uint64_t losses;  /* how often its back-end was lost */
	bool own;          /* the broker starts it */
	int32_t pid;       /* of that, as the broker sees it; 0: none now */
	uint64_t restarts; /* of that */
	const char *text;  /* what became of it last; NULL: nothing worth a word */
};

struct ctl_epc_info {
	const char *id;
	uint64_t start, size;
	bool has_node; /* the guest has NUMA nodes */
	uint32_t guest_numa_id;
};

#define CTL_COSTS_MAX 256u /* of all that are described, so that they fit a message beside everything else */

struct ctl_vm_info {
	uint32_t id;
	const char *name;
	uint32_t owner_uid;
	enum vm_state state;
	uint32_t vcpus;
	uint64_t memory; /* boot bytes over all zones */
	int32_t worker_pid, memsrv_pid; /* as the broker sees them; 0: none */
	uint64_t age_ms;
	uint64_t resets; /* how often the guest reset itself */
	bool has_end;
	struct end_report end;
	size_t n_zones; /* INFO only */
	struct ctl_zone_info *zones;
	const char *isolation; /* INFO only: "full", or a sentence on what is weaker here */
	size_t n_devices;      /* INFO only */
	struct ctl_device_info *devices;
	/* INFO only */
	size_t n_epc;
	struct ctl_epc_info *epc;
	size_t n_pins;
	struct pinned *pins;
	size_t n_costs, all_costs; /* how many are here, and how many there are */
	struct node_cost *costs;
	size_t n_caches;
	struct node_cache *caches;
	bool has_balloon;
	struct wk_balloon_state balloon; /* what the guest gives up; wanted is what was asked for */
};

struct ctl_reply {
	uint32_t serial;
	int32_t code;     /* 0 or negative errno */
	const char *text; /* for people, on failure */
	struct diags *diags; /* NULL or what spec_check said */
	size_t n_vms;
	struct ctl_vm_info *vms;
};

enum ctl_event_kind {
	CTL_EVENT_STATE = 1,
	CTL_EVENT_PROGRESS, /* populating: done of total bytes of a zone */
	CTL_EVENT_ENDED,
	CTL_EVENT_DEVICE, /* a device lost its back-end, or has it again */
	CTL_EVENT_RESIZE, /* zone has done bytes and is to have total, boot size included; text: why host or guest refused some;
			     over: nothing more will come of the request, whether done is total or not */
	CTL_EVENT_BALLOON, /* the guest has given up done bytes and is to have given up total */
};

struct ctl_event {
	enum ctl_event_kind kind;
	uint32_t vm_id;
	const char *name;
	enum vm_state state;
	const char *zone;
	uint64_t done, total;
	struct end_report end;
	const char *device, *text;
	bool up, over;
};

/* Encoders write a whole message with header into buf (cap bytes), and use the rest of buf as their working memory, so give them more than
 * the message needs (CHAN_MSG_MAX is always right). -EMSGSIZE if it does not fit. An empty string travels as "not given". Decoders check every bound, enum and
 * string, allocate from a only, and leave *ret untouched on failure (-EPROTO, -ENOBUFS). */
int ctl_request_encode(const struct ctl_request *r, void *buf, size_t cap, size_t *ret_len, struct err *e);
int ctl_request_decode(const struct chan_msg *m, struct arena *a, struct ctl_request *ret, struct err *e);
int ctl_reply_encode(const struct ctl_reply *r, void *buf, size_t cap, size_t *ret_len, struct err *e);
int ctl_reply_decode(const struct chan_msg *m, struct arena *a, struct ctl_reply *ret, struct err *e);
int ctl_event_encode(const struct ctl_event *ev, void *buf, size_t cap, size_t *ret_len, struct err *e);
int ctl_event_decode(const struct chan_msg *m, struct arena *a, struct ctl_event *ret, struct err *e);
