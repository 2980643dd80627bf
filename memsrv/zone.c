#include "zone.h"

#include "bulkhead/fd.h"
#include "place/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

void zones_init(struct zones *zs, const struct mem_plan *plan)
{
	zs->n = plan->n_zones;
	zs->only_node = -1;
	for (size_t i = 0; i < zs->n; i++)
		zs->z[i] = (struct zone){.plan = &plan->zones[i], .index = (uint16_t)i, .fd = -1};
}

void zones_free(struct zones *zs)
{
	for (size_t i = 0; i < zs->n; i++) {
		zone_unmap(&zs->z[i]);
		fd_cleanup(&zs->z[i].fd);
	}
	zs->n = 0;
}

int zone_accept_file(struct zone *z, int fd, struct err *e)
{
	char need[PLACE_TEXT_MAX], have[PLACE_TEXT_MAX];
	const struct plan_zone *p = z->plan;
	bool shared = p->backing == BACKING_FILE_SHARED;
	struct stat st;
	int fl;

	if (!shared && p->backing != BACKING_FILE_PRIVATE)
		return err_set(e, -EPROTO, "zone %s: came with a file although it is not backed by one", p->id);
	if (z->fd >= 0)
		return err_set(e, -EPROTO, "zone %s: came with two files", p->id);
	fl = fcntl(fd, F_GETFL);
	if (fl < 0)
		return err_sys(e, -errno, "zone %s: its file", p->id);
	if (fl & O_PATH)
		return err_set(e, -EBADF, "zone %s: its file was not opened for access", p->id);
	if (shared && (fl & O_ACCMODE) != O_RDWR)
		return err_set(e, -EACCES, "zone %s: shared=on writes to its file, which was opened without the right to", p->id);
	/* The fd goes on to the worker: what a guest cannot need, a worker must not have. */
	if (!shared && (fl & O_ACCMODE) != O_RDONLY)
		return err_set(e, -EACCES, "zone %s: shared=off never writes to its file, which was opened with the right to",
			       p->id);
	/* Not fstat(): glibc makes newfstatat of it, which could take a path, and the filters know none of those. */
	if (syscall(SYS_fstat, fd, &st) < 0)
		return err_sys(e, -errno, "zone %s: its file", p->id);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "zone %s: file= must name a regular file", p->id);
	if ((uint64_t)st.st_size < plan_zone_object_size(p))
		return err_set(e, -EINVAL, "zone %s: its file has %s, %s are needed: make it longer or the zone smaller", p->id,
			       place_size_text(have, sizeof(have), (uint64_t)st.st_size),
			       place_size_text(need, sizeof(need), plan_zone_object_size(p)));
	z->fd = fd;
	return 0;
}

static int make_memfd(const struct plan_zone *p, struct err *e)
{
	char name[sizeof("bulkhead:") + LIM_ID], page[PLACE_TEXT_MAX];
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL;
	int fd;

	snprintf(name, sizeof(name), "bulkhead:%s", p->id);
	if (p->backing == BACKING_HUGETLB)
		flags |= MFD_HUGETLB | (unsigned)__builtin_ctzll(p->page_size) << MFD_HUGE_SHIFT;
	fd = memfd_create(name, flags);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3; guest memory is then merely not marked as never executable */
		fd = memfd_create(name, flags & ~MFD_NOEXEC_SEAL);
	if (fd >= 0)
		return fd;
	if (p->backing == BACKING_HUGETLB && (errno == ENODEV || errno == EINVAL || errno == ENOENT))
		return err_set(e, -ENODEV, "zone %s: this host has no huge pages of %s", p->id,
			       place_size_text(page, sizeof(page), p->page_size));
	return err_sys(e, -errno, "zone %s: memfd_create", p->id);
}

int zone_create(struct zone *z, struct err *e)
{
	const struct plan_zone *p = z->plan;
	uint64_t size = plan_zone_object_size(p);
	char text[PLACE_TEXT_MAX];
	CLEANUP(fd_cleanup) int fd = -1;

	switch (p->backing) {
	case BACKING_ANON:
		return 0;
	case BACKING_FILE_SHARED:
	case BACKING_FILE_PRIVATE:
		if (z->fd < 0)
			return err_set(e, -EPROTO, "zone %s: its file is missing", p->id);
		return 0;
	case BACKING_MEMFD:
	case BACKING_HUGETLB:
		break;
	}
	if (!is_pow2(p->page_size) || !is_aligned(size, p->page_size))
		return err_set(e, -EINVAL, "zone %s: %" PRIu64 " bytes are not whole pages of %" PRIu64, p->id, size,
			       p->page_size);
	fd = make_memfd(p, e);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)size) < 0)
		return err_sys(e, -errno, "zone %s: an object of %s", p->id, place_size_text(text, sizeof(text), size));
	z->fd = fd_take(&fd);
	return 0;
}

