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

/* move_pages only knows what this process has mapped. Enters into our page tables what is in the object, and only that: reading a
 * hole would fill it, and undo what the guest's balloon has given back. Best effort: a page that the worker or a backend takes
 * away between the two calls is made again, empty. */
static void touch_resident(uint8_t *at, uint64_t len)
{
	unsigned char seen[PER_BYTES];
	size_t n = len / GUEST_PAGE;

	if (len > WINDOW || mincore(at, len, seen) < 0)
		return;
	for (size_t i = 0; i < n;) {
		size_t end = i;

		while (end < n && (seen[end] & 1) == (seen[i] & 1))
			end++;
		if (seen[i] & 1)
			madvise(at + i * GUEST_PAGE, (end - i) * GUEST_PAGE, MADV_POPULATE_READ);
		i = end;
	}
}

static int tally_window(const struct zone *z, uint64_t off, uint64_t len, bool complete, struct place_tally *t, struct err *e)
{
	uint8_t *at = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, z->fd, (off_t)off);
	int r;

	if (at == MAP_FAILED)
		return err_sys(e, -errno, "zone %s: cannot map it to count its pages", z->plan->id);
	if (complete)
		madvise(at, len, MADV_POPULATE_READ);
	else if (z->plan->backing == BACKING_MEMFD)
		touch_resident(at, len);
	r = place_tally_add(t, at, len, z->plan->page_size, e);
	munmap(at, len);
	return r;
}

static int query_zone(const struct zone *z, struct arena *a, struct zone_report *ret, struct err *e)
{
	const struct plan_zone *p = z->plan;
	uint64_t window = p->page_size > WINDOW ? p->page_size : WINDOW, next;
	uint64_t in_object = 0, seen = 0, plugged;
	bool complete, whole;
	struct place_tally t;
	struct stat st;

	memset(&t, 0, sizeof(t));
	if (syscall(SYS_fstat, z->fd, &st) < 0)
		return err_sys(e, -errno, "zone %s: its object", p->id);
	/* A hugetlb object cannot be asked which of its pages exist, only how many. Where that is all, or we put them there, they
	 * may be touched; otherwise it stays unknown where they are. */
	if (p->backing == BACKING_HUGETLB)
		in_object = (uint64_t)st.st_blocks * 512 / p->page_size;
	plugged = z->n_made * p->block_size;
	complete = in_object * p->page_size == p->size + plugged || z->reports;
	for (uint64_t off = 0; off < p->size; off = next) {
		int r;

		next = p->size - off < window ? p->size : off + window;
		r = tally_window(z, off, next - off, complete && p->backing != BACKING_MEMFD, &t, e);
		if (r < 0)
			return r;
	}
	/* Of the hotplug window only what is there. A page of a memfd that nobody has touched since it was made there looks like
	 * a hole. Where all of them must be there, because the object has so many, they may be touched. The guest goes on touching
	 * its boot memory, so the object is asked after what was seen of that. */
	for (size_t i = 0; i < LIM_HOST_NODES; i++)
		seen += t.node[i];
	if (syscall(SYS_fstat, z->fd, &st) < 0)
		return err_sys(e, -errno, "zone %s: its object", p->id);
	whole = p->backing != BACKING_MEMFD ||
		((!p->reserve || p->prefault) && (uint64_t)st.st_blocks * 512 >= seen * p->page_size + plugged);
	for (uint64_t b = 0, n; plugged && b < z->n_blocks; b += n) {
		uint64_t off = p->size + b * p->block_size, end;
		bool made;

		n = plug_run(z, b, &made);
		end = off + n * p->block_size;
		for (; made && off < end; off = next) {
			int r;

			next = end - off < window ? end : off + window;
			r = tally_window(z, off, next - off, whole, &t, e);
			if (r < 0)
				return r;
		}
	}
	seen = 0;
	for (size_t i = 0; i < LIM_HOST_NODES; i++)
		seen += t.node[i];
	if (in_object > seen && in_object - seen <= t.absent) {
		t.unknown = in_object - seen;
		t.absent -= t.unknown;
	}
	return place_tally_report(&t, p->page_size, z->index, a, ret, e);
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
		if (query_zone(z, a, &reports[n], NULL) == 0)
			n++;
	}
	return n;
}
