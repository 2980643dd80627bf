#include "pace.h"

#include <stddef.h>
#include <sys/rseq.h>

#define NOWHERE  (-1)
#define SPAN_MIN 16u /* changes; twice as many each time that it was too early, */
#define SPAN_MAX 2048u
#define FORGET   256u /* until so many were quick without a wait */
#define SLOW     8u   /* that a slow change weighs, against quick ones; */
#define TOO_SLOW 32u  /* so much is no accident: four in a row, or more than one in nine for long */

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
	atomic_init(&p->ringer_at, NOWHERE);
	p->awaited = false;
	p->calm = p->slow = 0;
	p->span = SPAN_MIN / 2;
}

static bool apart(const struct pace *p)
{
	return elsewhere(atomic_load_explicit(&p->ringer_at, memory_order_relaxed));
}

void pace_took(struct pace *p, uint64_t us, uint64_t fair)
{
	bool calm = us <= fair && (!p->awaited || apart(p));

	p->calm = calm ? p->calm + 1 : 0;
	p->slow = us > fair ? p->slow + SLOW : p->slow ? p->slow - 1 : 0;
	if (!p->awaited && p->slow >= TOO_SLOW) {
		p->awaited = true;
		p->span = p->span < SPAN_MAX ? p->span * 2 : SPAN_MAX;
	} else if (p->awaited && p->calm >= p->span) {
		p->awaited = false;
		p->calm = p->slow = 0;
	} else if (!p->awaited && p->calm >= FORGET) {
		p->span = SPAN_MIN / 2;
	}
}

bool pace_may_look(const struct pace *p)
{
	return !p->awaited || apart(p);
}

void pace_rang(struct pace *p)
{
	atomic_store_explicit(&p->ringer_at, cpu(), memory_order_relaxed);
}
