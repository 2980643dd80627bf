/* The life of a VM. The edges are a const table in vm_state.c; nobody changes a state any other way. PURE. */
#pragma once
#include "bulkhead/base.h"

enum vm_state {
	VM_NEW = 1, /* accepted, nothing made */
	VM_MEMORY,  /* memsrv is at work or has finished */
	VM_CREATED, /* worker ready, vCPUs not started */
	VM_RUNNING,
	VM_PAUSED,
	VM_STOPPED, /* no worker; memory kept; can be booted again or deleted */
	VM_ENDING,  /* being taken down */
};

/* A set of states, for tables: 1u << state. */
#define VM_STATE_BIT(s) (1u << (s))

/* May a VM go from one state to another? false for values that are no states. */
bool vm_state_edge(enum vm_state from, enum vm_state to);

/* "running"; "?" for values that are no states. */
const char *vm_state_name(enum vm_state s);
