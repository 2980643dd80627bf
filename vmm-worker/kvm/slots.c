#include "kvm/vm.h"

#include <errno.h>
#include <sys/ioctl.h>

int vm_add_slots(const struct vm *vm, const struct guestmem *gm, struct err *e)
{
	for (size_t i = 0; i < gm->n; i++) {
		const struct gm_piece *p = &gm->piece[i];
		struct kvm_userspace_memory_region slot = {
		    .slot = (uint32_t)i,
		    .guest_phys_addr = p->at.start.v,
		    .memory_size = p->at.len.v,
		    .userspace_addr = (uintptr_t)p->host,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return err_sys(e, -errno, "KVM refuses zone %s at %#llx, %llu MiB", gm->plan->zones[p->zone].id,
				       (unsigned long long)p->at.start.v, (unsigned long long)(p->at.len.v / MiB));
	}
	return 0;
}
