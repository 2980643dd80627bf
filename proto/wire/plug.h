/* Worker <-> memsrv, the road that a guest's plug request takes: one request of fixed size, one answer, on a SOCK_SEQPACKET pair
 * that the broker made. memsrv believes nothing of it: it makes at most as much as the broker has allowed (MS_ALLOW). */
#pragma once
#include <stdint.h>

enum plug_op {
	PLUG_MAKE = 1, /* pages for all of it, where the zone's policy says; all or nothing */
	PLUG_DROP,     /* back to the host; what is not there does no harm */
};

struct plug_request {
	uint16_t op;
	uint16_t zone;
	uint32_t zero;
	uint64_t offset, len; /* bytes in the zone's hotplug window, whole blocks */
};

struct plug_answer {
	int32_t code; /* 0 or negative errno */
	uint32_t zero;
};

_Static_assert(sizeof(struct plug_request) == 24 && sizeof(struct plug_answer) == 8, "no padding");
