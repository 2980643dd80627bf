/* KVM memory slots for hotplug windows: exactly what is plugged is in a slot, so that everything else is an exit and not memory.
 * A slot lies within one unit of its window, and is what was plugged at once or is left of that. Joining and cutting slots takes
 * memory away for a moment, for which no vCPU may run: so slots are joined only when they become scarce, a unit that is all
 * plugged into one, and where one was cut, short ones are left. Main thread. */
#pragma once
#include "guestmem/map.h"

#define HOT_SLOTS_MAX 8192u

struct hot_slot {
	uint64_t start, len; /* guest-physical */
	uint8_t *host;
	uint16_t id;
};

struct hot_slots {
	int vm_fd;
	const struct guestmem *gm;
	unsigned ids;  /* how many there may be */
	uint64_t unit; /* bytes, a power of two */
	size_t n;
	struct hot_slot *slot; /* HOT_SLOTS_MAX, ascending */
	size_t n_free;
	uint16_t free_id[HOT_SLOTS_MAX];
};

/* ids: how many slots the VM may have beside those up to first_id. */
int hot_slots_init(struct hot_slots *hs, const struct guestmem *gm, int vm_fd, unsigned first_id, unsigned ids, struct err *e);

/* Would the change take memory away for a moment that the guest may be using: other blocks in the same slot when unplugging,
 * units that become one slot when plugging? Then no vCPU may run during it. */
bool hot_slots_disturbs(const struct hot_slots *hs, const struct gm_hot *h, struct mem_range r, bool plug);

/* r: blocks of h that are in no slot (add), in slots (remove). remove also finds nothing to do where no slot is. -ENOSPC: no slot
 * is free, nothing has changed. -ENOTRECOVERABLE: KVM took a slot away and does not give it back. */
int hot_slots_add(struct hot_slots *hs, const struct gm_hot *h, struct mem_range r);
int hot_slots_remove(struct hot_slots *hs, const struct gm_hot *h, struct mem_range r);
