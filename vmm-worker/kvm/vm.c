#include "kvm/vm.h"

#include "bulkhead/abi/platform.h"

#include <errno.h>
#include <sys/ioctl.h>

#define QUIRK_SLOT_ZAP_ALL (1u << 7) /* Linux 6.12 */

static bool offers(int fd, unsigned long cap)
{
	return ioctl(fd, KVM_CHECK_EXTENSION, cap) > 0;
}

static int enable(int vm_fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = {.cap = cap, .args = {arg}};

	return ioctl(vm_fd, KVM_ENABLE_CAP, &c) < 0 ? -errno : 0;
}

static int check_host(struct vm *vm, int kvm_fd, uint8_t phys_bits, struct err *e)
{
	uint8_t offered;
	int size;

	vm->supported.nent = CPUID_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &vm->supported) < 0)
		return err_sys(e, -errno, "KVM does not say what CPU it can offer (KVM_GET_SUPPORTED_CPUID)");
	offered = cpuid_phys_bits(vm->supported.entry, vm->supported.nent);
	if (phys_bits > offered)
		return err_set(e, -ERANGE, "the plan needs %u guest-physical address bits, KVM offers %u here", phys_bits,
			       offered);
	size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return err_sys(e, size < 0 ? -errno : -EINVAL, "KVM_GET_VCPU_MMAP_SIZE");
	vm->run_size = (size_t)size;
	size = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	vm->max_slots = size > 0 ? (unsigned)size : 32;
	vm->tsc_deadline = offers(kvm_fd, KVM_CAP_TSC_DEADLINE_TIMER);
	return 0;
}

/* Intel without unrestricted guest runs real mode with these pages; where they are not needed the calls change nothing. */
static int place_intel_pages(int vm_fd, struct err *e)
{
	uint64_t identity = PLAT_KVM_IDENTITY_MAP;

	if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return err_sys(e, -errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm_fd, KVM_SET_TSS_ADDR, (unsigned long)PLAT_KVM_TSS) < 0)
		return err_sys(e, -errno, "KVM_SET_TSS_ADDR");
	return 0;
}

/* Local APICs in the kernel, PIC and IOAPIC not: less of the kernel can be reached by the guest, and the IOAPIC is ours to test.
 */
static int split_irqchip(int vm_fd, struct err *e)
{
	int r = enable(vm_fd, KVM_CAP_SPLIT_IRQCHIP, PLAT_IOAPIC_PINS);

	if (r < 0)
		return err_sys(e, r, "KVM has no split interrupt controller (KVM_CAP_SPLIT_IRQCHIP, Linux 4.5)");
	r = enable(vm_fd, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	if (r < 0)
		return err_sys(e, r, "KVM has no x2APIC interface (KVM_CAP_X2APIC_API, Linux 4.8)");
	return 0;
}

int vm_create(struct vm *vm, int kvm_fd, uint8_t phys_bits, struct err *e)
{
	int r = check_host(vm, kvm_fd, phys_bits, e);

	if (r < 0)
		return r;
	do
		vm->fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return err_sys(e, -errno, "KVM cannot create a machine (KVM_CREATE_VM)");
	r = place_intel_pages(vm->fd, e);
	if (r == 0)
		r = split_irqchip(vm->fd, e);
	if (r < 0)
		return r;
	/* All are welcome and not needed: older kernels have none. The first brings the instruction's bytes with an emulation
	 * failure instead of an exception in the guest; the second takes the virtual PMU away; the third leaves the
	 * rest of the guest's memory mapped when a slot goes. */
	enable(vm->fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	enable(vm->fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);
	enable(vm->fd, KVM_CAP_DISABLE_QUIRKS2, QUIRK_SLOT_ZAP_ALL);
	return 0;
}
