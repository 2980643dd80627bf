/* Who may do what to which VM. Identity is SO_PEERCRED, taken once when a client connects. */
#pragma once
#include "vm.h"

struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* for the log only: numbers are reused */
};

int authz_peer(int sock, struct peer *ret, struct err *e);

/* Root and the owner; to everybody else the VM does not exist. */
static inline bool authz_sees(const struct peer *p, const struct vm *vm)
{
	return p->uid == 0 || p->uid == vm->owner;
}

/* The VM that a client means by a name or a decimal id; NULL with one and the same text for "there is none" and "not yours". A
 * name that root could mean for two users' VMs is an error of its own. */
struct vm *authz_find(struct broker *b, const struct peer *p, const char *name, struct err *e);
