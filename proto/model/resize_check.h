/* May this VM's memory be resized like that? PURE: the caller describes the VM as it is now. All sizes are bytes and include the
 * size at boot, as people say them. semantics "Resize". */
#pragma once
#include "model/diag.h"
#include "model/vm_spec.h"

enum resize_life {
	RESIZE_NOT_BOOTED, /* created or stopped */
	RESIZE_RUNNING,
	RESIZE_PAUSED,
};

/* What can grow: the plain memory of a VM, or one of its zones. */
struct resizable {
	const char *id; /* NULL for plain memory */
	uint64_t boot_size;
	uint64_t hotplug_size; /* 0: cannot grow */
	uint64_t current_size; /* boot size plus what was last asked for */
	uint64_t page_size;    /* of the backing; the virtio-mem block is this or 2 MiB, whichever is larger */
	bool guest_driver;     /* virtio-mem: the guest's driver has taken the device; acpi: it has looked at the memory slots */
};

struct resize_vm {
	enum resize_life life;
	enum hotplug_method method;
	size_t n; /* zones; or 1 without ids for plain memory */
	const struct resizable *m;
	size_t n_dimms; /* acpi: added so far, in the order they were added */
	uint64_t dimms[LIM_DIMMS];
};

struct resize_request {
	bool of_zone;     /* `resize-zone VM ID SIZE` rather than `resize VM --memory SIZE` */
	const char *zone; /* its ID */
	uint64_t size;
	bool no_wait;
};

enum resize_action {
	RESIZE_NOTHING,     /* it has that size already: success */
	RESIZE_ADD_DIMM,    /* acpi: one new slot of `bytes` */
	RESIZE_EJECT_DIMMS, /* acpi: the newest `dimms` slots, `bytes` together */
	RESIZE_VIRTIO_MEM,  /* requested_size becomes `bytes` */
};

struct resize_decision {
	enum resize_action action;
	size_t index; /* into resize_vm.m */
	uint64_t bytes;
	uint64_t plugged; /* what the guest is to have beside its boot memory then */
	size_t dimms;
};

/* The balloon of a VM as it is, and its new size. spec_check_balloon.c */
struct balloon_resize {
	enum resize_life life;
	bool there;        /* the VM has one */
	bool guest_driver; /* and its guest a driver for it */
	bool no_wait;
	uint64_t memory;  /* what the guest has, at boot and plugged */
	uint64_t current; /* what was last asked for */
	uint64_t size;
};

/* As resize_check. */
int balloon_resize_check(const struct balloon_resize *r, struct diags *ds);

/* 0, or -EINVAL with every reason in *ds; *ret untouched then. */
int resize_check(const struct resize_vm *vm, const struct resize_request *rq, struct resize_decision *ret, struct diags *ds);
