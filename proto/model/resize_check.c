#include "model/resize_check.h"
#include "model/size_text.h"

#include <errno.h>
#include <string.h>

struct judge {
	const struct resize_vm *vm;
	const struct resize_request *rq;
	const struct resizable *m;
	struct diags *ds;
	const char *option;
	struct txt text;
};

#define REFUSE(j, remedy, ...) diag_add((j)->ds, DIAG_ERROR, (j)->option, (j)->text.s, remedy, __VA_ARGS__)

/* Finds what the request names. NULL: reported. */
static const struct resizable *find(struct judge *j)
{
	bool zones = j->vm->n && j->vm->m[0].id;
	struct txt list = {""};

	if (!j->rq->of_zone && zones) {
		REFUSE(j, "bulkhead resize-zone VM ID SIZE",
		       "the memory of this VM is made of zones, which are resized one by one");
		return NULL;
	}
	if (j->rq->of_zone && !zones) {
		REFUSE(j, "bulkhead resize VM --memory SIZE", "this VM has no memory zones, only plain memory");
		return NULL;
	}
	if (!j->rq->of_zone && j->vm->n)
		return &j->vm->m[0];
	for (size_t i = 0; i < j->vm->n; i++) {
		if (j->vm->m[i].id && j->rq->zone && strcmp(j->vm->m[i].id, j->rq->zone) == 0)
			return &j->vm->m[i];
		txt_add(&list, "%s%s", i ? ", " : "", j->vm->m[i].id ? j->vm->m[i].id : "?");
	}
	REFUSE(j, "name one of the VM's zones", "there is no zone with this id; there are: %s", list.s);
	return NULL;
}

/* false: the bounds are wrong and multiples make no sense to judge. */
static bool check_bounds(struct judge *j)
{
	const struct resizable *m = j->m;
	uint64_t most = UINT64_MAX;

	if (m->hotplug_size == 0 && j->rq->size != m->boot_size) {
		REFUSE(j, "create the VM with hotplug_size",
		       "this memory was made without a hotplug_size and keeps its size of %s", size_text(m->boot_size).s);
		return false;
	}
	if (j->rq->size < m->boot_size) {
		REFUSE(j, "at least the size at boot", "below the size of %s that the guest was started with",
		       size_text(m->boot_size).s);
		return false;
	}
	if (!add_u64(m->boot_size, m->hotplug_size, &most) || j->rq->size > most) {
		REFUSE(j, "ask for less, or create the VM with a larger hotplug_size",
		       "beyond %s, which is %s at boot and %s to be plugged", size_text(most).s, size_text(m->boot_size).s,
		       size_text(m->hotplug_size).s);
		return false;
	}
	return true;
}

static void check_unit(struct judge *j, uint64_t unit, const char *what)
{
	uint64_t above = j->rq->size - j->m->boot_size;
	struct txt remedy;

	if (above % unit == 0)
		return;
	txt_set(&remedy, "%s or %s", size_text(j->rq->size - above % unit).s, size_text(j->rq->size - above % unit + unit).s);
	REFUSE(j, remedy.s, "%s more than at boot is not a multiple of %s, %s", size_text(above).s, size_text(unit).s, what);
}

static struct resize_decision decide_virtio_mem(struct judge *j)
{
	uint64_t block = j->m->page_size > VIRTIO_MEM_BLOCK ? j->m->page_size : VIRTIO_MEM_BLOCK;

	check_unit(j, block, "the block of this virtio-mem device");
	if (j->rq->size != j->m->current_size && !j->m->guest_driver && !j->rq->no_wait)
		REFUSE(j, "load virtio_mem in the guest, or use --no-wait to leave the request for later",
		       "the guest has no driver for virtio-mem: nobody would follow the request");
	return (struct resize_decision){.action = RESIZE_VIRTIO_MEM, .bytes = j->rq->size - j->m->boot_size};
}

static struct resize_decision decide_acpi(struct judge *j)
{
	uint64_t unit = j->m->page_size > HOTPLUG_ALIGN ? j->m->page_size : HOTPLUG_ALIGN;
	struct resize_decision d = {.action = RESIZE_ADD_DIMM};
	uint64_t left = j->m->current_size;
	struct txt sizes;

	check_unit(j, unit, "the step of ACPI memory hotplug");
	if (j->rq->size != j->m->current_size && !j->m->guest_driver && !j->rq->no_wait)
		REFUSE(j, "wait until its kernel is up, or use --no-wait",
		       "the guest has not looked at the machine's memory slots: it has no ACPI memory hotplug, or has not come so far");
	if (j->rq->size >= j->m->current_size) {
		d.bytes = j->rq->size - j->m->current_size;
		if (d.bytes && j->vm->n_dimms >= LIM_DIMMS)
			REFUSE(j, "use larger steps, or hotplug_method=virtio-mem", "all %u memory slots of this VM are taken",
			       LIM_DIMMS);
		return d;
	}
	/* A slot goes as a whole, newest first. */
	d.action = RESIZE_EJECT_DIMMS;
	txt_set(&sizes, "%s", "possible:");
	for (size_t i = j->vm->n_dimms < LIM_DIMMS ? j->vm->n_dimms : LIM_DIMMS; i > 0 && left > j->rq->size; i--) {
		if (j->vm->dimms[i - 1] > left - j->m->boot_size)
			break;
		left -= j->vm->dimms[i - 1];
		d.bytes += j->vm->dimms[i - 1];
		d.dimms++;
		txt_add(&sizes, " %s", size_text(left).s);
	}
	if (left != j->rq->size)
		REFUSE(j, sizes.s, "memory slots are given back whole, newest first, and no slot ends at this size");
	return d;
}

int resize_check(const struct resize_vm *vm, const struct resize_request *rq, struct resize_decision *ret, struct diags *ds)
{
	struct judge j = {.vm = vm, .rq = rq, .ds = ds, .option = rq->of_zone ? "resize-zone" : "resize"};
	struct resize_decision d = {.action = RESIZE_NOTHING};
	size_t before = ds->n_errors;

	if (rq->of_zone)
		txt_set(&j.text, "%s %s", rq->zone ? rq->zone : "", size_text(rq->size).s);
	else
		txt_set(&j.text, "%s", size_text(rq->size).s);
	j.m = find(&j);
	if (j.m && check_bounds(&j)) {
		d = vm->method == HOTPLUG_ACPI && !rq->of_zone ? decide_acpi(&j) : decide_virtio_mem(&j);
		if (rq->size == j.m->current_size)
			d = (struct resize_decision){.action = RESIZE_NOTHING};
		d.index = (size_t)(j.m - vm->m);
		d.plugged = rq->size - j.m->boot_size;
	}
	if (vm->life == RESIZE_NOT_BOOTED)
		REFUSE(&j, "boot the VM first", "the VM is not running: there is nobody who could take or give memory");
	else if (vm->life == RESIZE_PAUSED && !rq->no_wait && d.action != RESIZE_NOTHING)
		REFUSE(&j, "resume it first, or use --no-wait", "the VM is paused: the guest cannot follow");
	if (ds->n_errors > before)
		return -EINVAL;
	*ret = d;
	return 0;
}
