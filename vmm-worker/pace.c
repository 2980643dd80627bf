#include "pace.h"

#include <stddef.h>
#include <sys/rseq.h>

#define NOWHERE (-1)
#define APART   4u  /* changes with each on a CPU of its own: nobody has to wait */
#define TRUST   64u /* changes after that for which a slow one is taken for somebody else's work */

/* Without a system call, which vCPU threads have none for. */
static int cpu(void)
{
	const struct rseq *r = (const struct rseq *)((const char *)__builtin_thread_pointer() + __rseq_offset);
	int n = __rseq_size ? (int)__atomic_load_n(&r->cpu_id, __ATOMIC_RELAXED) : NOWHERE;

	return n < 0 ? NOWHERE : n;
}

static bool elsewhere(int at)
{
	int own = cpu();

	return own != NOWHERE && at != NOWHERE && at != own;
}

void pace_init(struct pace *p)
{
	atomic_init(&p->main_at, NOWHERE);
	atomic_init(&p->ringer_at, NOWHERE);
	p->awaited = false;
	p->apart = p->trust = 0;
}

void pace_attend(struct pace *p)
{
	atomic_store_explicit(&p->main_at, cpu(), memory_order_relaxed);
}

void pace_leave(struct pace *p)
{
	atomic_store_explicit(&p->main_at, NOWHERE, memory_order_relaxed);
}

void pace_took(struct pace *p, uint64_t us, uint64_t fair)
{
	if (p->trust > 0)
		p->trust--;
	else if (us > fair)
		p->awaited = true;
	if (!p->awaited)
		return;
	p->apart = elsewhere(atomic_load_explicit(&p->ringer_at, memory_order_relaxed)) ? p->apart + 1 : 0;
	if (p->apart == APART) {
		p->awaited = false;
		p->apart = 0;
		p->trust = TRUST;
	}
}

bool pace_may_look(const struct pace *p)
{
	return !p->awaited || elsewhere(atomic_load_explicit(&p->ringer_at, memory_order_relaxed));
}

bool pace_is_near(struct pace *p)
{
	atomic_store_explicit(&p->ringer_at, cpu(), memory_order_relaxed);
	return elsewhere(atomic_load_explicit(&p->main_at, memory_order_relaxed));
}
