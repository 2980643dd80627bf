/* What memsrv says. */
#include "client.h"
#include "vm.h"

#include "bulkhead/fd.h"

#include <errno.h>

static void take_zones(struct vm *vm, const struct ms_zones *z, struct chan_msg *m)
{
	for (size_t i = 0; i < z->n_tags; i++) {
		uint16_t zone = z->tags[i].index;

		if (z->tags[i].role != FD_ROLE_ZONE || zone >= vm->plan.n_zones || vm->plan.zones[zone].backing == BACKING_ANON ||
		    vm->zones[zone] >= 0)
			return helper_out_of_turn(&vm->memsrv, "sent a zone that nobody asked for");
		vm->zones[zone] = fd_take(&m->fds[i]);
	}
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		if (vm->plan.zones[i].backing != BACKING_ANON && vm->zones[i] < 0)
			return helper_out_of_turn(&vm->memsrv, "left out a zone");
	helper_counted(&vm->memsrv, z->reports, z->n_reports);
	vm->zones_ready = true;
	vm->memsrv.until = 0;
	vm_grant(vm);
}

static void memsrv_says(struct vm *vm, const struct ms_msg *ms, struct chan_msg *m)
{
	switch (ms->op) {
	case MS_ZONES:
		if (!vm->zones_ready)
			return take_zones(vm, &ms->u.zones, m);
		if (ms->u.zones.n_tags)
			return helper_out_of_turn(&vm->memsrv, "sent its zones twice");
		if (!vm->memsrv.owed)
			return helper_out_of_turn(&vm->memsrv, "counted pages without being asked");
		vm->memsrv.owed--;
		helper_counted(&vm->memsrv, ms->u.zones.reports, ms->u.zones.n_reports);
		vm->query_memsrv = vm->query_memsrv && vm->memsrv.owed > 0;
		if (vm->query_until)
			vm_query_done(vm);
		return;
	case MS_PROGRESS:
		if (vm->zones_ready)
			return helper_out_of_turn(&vm->memsrv, "reported progress after the end");
		return helper_progress(&vm->memsrv, ms->u.progress.zone, ms->u.progress.done, ms->u.progress.total,
				       VM_MEMSRV_SILENCE_MS);
	case MS_FAILED:
		helper_exits(&vm->memsrv);
		if (vm->zones_ready) {
			vm_set_end(vm, END_MEMSRV_DIED, "memsrv gave up: %.200s", ms->u.failed.text);
			vm->drop_memory = true;
			return vm_take_down(vm, GOAL_STOPPED);
		}
		return vm_fail(vm, ms->u.failed.code, "%s", ms->u.failed.text);
	case MS_PLAN:
	case MS_QUERY:
	case MS_PLUGGER:
	case MS_ALLOW:
		break;
	}
	helper_out_of_turn(&vm->memsrv, "sent a message that is for it");
}

int hear_memsrv(struct vm *vm, struct chan_msg *m, struct arena *a, struct err *e)
{
	static struct ms_msg ms; /* large */
	int r = ms_decode(m, a, &ms, e);

	if (r < 0)
		return r;
	if (!vm->memsrv.killed)
		memsrv_says(vm, &ms, m);
	return 0;
}