/* place_bind on a hugetlb memfd holds for this process's mapping only (the kernel keeps no policy in the object), so whoever
 * wants the policy must touch the pages first, here. */
static bool policy_is_lost(const struct plan_zone *p)
{
	return p->backing == BACKING_HUGETLB && p->host_policy != HOST_POLICY_UNSET && p->host_policy != HOST_POLICY_LOCAL;
}

/* Whether its pages must be there before the VM is; see README.md for why. */
static bool wants_populate(const struct plan_zone *p)
{
	switch (p->backing) {
	case BACKING_ANON:
	case BACKING_FILE_PRIVATE:
		return false;
	case BACKING_FILE_SHARED:
		return p->prefault; /* reserve=on needs its blocks only: zone_map allocates them */
	case BACKING_MEMFD:
		return p->prefault || p->reserve; /* the kernel knows no reservation of small pages but the page itself */
	case BACKING_HUGETLB:
		return p->prefault || policy_is_lost(p);
	}
	return false;
}

static int reserve_blocks(const struct zone *z, struct err *e)
{
	while (fallocate(z->fd, 0, 0, (off_t)z->plan->size) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EOPNOTSUPP)
			return err_set(e, -EOPNOTSUPP,
				       "zone %s: reserve=on, but its file's file system cannot reserve space: use prefault=on",
				       z->plan->id);
		return err_sys(e, -errno, "zone %s: reserve=on for its file", z->plan->id);
	}
	return 0;
}

static int explain_map(const struct plan_zone *p, int code, struct err *e)
{
	char page[PLACE_TEXT_MAX];

	if (p->backing == BACKING_HUGETLB && code == -ENOMEM)
		return err_set(e, code, "zone %s: %" PRIu64 " huge pages of %s needed, fewer are free and not reserved by others",
			       p->id, p->size / p->page_size, place_size_text(page, sizeof(page), p->page_size));
	return err_sys(e, code, "zone %s: cannot map it", p->id);
}

int zone_map(struct zone *z, struct err *e)
{
	const struct plan_zone *p = z->plan;
	int flags = MAP_SHARED, r;
	void *at;

	if (p->backing == BACKING_ANON || p->backing == BACKING_FILE_PRIVATE || p->size == 0)
		return 0;
	if (p->backing == BACKING_FILE_SHARED && p->reserve) {
		r = reserve_blocks(z, e);
		if (r < 0)
			return r;
	}
	/* Without MAP_NORESERVE hugetlb takes its reservation now, for the object, in one step: all or nothing. */
	if (!p->reserve)
		flags |= MAP_NORESERVE;
	at = mmap(NULL, p->size, PROT_READ | PROT_WRITE, flags, z->fd, 0);
	if (at == MAP_FAILED)
		return explain_map(p, -errno, e);
	z->map = at;
	r = place_bind(at, p->size, p, e);
	return r < 0 ? r : place_advise(at, p->size, p, e);
}

int zones_populate(struct zones *zs, place_progress_fn *progress, void *arg, struct err *e)
{
	struct place_job jobs[LIM_ZONES] = {0};
	size_t n = 0;
	int r;

	for (size_t i = 0; i < zs->n; i++) {
		struct zone *z = &zs->z[i];

		if (z->map && wants_populate(z->plan))
			jobs[n++] = (struct place_job){z->map, z->plan->size, z->plan, z->index};
	}
	r = place_populate(jobs, n, 0, progress, arg, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		zs->z[jobs[i].index].reports = true;
	return 0;
}

int zones_verify(struct zones *zs, struct arena *a, struct zone_report *reports, size_t *ret_n, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < zs->n; i++) {
		struct zone *z = &zs->z[i];
		int r;

		if (!z->reports)
			continue;
		r = place_census(z->map, z->plan->size, z->plan, z->index, a, &reports[n], e);
		if (r < 0)
			return r;
		r = place_verify(&reports[n++], z->plan, e);
		if (r < 0)
			return r;
	}
	*ret_n = n;
	return 0;
}

int zone_seal(struct zone *z, struct err *e)
{
	if (z->plan->backing != BACKING_MEMFD && z->plan->backing != BACKING_HUGETLB)
		return 0;
	/* F_SEAL_WRITE would stop the guest, and holes must stay possible for unplugging. */
	if (fcntl(z->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_sys(e, -errno, "zone %s: cannot seal its object", z->plan->id);
	return 0;
}

void zone_unmap(struct zone *z)
{
	if (z->map)
		munmap(z->map, z->plan->size);
	z->map = NULL;
}
