/* resize, resize-zone: judged, promised, and handed to the guest. How far the guest follows comes as events. */
#include "ops.h"

#include "model/resize_check.h"

#include <errno.h>
#include <string.h>

#define PLAIN_ZONE "__ram" /* how a plan calls plain memory */

enum resize_life op_resize_life(const struct vm *vm)
{
	if (vm->goal != GOAL_NONE || !vm->ready || vm->reset)
		return RESIZE_NOT_BOOTED;
	return vm->state == VM_RUNNING ? RESIZE_RUNNING : vm->state == VM_PAUSED ? RESIZE_PAUSED : RESIZE_NOT_BOOTED;
}

static enum hotplug_method method(const struct mem_plan *p)
{
	for (size_t i = 0; i < p->n_windows; i++)
		if (p->windows[i].kind == WINDOW_HOTPLUG_ACPI)
			return HOTPLUG_ACPI;
	return HOTPLUG_VIRTIO_MEM;
}

static void describe(const struct vm *vm, struct resizable *m, struct resize_vm *ret)
{
	*ret = (struct resize_vm){.life = op_resize_life(vm), .method = method(&vm->plan), .n = vm->plan.n_zones, .m = m};
	ret->n_dimms = vm->n_dimms;
	memcpy(ret->dimms, vm->dimms, vm->n_dimms * sizeof(vm->dimms[0]));
	for (size_t i = 0; i < vm->plan.n_zones; i++) {
		const struct plan_zone *z = &vm->plan.zones[i];

		m[i] = (struct resizable){
		    .id = strcmp(z->id, PLAIN_ZONE) ? z->id : NULL,
		    .boot_size = z->size,
		    .hotplug_size = z->hotplug_size,
		    .current_size = z->size + vm->grown[i].wanted,
		    .page_size = z->page_size,
		    .guest_driver = vm->grown[i].driver,
		};
	}
}

int op_resize(struct client *c, struct vm *vm, struct ctl_request *q, struct chan_msg *m, struct err *e)
{
	static struct diags ds; /* large, and only this request's */
	static struct resizable zones[LIM_ZONES];
	struct ctl_event ev = {.kind = CTL_EVENT_RESIZE, .vm_id = vm->id, .name = vm->name};
	struct resize_request rq = {.of_zone = q->zone != NULL, .zone = q->zone, .size = q->size, .no_wait = q->no_wait};
	static struct resize_vm now;
	struct resize_decision d;
	const struct grown *g;
	int r;

	if (q->balloon)
		return op_resize_balloon(c, vm, q, e);
	ds = (struct diags){0};
	describe(vm, zones, &now);
	if (resize_check(&now, &rq, &d, &ds) < 0) {
		client_send_reply(
		    c, &(struct ctl_reply){
			   .serial = q->serial, .code = -EINVAL, .text = "the memory cannot be resized like this", .diags = &ds});
		return 0;
	}
	g = &vm->grown[d.index];
	/* What it has not reached yet it is asked for again, and may try at once. Of DIMMs that is those asked back: one that is being
	 * added would begin anew. */
	if (d.action == RESIZE_NOTHING &&
	    (now.method == HOTPLUG_VIRTIO_MEM ? g->plugged != g->wanted : g->plugged > g->wanted))
		d = (struct resize_decision){.action = RESIZE_VIRTIO_MEM, .index = d.index, .plugged = g->wanted};
	if (d.action != RESIZE_NOTHING) {
		r = grow_ask(vm, d.index, d.plugged, e);
		if (r < 0)
			return r;
	}
	op_done(c, q, vm);
	c->watch_vm = vm->id;
	ev.zone = vm->plan.zones[d.index].id;
	ev.done = vm->plan.zones[d.index].size + g->plugged - g->idle;
	ev.total = q->size;
	ev.text = g->refused;
	ev.over = d.action == RESIZE_NOTHING && g->over;
	client_send_event(c, &ev);
	return 0;
}
