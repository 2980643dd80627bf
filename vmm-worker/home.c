#include "home.h"

#define BOOT_CPU 0
#define STAY_MS  20u /* a guest that asks for one block after the other needs less between two */

void home_find(struct home *h)
{
	*h = (struct home){0};
	/* On hosts of more CPUs than fit it fails. */
	h->usable = sched_getaffinity(0, sizeof(h->all), &h->all) == 0 && CPU_ISSET(BOOT_CPU, &h->all) && CPU_COUNT(&h->all) > 1;
}

void home_add(struct home *h, int tid)
{
	cpu_set_t all;

	if (!h->usable || h->n == ARRAY_LEN(h->guest))
		return;
	if (sched_getaffinity(tid, sizeof(all), &all) < 0 || !CPU_ISSET(BOOT_CPU, &all))
		return;
	if (CPU_COUNT(&all) == 1) { /* it is the guest's */
		h->usable = false;
		return;
	}
	h->guest[h->n].all = all;
	h->guest[h->n++].tid = tid;
}

/* Who runs here moves at once; when it may come back it stays where it is as long as there is something to do here. The scheduler
 * would get there by itself, some ms later. */
static void make_room(const struct home *h)
{
	for (size_t i = 0; i < h->n; i++) {
		cpu_set_t others = h->guest[i].all;

		CPU_CLR(BOOT_CPU, &others);
		sched_setaffinity(h->guest[i].tid, sizeof(others), &others);
		sched_setaffinity(h->guest[i].tid, sizeof(others), &h->guest[i].all);
	}
}

void home_go(struct home *h, uint64_t now)
{
	cpu_set_t one;

	if (!h->usable)
		return;
	h->until = now + STAY_MS;
	if (h->there)
		return;
	CPU_ZERO(&one);
	CPU_SET(BOOT_CPU, &one);
	h->there = sched_setaffinity(0, sizeof(one), &one) == 0;
	if (h->there)
		make_room(h);
	else
		h->usable = false; /* a cpuset has changed */
}

int home_settle(struct home *h, uint64_t now)
{
	if (!h->there)
		return -1;
	if (now < h->until)
		return (int)(h->until - now);
	/* What a cpuset leaves of it is taken; this CPU at least. */
	h->there = sched_setaffinity(0, sizeof(h->all), &h->all) < 0;
	return h->there ? (int)STAY_MS : -1;
}
