#include "authz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int authz_peer(int sock, struct peer *ret, struct err *e)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0 || len != sizeof(c))
		return err_sys(e, -errno, "SO_PEERCRED");
	*ret = (struct peer){c.uid, c.gid, c.pid};
	return 0;
}

static bool named(const struct vm *vm, const char *name)
{
	bool digits = name[strspn(name, "0123456789")] == 0;

	/* Names are never digits only, so an id cannot be taken for a name. */
	return digits ? strtoul(name, NULL, 10) == vm->id && strlen(name) < 10 : strcmp(vm->name, name) == 0;
}

/* Of the caller's own VMs, or of those of others that he may see. NULL: none, or *ret_several. */
static struct vm *find(struct broker *b, const struct peer *p, const char *name, bool own, bool *ret_several)
{
	struct vm *found = NULL;

	for (size_t i = 0; i < LIM_VMS; i++) {
		struct vm *vm = b->vms[i];

		if (!vm || vm->dead || (vm->owner == p->uid) != own || !authz_sees(p, vm) || !named(vm, name))
			continue;
		if (found && vm->state == VM_ENDING) /* its name is free for a new one */
			continue;
		if (found && found->state != VM_ENDING) {
			*ret_several = true;
			return NULL;
		}
		found = vm;
	}
	return found;
}

struct vm *authz_find(struct broker *b, const struct peer *p, const char *name, struct err *e)
{
	bool several = false;
	struct vm *found = find(b, p, name, true, &several), *other;

	/* Whoever names a VM like one of root's takes nothing away from root. */
	if (found && found->state != VM_ENDING)
		return found;
	other = find(b, p, name, false, &several);
	if (several) {
		err_set(e, -ENOTUNIQ, "several users have a VM called %s: give its id, as `bulkhead list` shows it", name);
		return NULL;
	}
	if (!found || (other && other->state != VM_ENDING))
		found = other;
	if (!found)
		err_set(e, -ENOENT, "no such VM: %s", name);
	return found;
}
