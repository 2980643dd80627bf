/* Slots for memory that is added and ejected while the guest runs, and the registers by which our DSDT works them (acpi/dimm.c;
 * the layout is in abi/platform.h). A state machine, nothing else: what a change means for pages and KVM is ../dimms.c's. PURE
 * but for the bus. Under the device lock. */
#pragma once
#include "dev/bus.h"
#include "model/limits.h"

enum dimm_state {
	DIMM_EMPTY,
	DIMM_STAGED,  /* its memory is being made, the guest has not been told: it sees an empty slot */
	DIMM_PRESENT, /* the guest may use it */
	DIMM_ASKED,   /* the same, and the guest is asked to eject it */
	DIMM_LEAVING, /* ejected: the guest sees an empty slot, its memory is still to be taken away */
};

struct dimm {
	enum dimm_state state;
	bool insert_event, remove_event; /* the guest has been told to look, and has not looked yet */
	bool taken;                      /* the guest uses it: it said so, or found it when it booted */
	bool answered;                   /* it said yes or no to the insertion */
	bool kept;                       /* it did not let go when it was asked last */
	bool stuck;                      /* leaving, but its memory could not be taken away */
	uint32_t order;                  /* by age: the newest has the highest */
	uint64_t first, n;               /* blocks of the window */
	uint64_t there;                  /* of them from the first on: their memory is there */
	uint32_t event, status;          /* what _OST said last; 0, 0 before */
};

struct dimms {
	uint64_t start, block; /* the window, and its smallest step, bytes */
	uint32_t node;
	struct dimm slot[LIM_DIMMS];
	uint32_t select, ost_event;
	uint32_t orders;      /* given out */
	uint64_t wanted;      /* blocks the guest is to have */
	bool looked;          /* the guest has used the registers: from now on it must be told, it will not find out */
	bool notify;          /* the main thread should look again; whoever tells it clears this */
	bool changed;         /* something to tell the broker */
	bool refused;         /* the last request was not begun, which the broker has not been told */
	uint64_t own_ejects;  /* blocks that the guest gave back unasked since the last request */
	uint64_t nonsense;    /* accesses that mean nothing: counted, and without effect */
	uint64_t ost_reports; /* all calls of _OST */
};

void dimms_init(struct dimms *d, uint64_t start, uint64_t block, uint32_t node);

bus_access_fn dimms_access;

/* The guest is to have so many blocks. What is staged is given up; what was asked back and not looked at is not asked any more.
 * When there are to be less than there are, asks for the newest slots that add up to the difference; false: none do, nobody is
 * asked. */
bool dimms_request(struct dimms *d, uint64_t wanted);

/* Blocks that the guest has or is about to have: all but leaving ones. */
uint64_t dimms_given(const struct dimms *d);
/* Blocks whose memory is there, as far as everybody has been told of it: also those of leaving slots, until they are gone. */
uint64_t dimms_there(const struct dimms *d);
/* Of those, blocks that the guest does not use yet. */
uint64_t dimms_idle(const struct dimms *d);

/* Takes an empty slot for blocks that dimms_given lacks of what is wanted. false: all are taken. */
bool dimms_stage(struct dimms *d, uint64_t first, uint64_t n);
/* A staged slot whose memory is not all there. false: none. */
bool dimms_unfinished(const struct dimms *d, uint32_t *ret);
/* So many blocks more of it are there. */
void dimms_filled(struct dimms *d, uint32_t slot, uint64_t n);
/* Gives up everything that is staged. */
void dimms_unstage(struct dimms *d);
/* Shows everything that is staged to the guest. true: the guest has to be told. */
bool dimms_show(struct dimms *d);
/* A slot that is leaving and not stuck. false: none. */
bool dimms_leaving(const struct dimms *d, uint32_t *ret);
/* Its memory has been taken away, or cannot be. */
void dimms_left(struct dimms *d, uint32_t slot, bool gone);

/* Something has still to happen, here or in the guest, before the last request has an outcome. */
bool dimms_pending(const struct dimms *d);
/* What the guest has to say about the last request, for people: "" if nothing is wrong. */
void dimms_explain(const struct dimms *d, char *text, size_t cap);
/* Sizes in blocks by age, oldest first, of all that are present. Room for LIM_DIMMS. */
size_t dimms_list(const struct dimms *d, uint32_t *ret_blocks);
