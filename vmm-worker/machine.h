/* One virtual machine, as its threads share it. Who touches what: guestmem and the bus tables are only read once the vCPUs run;
 * devices and interrupts belong to whoever holds dev_lock; run belongs to kvm/runctl.c. */
#pragma once
#include "balloon.h"
#include "dev/bus.h"
#include "dev/dimm.h"
#include "dev/ged.h"
#include "dev/ioapic.h"
#include "dev/pit.h"
#include "dev/power.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "guestmem/access.h"
#include "home.h"
#include "hotplug.h"
#include "kvm/irq.h"
#include "kvm/runctl.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "pace.h"
#include "pci/pci.h"
#include "virtio/devices.h"

struct machine {
	struct guestmem gm;
	struct vm vm;
	struct topology topology;
	struct runctl run;
	struct pace pace;
	struct home home;
	uint32_t n_vcpus;
	struct vcpu vcpu[LIM_CPUS];
	pthread_mutex_t dev_lock;
	struct bus pio, mmio;
	struct irq irq;
	struct ioapic ioapic;
	struct serial serial;
	struct term console; /* the virtio console's */
	struct term *tty;    /* that of the two which gets the terminal */
	struct rtc rtc;
	struct pit pit;
	struct power power;
	struct ged ged;
	struct dimms dimms;
	struct pci pci;
	struct virtio virtio;
	struct hotplug hotplug;
	struct balloon balloon;
	uint64_t in_window; /* accesses to windows of the plan in which no device answered; under dev_lock */
};
