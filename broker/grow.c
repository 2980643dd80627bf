#include "grow.h"

#include "client.h"
#include "vm.h"

#include "bulkhead/fd.h"
#include "host/hostfacts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool of_memsrv(const struct plan_zone *z)
{
	return z->hotplug_size && !vm_worker_has_pages(z);
}

void grow_init(struct vm *vm)
{
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		vm->grown[i].wanted = vm->grown[i].most = vm->grown[i].told = vm->plan.zones[i].hotplugged_size;
}

static int allow(struct vm *vm, size_t zone)
{
	struct ms_msg m = {.op = MS_ALLOW, .u.allow = {(uint16_t)zone, vm->grown[zone].wanted}};

	return of_memsrv(&vm->plan.zones[zone]) ? vm_send_memsrv(vm, &m, NULL, 0) : 0;
}

int grow_connect(struct vm *vm, int *ret_fd, struct err *e)
{
	CLEANUP(fd_cleanup) int theirs = -1;
	CLEANUP(fd_cleanup) int workers = -1;
	bool needed = false;
	int r;

	*ret_fd = -1;
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		needed = needed || of_memsrv(&vm->plan.zones[i]);
	if (!needed)
		return 0;
	r = chan_pair(0, &theirs, &workers, e);
	if (r < 0)
		return r;
	if (vm_send_memsrv(vm, &(struct ms_msg){.op = MS_PLUGGER}, &theirs, 1) < 0)
		return err_set(e, -EPIPE, "memsrv does not take the channel for hotplug memory");
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		if (allow(vm, i) < 0)
			return err_set(e, -EPIPE, "memsrv does not listen");
	*ret_fd = fd_take(&workers);
	return 0;
}

/* memsrv hears of it first: what the worker then asks of it is allowed. */
static void send_wanted(struct vm *vm, size_t zone)
{
	struct grown *g = &vm->grown[zone];
	struct wk_msg m = {.op = WK_RESIZE, .u.resize = {(uint16_t)zone, g->wanted, ++g->request}};

	if (allow(vm, zone) == 0 && vm_send_worker(vm, &m, NULL, 0) == 0) {
		g->asked = true;
		g->over = false;
		g->told = g->wanted;
	}
}

void grow_granted(struct vm *vm)
{
	for (size_t i = 0; i < vm->plan.n_zones; i++)
		if (vm->plan.zones[i].hotplug_size && vm->grown[i].wanted != vm->plan.zones[i].hotplugged_size)
			send_wanted(vm, i);
}

void grow_worker_gone(struct vm *vm)
{
	for (size_t i = 0; i < vm->plan.n_zones; i++) {
		struct grown *g = &vm->grown[i];

		g->promise_until = 0;
		g->plugged = g->idle = 0;
		g->most = g->wanted;
		g->told = vm->plan.zones[i].hotplugged_size; /* a new one knows the plan */
		g->driver = g->asked = g->over = false;
		g->refused[0] = '\0';
		g->denied = g->strayed = 0;
	}
	vm->n_dimms = 0;
}

/* false: these cannot all be in the zone's window. */
static bool keep_dimms(struct vm *vm, const struct plan_zone *z, const struct wk_memory *m)
{
	uint64_t left = z->hotplug.len.v / z->block_size;

	for (size_t i = 0; i < m->n_dimms; i++) {
		if (m->dimms[i] > left)
			return false;
		left -= m->dimms[i];
	}
	for (size_t i = 0; i < m->n_dimms; i++)
		vm->dimms[i] = m->dimms[i] * z->block_size;
	vm->n_dimms = m->n_dimms;
	return true;
}

/* With ACPI a request ends where the guest leaves it, and what there is then is what it is to have. Never more than was promised for
 * it at some time since that was so last. */
static bool settle(struct vm *vm, size_t zone, const struct wk_memory *m)
{
	struct grown *g = &vm->grown[zone];

	if (m->wanted > g->most)
		return false;
	if (m->wanted != g->wanted) {
		g->wanted = g->told = m->wanted;
		allow(vm, zone);
	}
	g->most = g->wanted;
	return true;
}

