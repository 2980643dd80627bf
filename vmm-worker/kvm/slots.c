#include "kvm/vm.h"

#include <errno.h>
#include <sys/ioctl.h>

static int add_slot(const struct vm *vm, size_t id, gspan_t at, const uint8_t *host)
{
	struct kvm_userspace_memory_region slot = {
	    .slot = (uint32_t)id,
	    .guest_phys_addr = at.start.v,
	    .memory_size = at.len.v,
	    .userspace_addr = (uintptr_t)host,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
}

int vm_add_slots(const struct vm *vm, const struct guestmem *gm, struct err *e)
{
	int r;

	for (size_t i = 0; i < gm->n; i++) {
		const struct gm_piece *p = &gm->piece[i];

		r = add_slot(vm, i, p->at, p->host);
		if (r < 0)
			return err_sys(e, r, "KVM refuses zone %s at %#llx, %llu MiB", gm->plan->zones[p->zone].id,
				       (unsigned long long)p->at.start.v, (unsigned long long)(p->at.len.v / MiB));
	}
	for (size_t i = 0; i < gm->n_epc; i++) {
		r = add_slot(vm, gm->n + i, gm->epc[i].at, gm->epc[i].host);
		if (r < 0)
			return err_sys(e, r, "KVM refuses EPC section %s at %#llx", gm->plan->epc[i].id,
				       (unsigned long long)gm->epc[i].at.start.v);
	}
	return 0;
}
