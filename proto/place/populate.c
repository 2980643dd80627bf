/* MADV_POPULATE_WRITE over all zones at once, and words for its errors. */
#include "place/pool.h"
#include "place/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int populate_chunk(const struct place_job *job, uint64_t off, uint64_t len, struct place_tally *unused)
{
	/* EAGAIN and EINTR leave the range half done; doing it again skips what is there. */
	while (madvise((uint8_t *)job->at + off, len, MADV_POPULATE_WRITE) < 0)
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	return 0;
}

static int explain(const struct place_job *job, int code, uint64_t done, struct err *e)
{
	char nodes[PLACE_TEXT_MAX], page[PLACE_TEXT_MAX], all[PLACE_TEXT_MAX], part[PLACE_TEXT_MAX];
	const struct plan_zone *z = job->zone;
	const char *where = place_nodes_text(nodes, sizeof(nodes), &z->host_nodes);
	struct place_tally t = {0};
	uint64_t came;

	/* The chunks that failed are partly there too. */
	if (place_tally_add(&t, job->at, job->len, z->page_size, NULL) == 0)
		done = job->len - t.absent * z->page_size;
	came = done / z->page_size;
	place_size_text(page, sizeof(page), z->page_size);
	place_size_text(all, sizeof(all), job->len);
	place_size_text(part, sizeof(part), done);

	if (z->backing == BACKING_HUGETLB && (code == -EFAULT || code == -ENOMEM))
		return err_set(e, -ENOMEM,
			       "zone %s: %" PRIu64 " huge pages of %s needed%s, %" PRIu64 " came (populate stopped at %s of %s)",
			       z->id, job->len / z->page_size, page, where, came, part, all);
	switch (code) {
	case -ENOMEM:
		return err_set(e, code, "zone %s: %s of memory needed%s, %s came, then the host had none left to give", z->id,
			       all, where, part);
	case -EFAULT:
		if (z->backing == BACKING_FILE_SHARED || z->backing == BACKING_FILE_PRIVATE)
			return err_set(
			    e, -EIO,
			    "zone %s: its file gave %s of %s, then failed: it became shorter, its file system is full, or its "
			    "disk has errors",
			    z->id, part, all);
		return err_set(e, -ENOMEM,
			       "zone %s: %s of memory needed%s, %s came, then the host refused more (a memory cgroup's limit?)",
			       z->id, all, where, part);
	case -EHWPOISON:
		return err_set(
		    e, code,
		    "zone %s: the host's memory has hardware errors in a page of this zone (populate stopped at %s of %s)", z->id,
		    part, all);
	case -EINVAL:
		return err_set(
		    e, code,
		    "zone %s: this kernel cannot populate memory in advance (MADV_POPULATE_WRITE is in Linux 5.14 and later)",
		    z->id);
	default:
		return err_sys(e, code, "zone %s: populate stopped at %s of %s", z->id, part, all);
	}
}

int place_populate(const struct place_job *jobs, size_t n, unsigned threads, place_progress_fn *progress, void *arg,
		   struct err *e)
{
	/* 4 MiB: starting and joining a thread costs about as much as clearing some hundred KiB. */
	struct pool_task task = {.chunk = populate_chunk, .inline_max = 4 * MiB, .progress = progress, .arg = arg};
	struct pool_failure f;
	int r;

	if (n > LIM_ZONES)
		return err_set(e, -E2BIG, "%zu zones to populate at once, %u are possible", n, LIM_ZONES);
	if (n == 0)
		return 0;
	r = pool_run(jobs, n, threads, &task, &f);
	return r < 0 ? explain(&jobs[f.job], r, f.done, e) : 0;
}