bool grow_heard(struct vm *vm, const struct wk_memory *m)
{
	const struct plan_zone *z = m->zone < vm->plan.n_zones ? &vm->plan.zones[m->zone] : NULL;
	struct ctl_event ev = {.kind = CTL_EVENT_RESIZE, .vm_id = vm->id, .name = vm->name, .text = m->refused};
	struct grown *g;
	bool news;

	if (!z || !z->hotplug_size || m->plugged > z->hotplug.len.v || m->wanted > z->hotplug.len.v || m->idle > m->plugged ||
	    !keep_dimms(vm, z, m))
		return false;
	g = &vm->grown[m->zone];
	news = g->asked || g->plugged != m->plugged || g->driver != m->driver || strcmp(g->refused, m->refused ? m->refused : "") ||
	       g->idle != m->idle || g->over != m->over || g->wanted != m->wanted;
	g->denied = m->denied;
	g->strayed = m->strayed;
	if (!news)
		return true;
	g->plugged = m->plugged;
	g->idle = m->idle;
	g->driver = m->driver;
	if (g->asked && m->request != g->request)
		return true; /* it has not read the last one yet */
	snprintf(g->refused, sizeof(g->refused), "%s", m->refused ? m->refused : "");
	g->asked = false;
	if (g->told != g->wanted) {
		send_wanted(vm, m->zone); /* somebody was faster than the answer */
		return true;
	}
	ev.zone = z->id;
	ev.done = z->size + g->plugged - g->idle;
	ev.total = z->size + g->wanted;
	ev.over = g->over = m->over;
	if (m->over && !settle(vm, m->zone, m))
		return false;
	if (g->plugged == g->wanted)
		g->promise_until = 0; /* from now on the kernel's counts have it */
	clients_tell(vm->b, vm, &ev);
	return true;
}

/* So many bytes of a zone that are guaranteed, as a plan. One at a time. */
static const struct mem_plan *as_plan(const struct plan_zone *z, uint64_t bytes)
{
	static struct mem_plan one; /* large; the rest of it stays zero */

	one.n_zones = 1;
	one.zones[0] = *z;
	one.zones[0].size = bytes;
	one.zones[0].reserve = true;
	one.zones[0].hotplug_size = one.zones[0].hotplugged_size = 0;
	return &one;
}

void grow_promised(struct broker *b, const struct grown *but, struct host_facts *f)
{
	for (size_t i = 0; i < LIM_VMS; i++) {
		const struct vm *vm = b->vms[i];

		for (size_t k = 0; vm && !vm->dead && k < vm->plan.n_zones; k++) {
			const struct grown *g = &vm->grown[k];

			if (g != but && g->promise_until && g->wanted > g->plugged)
				ledger_less(f, as_plan(&vm->plan.zones[k], g->wanted - g->plugged));
		}
	}
}

int grow_ask(struct vm *vm, size_t zone, uint64_t bytes, struct err *e)
{
	static struct host_facts f; /* large */
	struct grown *g = &vm->grown[zone];
	struct broker *b = vm->b;
	int r;

	if (bytes > g->plugged && (bytes > g->wanted || !g->promise_until)) {
		r = host_facts_refresh(HOST_ROOT_REAL, &b->facts, e);
		if (r < 0)
			return r;
		f = b->facts;
		grow_promised(b, g, &f);
		r = ledger_would(&b->ledger, &f, as_plan(&vm->plan.zones[zone], bytes - g->plugged), e);
		if (r < 0)
			return r;
	}
	g->promise_until = bytes > g->plugged ? now_ms() + VM_GROW_MS : 0;
	g->wanted = bytes;
	if (g->most < bytes)
		g->most = bytes;
	if (!g->asked)
		send_wanted(vm, zone);
	return 0;
}

void grow_tick(struct vm *vm, uint64_t now, uint64_t *next)
{
	for (size_t i = 0; i < vm->plan.n_zones; i++) {
		struct grown *g = &vm->grown[i];

		if (g->promise_until && g->promise_until <= now)
			g->promise_until = 0;
		else if (g->promise_until && g->promise_until < *next)
			*next = g->promise_until;
	}
}
