/* Populating guest memory: many threads, each on the CPUs of the zone's host nodes, taking chunk after chunk from a shared
 * cursor. Halves handed out in advance would wait for the slower thread; chunks keep all of them busy to the end and make
 * progress a number that is true. */
#include "place/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX       64u        /* all groups together */
#define THREADS_PER_ZONE  16u        /* beyond that the memory controller is the limit */
#define CHUNK_MAX         (64 * MiB) /* about 20 ms of clearing pages: fine-grained enough for progress */
#define CHUNK_MIN         (2 * MiB)
#define CHUNKS_PER_THREAD 16u /* the last chunk of a job is what the other threads may have to wait for */
#define STACK_SIZE        (64 * KiB)
#define TICK_NS           (100 * 1000 * 1000)

struct group {
	const struct nodeset *cpus; /* empty: wherever the process may run */
	size_t n_jobs;
	uint64_t bytes;
	unsigned threads;
};

struct run {
	const struct place_job *jobs;
	size_t n;
	uint8_t group_of[LIM_ZONES];
	uint64_t chunk[LIM_ZONES];
	_Atomic uint64_t next[LIM_ZONES]; /* offset of the first chunk that nobody has taken */
	_Atomic uint64_t done[LIM_ZONES];
	_Atomic int failure; /* 0, or 1 + number of the job that failed first: everybody stops */
	int failure_errno;   /* written by who set failure; read after the threads were joined */
	size_t n_groups;
	struct group groups[LIM_ZONES];

	const struct pool_task *task;

	/* the caller's side of progress */
	uint64_t told[LIM_ZONES];
	struct timespec next_tick;

	pthread_mutex_t lock;
	pthread_cond_t finished;
	unsigned running;
};

struct member {
	struct run *run;
	unsigned group;
	unsigned number; /* within the group: where it begins among the group's jobs */
	bool started;
	pthread_t thread;
};

static unsigned usable_cpus(const struct nodeset *wanted)
{
	struct nodeset mine = {0};
	unsigned n = 0;

	if (syscall(SYS_sched_getaffinity, 0, sizeof(mine.w), mine.w) < 0)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(mine.w); i++)
		n += (unsigned)__builtin_popcountll(mine.w[i] & (nodeset_empty(wanted) ? ~UINT64_C(0) : wanted->w[i]));
	return n ? n : 1;
}

/* Only speed depends on it (the policy decides where pages go), so CPUs that a cpuset took away are no error. */
static void pin_self(const struct nodeset *cpus)
{
	if (!nodeset_empty(cpus))
		syscall(SYS_sched_setaffinity, 0, sizeof(cpus->w), cpus->w);
}

static bool same_cpus(const struct nodeset *a, const struct nodeset *b)
{
	return memcmp(a->w, b->w, sizeof(a->w)) == 0;
}

static void make_groups(struct run *run, unsigned threads)
{
	unsigned sum = 0;

	for (size_t i = 0; i < run->n; i++) {
		const struct nodeset *cpus = &run->jobs[i].zone->host_cpus;
		size_t g = 0;

		while (g < run->n_groups && !same_cpus(run->groups[g].cpus, cpus))
			g++;
		if (g == run->n_groups)
			run->groups[run->n_groups++] = (struct group){.cpus = cpus};
		run->groups[g].n_jobs++;
		run->groups[g].bytes += run->jobs[i].len;
		run->group_of[i] = (uint8_t)g;
	}
	for (size_t g = 0; g < run->n_groups; g++) {
		struct group *group = &run->groups[g];
		uint64_t most = THREADS_PER_ZONE * group->n_jobs, pieces = group->bytes / CHUNK_MIN;

		group->threads = threads ? threads : usable_cpus(group->cpus);
		if (group->threads > most)
			group->threads = (unsigned)most;
		if (group->threads > pieces)
			group->threads = pieces ? (unsigned)pieces : 1;
		sum += group->threads;
	}
	for (size_t g = 0; sum > THREADS_MAX && g < run->n_groups; g++) {
		unsigned fair = run->groups[g].threads * THREADS_MAX / sum;

		run->groups[g].threads = fair ? fair : 1;
	}
	for (size_t i = 0; i < run->n; i++) {
		const struct place_job *job = &run->jobs[i];
		uint64_t unit = job->zone->page_size > CHUNK_MIN ? job->zone->page_size : CHUNK_MIN;
		uint64_t chunk = job->len / (run->groups[run->group_of[i]].threads * CHUNKS_PER_THREAD) / unit * unit;

		if (chunk > CHUNK_MAX && unit <= CHUNK_MAX)
			chunk = CHUNK_MAX;
		run->chunk[i] = chunk > unit ? chunk : unit;
	}
}

static void tick(struct run *run, bool last)
{
	struct timespec now;

	if (!run->task->progress)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!last &&
	    (now.tv_sec < run->next_tick.tv_sec || (now.tv_sec == run->next_tick.tv_sec && now.tv_nsec < run->next_tick.tv_nsec)))
		return;
	for (size_t i = 0; i < run->n; i++) {
		uint64_t done = atomic_load_explicit(&run->done[i], memory_order_relaxed);

		if (done == run->told[i] && !last)
			continue;
		run->told[i] = done;
		run->task->progress(run->task->arg, run->jobs[i].index, done, run->jobs[i].len);
	}
	now.tv_nsec += TICK_NS;
	run->next_tick = (struct timespec){now.tv_sec + now.tv_nsec / 1000000000, now.tv_nsec % 1000000000};
}

