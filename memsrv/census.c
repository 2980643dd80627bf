/* Counting pages that others have touched, long after the mapping of the start is gone. */
#include "plug.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* Mapped piece by piece: page tables for a whole zone would cost 2 MiB for each GiB, again with every question. */
#define WINDOW    (16 * MiB)
#define PER_BYTES (WINDOW / GUEST_PAGE)
#define STEP      (64 * KiB)
#define LOOKS     4u

/* What a memfd has, in pages. */
struct there {
	uint64_t boot, plugged; /* that mincore sees */
	uint64_t unseen;        /* plugged pages that it does not see: nobody has touched them since they were made, or they are swapped out */
};

static void *map_window(const struct zone *z, uint64_t off, uint64_t len, struct err *e)
{
	void *at = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, z->fd, (off_t)off);

	if (at != MAP_FAILED)
		return at;
	err_sys(e, -errno, "zone %s: cannot map it to count its pages", z->plan->id);
	return NULL;
}

static int object_pages(const struct zone *z, uint64_t *ret, struct err *e)
{
	struct stat st;

	if (syscall(SYS_fstat, z->fd, &st) < 0)
		return err_sys(e, -errno, "zone %s: its object", z->plan->id);
	*ret = (uint64_t)st.st_blocks * 512 / z->plan->page_size;
	return 0;
}

/* The next stretch of plugged blocks from *block on, as bytes of the object; false: there is none. */
static bool next_plugged(const struct zone *z, uint64_t *block, uint64_t *ret_off, uint64_t *ret_len)
{
	bool made = false;

	while (*block < z->n_blocks && !made) {
		uint64_t n = plug_run(z, *block, &made);

		*ret_off = z->plan->size + *block * z->plan->block_size;
		*ret_len = n * z->plan->block_size;
		*block += n;
	}
	return made;
}

/* Adds the pages that others have touched, and touches none itself. */
static int count_seen(const struct zone *z, uint64_t off, uint64_t len, uint64_t *pages, struct err *e)
{
	unsigned char seen[PER_BYTES];

	for (uint64_t part, end = off + len; off < end; off += part) {
		void *at;
		int r;

		part = end - off < WINDOW ? end - off : WINDOW;
		at = map_window(z, off, part, e);
		if (!at)
			return -ENOMEM;
		r = mincore(at, part, seen);
		for (size_t i = 0; r == 0 && i < part / GUEST_PAGE; i++)
			*pages += seen[i] & 1;
		munmap(at, part);
		if (r < 0)
			return err_sys(e, -errno, "zone %s: cannot tell which of its pages exist", z->plan->id);
	}
	return 0;
}

/* The guest goes on touching and giving back, so it is looked at again where the object has changed meanwhile; not for ever. */
static int look(const struct zone *z, struct there *ret, struct err *e)
{
	uint64_t most = z->n_made * (z->plan->block_size / GUEST_PAGE), before = 0, after = 0;
	int r;

	for (unsigned i = 0; i < LOOKS; i++) {
		*ret = (struct there){0};
		r = object_pages(z, &before, e);
		if (r == 0)
			r = count_seen(z, 0, z->plan->size, &ret->boot, e);
		for (uint64_t b = 0, off, len; r == 0 && next_plugged(z, &b, &off, &len);)
			r = count_seen(z, off, len, &ret->plugged, e);
		if (r == 0)
			r = object_pages(z, &after, e);
		if (r < 0)
			return r;
		if (before == after)
			break;
	}
	if (after > ret->boot + ret->plugged)
		ret->unseen = after - ret->boot - ret->plugged;
	if (ret->unseen > most - ret->plugged) /* what boot memory has swapped out */
		ret->unseen = most - ret->plugged;
	return 0;
}

/* move_pages only knows what this process has mapped. Enters into our page tables what is in the object, and only that: reading a
 * hole would fill it, and undo what the guest's balloon has given back. There is no call that does it in one: a page that the worker
 * or a back-end takes away between these two is made again, empty. Few pages at a time keep that rare. */
static void touch_resident(uint8_t *at, uint64_t len)
{
	unsigned char seen[STEP / GUEST_PAGE];

	for (uint64_t part, off = 0; off < len; off += part) {
		part = len - off < STEP ? len - off : STEP;
		if (mincore(at + off, part, seen) < 0)
			return;
		for (size_t i = 0, end, n = part / GUEST_PAGE; i < n; i = end) {
			for (end = i; end < n && (seen[end] & 1) == (seen[i] & 1);)
				end++;
			if (seen[i] & 1)
				madvise(at + off + i * GUEST_PAGE, (end - i) * GUEST_PAGE, MADV_POPULATE_READ);
		}
	}
}

