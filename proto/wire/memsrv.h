/* Broker <-> memsrv. */
#pragma once
#include "wire/wire.h"

enum ms_op {
	/* to memsrv */
	MS_PLAN = 128, /* plan; fds: FD_ROLE_ZONE_FILE of zones with a file */
	MS_QUERY,      /* answer: MS_ZONES without fds, counts as of now */
	MS_PLUGGER,    /* one FD_ROLE_PLUG, untagged: a new worker's; nothing of the hotplug windows is plugged from here on */
	MS_ALLOW,      /* how much of a zone's hotplug window may exist; less than there is: no more */
	/* from memsrv */
	MS_ZONES = 160, /* every zone it made: tags and fds (FD_ROLE_ZONE), reports of those it populated */
	MS_PROGRESS,
	MS_FAILED, /* nothing was left behind; it exits after this */
};

struct ms_plan {
	struct mem_plan *plan;
	size_t n_tags;
	struct fd_tag tags[CHAN_FDS_MAX];
};

struct ms_zones {
	size_t n_tags;
	struct fd_tag tags[CHAN_FDS_MAX];
	size_t n_reports;
	struct zone_report *reports;
};

struct ms_allow {
	uint16_t zone;
	uint64_t bytes;
};

struct ms_msg {
	enum ms_op op;
	uint32_t serial;
	union {
		struct ms_plan plan;
		struct ms_zones zones;
		struct wire_progress progress;
		struct wire_failed failed;
		struct ms_allow allow;
	} u;
};

int ms_encode(const struct ms_msg *m, void *buf, size_t cap, size_t *ret_len, struct err *e);
int ms_decode(const struct chan_msg *m, struct arena *a, struct ms_msg *ret, struct err *e);
