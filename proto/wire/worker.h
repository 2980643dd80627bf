/* Broker <-> worker. */
#pragma once
#include "model/node_perf.h"
#include "model/device_plan.h"
#include "wire/wire.h"

enum wk_op {
	/* to the worker */
	WK_GRANT = 256, /* once, first: everything it will ever have, but for consoles */
	WK_START,
	WK_PAUSE,
	WK_RESUME,
	WK_STOP,
	WK_CONSOLE, /* one FD_ROLE_CONSOLE: replaces the attached console */
	WK_QUERY,
	WK_DEVICE, /* three descriptors: a connection to a device's back-end, and both ends of a pair for the back-end's requests.
		      After the grant once for each device, in their order; later whenever a new connection is there */
	WK_POWER_BUTTON, /* no answer: what the guest does about it is the guest's affair */
	WK_RESIZE,       /* the guest is to have so much of a zone's hotplug window */
	WK_BALLOON,      /* the guest is to give up so much of its memory */
	/* from the worker */
	WK_READY = 288, /* machine built, sandbox closed, vCPUs not started; reports of the anonymous zones it populated */
	WK_PROGRESS,
	WK_STATE,  /* after START, PAUSE, RESUME took effect */
	WK_STATS,  /* answer to QUERY: zones that the worker itself makes (anonymous, private files); memsrv knows the others */
	WK_FAILED, /* before READY: could not build the machine */
	WK_DEVICE_STATE,  /* a back-end came or was lost */
	WK_ENDED,         /* it exits after this */
	WK_MEMORY,        /* how far the guest has followed: after every RESIZE, and when anything changed, not for each block */
	WK_BALLOON_STATE, /* the same for its balloon; and before the answer to a QUERY */
};

struct wk_balloon {
	bool there;     /* a guest without one is never asked */
	uint64_t bytes; /* that the guest is to give up; whole guest pages */
	bool deflate_on_oom, free_page_reporting;
};

struct wk_grant {
	struct mem_plan *plan;
	uint32_t vcpus_boot, vcpus_max;
	uint16_t threads_per_core, cores_per_die, dies_per_package, packages; /* all 0: flat */
	size_t n_affinity;
	struct affinity_spec *affinity;
	struct node_perf *perf; /* NULL: not described */
	size_t n_devices;
	struct device_plan *devices;
	const char *cmdline;
	struct wk_balloon balloon;
	enum serial_mode serial, console; /* UNSET: a terminal; none */
	bool start; /* run at once after READY */
	size_t n_tags;
	struct fd_tag tags[CHAN_FDS_MAX];
};

struct wk_reports {
	size_t n;
	struct zone_report *reports;
};

struct wk_state {
	bool running; /* false: paused */
};

#define WK_DEVICE_FDS 3u

struct wk_device {
	uint32_t index; /* in wk_grant.devices */
};

struct wk_device_state {
	uint32_t index;
	bool up;
	bool hopeless; /* no further connection, please */
	const char *text;
};

struct wk_resize {
	uint16_t zone;
	uint64_t bytes;   /* of the hotplug window; whole blocks */
	uint32_t request; /* its number: what is told of it later bears it */
};

struct wk_memory {
	uint16_t zone;
	uint32_t request;         /* the last one that it has seen; 0: none */
	uint64_t wanted, plugged; /* bytes of the hotplug window */
	uint64_t idle;            /* of the plugged ones, bytes that the guest has not taken into use */
	bool driver;              /* the guest has one for virtio-mem, or knows the registers of the memory slots */
	bool over;                /* the request has its outcome: wanted is what there is. virtio-mem: only if it is as requested */
	const char *refused;      /* why host or guest did not give, or take, all; NULL: they did */
	size_t n_dimms;
	const uint32_t *dimms; /* blocks of each memory slot in use, oldest first */
	uint64_t denied, strayed; /* requests that were not granted, touches of what is not plugged */
};

struct wk_msg {
	enum wk_op op;
	uint32_t serial;
	union {
		struct wk_grant grant;
		struct wk_reports reports; /* READY, STATS */
		struct wire_progress progress;
		struct wk_state state;
		struct wk_device device;
		struct wk_device_state device_state;
		struct wire_failed failed;
		struct wk_resize resize;
		struct wk_memory memory;
		struct wk_balloon balloon; /* BALLOON: bytes only */
		struct wk_balloon_state balloon_state;
		struct end_report ended;
	} u;
};

int wk_encode(const struct wk_msg *m, void *buf, size_t cap, size_t *ret_len, struct err *e);
int wk_decode(const struct chan_msg *m, struct arena *a, struct wk_msg *ret, struct err *e);