/* false: somebody failed, stop. */
static bool work_on(struct run *run, size_t i, bool in_caller, struct place_tally *local)
{
	const struct place_job *job = &run->jobs[i];

	while (atomic_load_explicit(&run->failure, memory_order_relaxed) == 0) {
		uint64_t off = atomic_fetch_add_explicit(&run->next[i], run->chunk[i], memory_order_relaxed);
		uint64_t len;
		int r, none = 0;

		if (off >= job->len)
			return true;
		len = job->len - off < run->chunk[i] ? job->len - off : run->chunk[i];
		r = run->task->chunk(job, off, len, local);
		if (r < 0) {
			if (atomic_compare_exchange_strong(&run->failure, &none, (int)i + 1))
				run->failure_errno = r;
			return false;
		}
		atomic_fetch_add_explicit(&run->done[i], len, memory_order_relaxed);
		if (in_caller)
			tick(run, false);
	}
	return false;
}

/* Each member begins at another job of its group: different objects have different locks in the kernel. */
static void work(struct run *run, unsigned group, unsigned number, bool in_caller)
{
	struct place_tally sums, *local = NULL;
	size_t mine[LIM_ZONES], n = 0;

	if (run->task->total) {
		memset(&sums, 0, sizeof(sums));
		local = &sums;
	}
	for (size_t i = 0; i < run->n; i++)
		if (run->group_of[i] == group)
			mine[n++] = i;
	for (size_t k = 0; k < n; k++)
		if (!work_on(run, mine[(number + k) % n], in_caller, local))
			break;
	if (!local)
		return;
	pthread_mutex_lock(&run->lock);
	for (size_t i = 0; i < LIM_HOST_NODES; i++)
		run->task->total->node[i] += local->node[i];
	run->task->total->absent += local->absent;
	run->task->total->unknown += local->unknown;
	pthread_mutex_unlock(&run->lock);
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	struct run *run = m->run;

	pin_self(run->groups[m->group].cpus);
	work(run, m->group, m->number, false);
	pthread_mutex_lock(&run->lock);
	if (--run->running == 0)
		pthread_cond_signal(&run->finished);
	pthread_mutex_unlock(&run->lock);
	return NULL;
}

static void work_in_caller(struct run *run, unsigned group)
{
	struct nodeset mine = {0};
	bool restore = syscall(SYS_sched_getaffinity, 0, sizeof(mine.w), mine.w) >= 0;

	pin_self(run->groups[group].cpus);
	work(run, group, 0, true);
	if (restore)
		syscall(SYS_sched_setaffinity, 0, sizeof(mine.w), mine.w);
}

static void wait_for_members(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	while (run->running) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_NS;
		until = (struct timespec){until.tv_sec + until.tv_nsec / 1000000000, until.tv_nsec % 1000000000};
		pthread_cond_timedwait(&run->finished, &run->lock, &until);
		pthread_mutex_unlock(&run->lock);
		tick(run, false);
		pthread_mutex_lock(&run->lock);
	}
	pthread_mutex_unlock(&run->lock);
}

static void work_in_threads(struct run *run)
{
	struct member members[THREADS_MAX];
	size_t n = 0, started = 0;
	pthread_condattr_t monotonic;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&run->finished, &monotonic);

	for (unsigned g = 0; g < run->n_groups; g++) {
		size_t before = started;

		for (unsigned k = 0; k < run->groups[g].threads && n < THREADS_MAX; k++) {
			struct member *m = &members[n++];

			*m = (struct member){.run = run, .group = g, .number = k};
			pthread_mutex_lock(&run->lock);
			run->running++;
			pthread_mutex_unlock(&run->lock);
			m->started = pthread_create(&m->thread, &attr, member_main, m) == 0;
			if (!m->started) {
				pthread_mutex_lock(&run->lock);
				run->running--;
				pthread_mutex_unlock(&run->lock);
				break; /* a limit on threads: fewer must do */
			}
			started++;
		}
		if (started == before)
			work_in_caller(run, g);
	}
	wait_for_members(run);
	for (size_t i = 0; i < n; i++)
		if (members[i].started)
			pthread_join(members[i].thread, NULL);
	pthread_cond_destroy(&run->finished);
	pthread_condattr_destroy(&monotonic);
	pthread_attr_destroy(&attr);
}

int pool_run(const struct place_job *jobs, size_t n, unsigned threads, const struct pool_task *task,
	     struct pool_failure *ret_failure)
{
	struct run run = {.jobs = jobs, .n = n, .task = task, .lock = PTHREAD_MUTEX_INITIALIZER};
	uint64_t bytes = 0;
	int failed;

	for (size_t i = 0; i < n; i++)
		bytes += jobs[i].len;
	make_groups(&run, threads);
	if (bytes <= task->inline_max || (run.n_groups == 1 && run.groups[0].threads == 1))
		for (unsigned g = 0; g < run.n_groups; g++)
			work_in_caller(&run, g);
	else
		work_in_threads(&run);
	failed = atomic_load(&run.failure);
	if (failed) {
		*ret_failure = (struct pool_failure){(size_t)failed - 1, atomic_load(&run.done[failed - 1])};
		return run.failure_errno;
	}
	tick(&run, true);
	return 0;
}
