/* Inside place/ only: one function over the chunks of many mappings, by threads pinned where the memory is. */
#pragma once
#include "place/place.h"

/* Works on [off, off + len) of a job; any thread. 0 or a negative errno, which stops everybody. local: this thread's own sums,
 * NULL when the task has none. */
typedef int pool_chunk_fn(const struct place_job *job, uint64_t off, uint64_t len, struct place_tally *local);

struct pool_task {
	pool_chunk_fn *chunk;
	uint64_t inline_max;       /* bytes up to which threads would cost more than they give */
	struct place_tally *total; /* NULL, or where every thread's sums are added up */
	place_progress_fn *progress;
	void *arg;
};

struct pool_failure {
	size_t job;
	uint64_t done; /* bytes of that job in chunks that were finished */
};

/* jobs: at most LIM_ZONES. threads as in place_populate. 0 or the first chunk's error, then with *ret_failure. */
int pool_run(const struct place_job *jobs, size_t n, unsigned threads, const struct pool_task *task,
	     struct pool_failure *ret_failure);
