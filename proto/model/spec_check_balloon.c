/* --balloon, and its size while the VM runs. */
#include "model/resize_check.h"
#include "model/spec_check_int.h"

#include <errno.h>

static const char option[] = "--balloon";

/* false: it has said why. most: what the guest has; the balloon must leave some of it. */
static bool check_size(struct diags *ds, uint64_t size, uint64_t most)
{
	struct txt t, near;

	txt_set(&t, "size=%s", size_text(size).s);
	if (size % GUEST_PAGE) {
		txt_set(&near, "%s or %s", size_text(size - size % GUEST_PAGE).s,
			size_text(size - size % GUEST_PAGE + GUEST_PAGE).s);
		diag_add(ds, DIAG_ERROR, option, t.s, size < BALLOON_MAX ? near.s : "ask for less",
			 "not a multiple of %s, the guest's page", size_text(GUEST_PAGE).s);
		return false;
	}
	if (size && size >= most) {
		diag_add(ds, DIAG_ERROR, option, t.s, "ask for less", "the guest has %s and cannot give up all of it",
			 size_text(most).s);
		return false;
	}
	if (size > BALLOON_MAX) {
		diag_add(ds, DIAG_ERROR, option, t.s, "ask for less", "a balloon can have at most %s", size_text(BALLOON_MAX).s);
		return false;
	}
	return true;
}

/* What plan_zone_gives will say, in the words of whoever asked for it. NULL: it gives. */
static const char *keeps(const struct mem_opts *o, const char *file)
{
	if (file)
		return "its pages are a file's";
	if (mem_opts_huge(o))
		return "a huge page cannot be given back in part";
	if (o->reserve == TRI_ON)
		return "reserve=on keeps them for it";
	return NULL;
}

static void check_zones(struct check *c)
{
	const char *why = keeps(&c->s->memory.o, NULL), *first = NULL;
	size_t giving = c->n_zones ? 0 : !why;
	struct txt t;

	if (!c->n_zones)
		first = why;
	for (size_t i = 0; i < c->n_zones; i++) {
		const struct zone_spec *z = &c->s->zones[i];

		why = keeps(&z->o, z->file);
		giving += !why;
		first = first ? first : why;
	}
	if (!giving) {
		FAIL(c, option, c->n_zones > 1 ? "no zone" : "the memory",
		     "leave --balloon out, or use memory of small pages without reserve and file",
		     "no memory of this VM gives pages back: %s", first);
		return;
	}
	for (size_t i = 0; i < c->n_zones; i++) {
		const struct zone_spec *z = &c->s->zones[i];

		why = keeps(&z->o, z->file);
		if (why)
			NOTE(c, option, txt_set(&t, "id=%s", shown(z->id)), "",
			     "this zone keeps the pages that its guest gives up: %s", why);
	}
}

void check_balloon(struct check *c)
{
	const struct balloon_spec *b = &c->s->balloon;
	uint64_t boot = c->n_zones ? 0 : vm_spec_plain_size(c->s);
	bool known = true;

	if (!b->given)
		return;
	for (size_t i = 0; i < c->n_zones && known; i++)
		known = add_u64(boot, c->s->zones[i].o.size, &boot);
	check_size(c->ds, b->size, known ? boot : UINT64_MAX);
	check_tri(c, option, option, "deflate_on_oom", b->deflate_on_oom);
	check_tri(c, option, option, "free_page_reporting", b->free_page_reporting);
	check_zones(c);
}

int balloon_resize_check(const struct balloon_resize *r, struct diags *ds)
{
	struct txt t;
	size_t before = ds->n_errors;

	txt_set(&t, "%s", size_text(r->size).s);
	if (!r->there)
		diag_add(ds, DIAG_ERROR, option, t.s, "create the VM with --balloon size=0",
			 "this VM was made without a balloon");
	else if (check_size(ds, r->size, r->memory) && r->size != r->current && !r->guest_driver && !r->no_wait &&
		 r->life == RESIZE_RUNNING)
		diag_add(ds, DIAG_ERROR, option, t.s,
			 "load virtio_balloon in the guest, or use --no-wait to leave the request for later",
			 "the guest has no driver for the balloon: nobody would follow the request");
	if (r->life == RESIZE_NOT_BOOTED)
		diag_add(ds, DIAG_ERROR, option, t.s, "boot the VM first",
			 "the VM is not running: there is nobody who could take or give memory");
	else if (r->life == RESIZE_PAUSED && !r->no_wait && r->size != r->current)
		diag_add(ds, DIAG_ERROR, option, t.s, "resume it first, or use --no-wait",
			 "the VM is paused: the guest cannot follow");
	return ds->n_errors > before ? -EINVAL : 0;
}