/* complete: all of it exists, and may be touched. */
static int tally(const struct zone *z, uint64_t off, uint64_t len, bool complete, struct place_tally *t, struct err *e)
{
	uint64_t window = z->plan->page_size > WINDOW ? z->plan->page_size : WINDOW;

	for (uint64_t part, end = off + len; off < end; off += part) {
		uint8_t *at;
		int r;

		part = end - off < window ? end - off : window;
		at = map_window(z, off, part, e);
		if (!at)
			return -ENOMEM;
		if (complete)
			madvise(at, part, MADV_POPULATE_READ);
		else if (z->plan->backing == BACKING_MEMFD)
			touch_resident(at, part);
		r = place_tally_add(t, at, part, z->plan->page_size, e);
		munmap(at, part);
		if (r < 0)
			return r;
	}
	return 0;
}

static int tally_zone(const struct zone *z, bool boot_complete, bool plugged_complete, struct place_tally *t, struct err *e)
{
	int r = tally(z, 0, z->plan->size, boot_complete, t, e);

	/* Of the hotplug window only what is there. */
	for (uint64_t b = 0, off, len; r == 0 && next_plugged(z, &b, &off, &len);)
		r = tally(z, off, len, plugged_complete, t, e);
	return r;
}

static void unknown(struct place_tally *t, uint64_t pages)
{
	t->unknown = pages < t->absent ? pages : t->absent;
	t->absent -= t->unknown;
}

/* Where there is one node there is nothing to look for: nothing is touched. */
static int query_memfd(const struct zone *z, int only_node, struct place_tally *t, struct err *e)
{
	uint64_t most = z->n_made * (z->plan->block_size / GUEST_PAGE), all = z->plan->size / GUEST_PAGE + most;
	struct there there;
	bool whole;
	int r = look(z, &there, e);

	if (r < 0)
		return r;
	if (only_node >= 0) {
		t->node[only_node] = there.boot + there.plugged + there.unseen;
		t->absent = all - t->node[only_node];
		return 0;
	}
	/* Plugged pages that nobody has touched look like holes, also to us. Where all of them are there they may be touched. */
	whole = there.plugged + there.unseen == most;
	r = tally_zone(z, false, whole, t, e);
	if (r == 0 && !whole)
		unknown(t, there.unseen);
	return r;
}

/* A hugetlb object cannot be asked which of its pages exist, only how many. Where that is all, or we put them there, they may be
 * touched, as what is plugged always may; otherwise it stays unknown where they are. No such page is ever given back by a balloon. */
static int query_hugetlb(const struct zone *z, struct place_tally *t, struct err *e)
{
	uint64_t most = z->n_made * (z->plan->block_size / z->plan->page_size), in_object, seen = 0;
	int r = object_pages(z, &in_object, e);

	if (r == 0)
		r = tally_zone(z, in_object == z->plan->size / z->plan->page_size + most || z->reports, true, t, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < LIM_HOST_NODES; i++)
		seen += t->node[i];
	if (in_object > seen)
		unknown(t, in_object - seen);
	return 0;
}

static int query_zone(const struct zone *z, int only_node, struct arena *a, struct zone_report *ret, struct err *e)
{
	struct place_tally t;
	int r;

	memset(&t, 0, sizeof(t));
	r = z->plan->backing == BACKING_MEMFD ? query_memfd(z, only_node, &t, e) : query_hugetlb(z, &t, e);
	return r < 0 ? r : place_tally_report(&t, z->plan->page_size, z->index, a, ret, e);
}

size_t zones_query(const struct zones *zs, struct arena *a, struct zone_report *reports)
{
	size_t n = 0;

	for (size_t i = 0; i < zs->n; i++) {
		const struct zone *z = &zs->z[i];

		/* The page cache of a granted file is not ours to look into: the kernel answers only to the file's owner. */
		if (z->fd < 0 || (z->plan->backing != BACKING_MEMFD && z->plan->backing != BACKING_HUGETLB))
			continue;
		/* A question must never cost the VM: what cannot be counted is left out. */
		if (query_zone(z, zs->only_node, a, &reports[n], NULL) == 0)
			n++;
	}
	return n;
}
