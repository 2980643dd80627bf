#include "model/vm_state.h"

#define TO(s) VM_STATE_BIT(s)

/* From any state there is a way to VM_ENDING: whatever happens, a VM can be taken down. */
static const struct {
	const char *name;
	unsigned to;
} states[] = {
    [VM_NEW] = {"new", TO(VM_MEMORY) | TO(VM_ENDING)},
    [VM_MEMORY] = {"memory", TO(VM_CREATED) | TO(VM_RUNNING) | TO(VM_STOPPED) | TO(VM_ENDING)},
    [VM_CREATED] = {"created", TO(VM_RUNNING) | TO(VM_STOPPED) | TO(VM_ENDING)},
    /* A reset goes through VM_MEMORY: the memory is there, a fresh worker is not yet. */
    [VM_RUNNING] = {"running", TO(VM_PAUSED) | TO(VM_MEMORY) | TO(VM_STOPPED) | TO(VM_ENDING)},
    [VM_PAUSED] = {"paused", TO(VM_RUNNING) | TO(VM_MEMORY) | TO(VM_STOPPED) | TO(VM_ENDING)},
    [VM_STOPPED] = {"stopped", TO(VM_MEMORY) | TO(VM_ENDING)},
    [VM_ENDING] = {"ending", 0},
};

static bool known(enum vm_state s)
{
	return (unsigned)s < ARRAY_LEN(states) && states[s].name;
}

bool vm_state_edge(enum vm_state from, enum vm_state to)
{
	return known(from) && known(to) && (states[from].to & TO(to));
}

const char *vm_state_name(enum vm_state s)
{
	return known(s) ? states[s].name : "?";
}
