#include "hotplug.h"

#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TELL_MS  60000u /* for back-ends to follow a change: more than the end of a ring's requests may take */
#define LOOK_MS  1      /* how often they are looked at meanwhile */
#define BURST    16u    /* requests that are done one after the other before the rest of the machine has its turn */
#define NEXT_US  100u   /* that the next request of a guest on its way is looked for, before poll sleeps */
#define FAIR_US  1000u  /* for a unit of memory slots to change: ten times as long as it takes */
#define PAUSES   16u    /* between two looks: a vCPU may want the lock */

void hotplug_init(struct machine *m, int plug_fd)
{
	const struct mem_plan *plan = m->gm.plan;
	struct hotplug *hp = &m->hotplug;

	hot_pages_init(&hp->pages, &m->gm, plug_fd);
	hp->n = m->gm.n_hot;
	for (size_t i = 0; i < plan->n_windows; i++)
		hp->acpi |= plan->windows[i].kind == WINDOW_HOTPLUG_ACPI; /* plan_check: then there is no other */
	for (size_t i = 0; i < hp->n; i++) {
		struct gm_hot *h = &m->gm.hot[i];

		hp->mem[i] = (struct mem_device){.blocks = &h->blocks, .region_size = h->at.len.v};
		if (plan->n_nodes) {
			hp->mem[i].has_node = true;
			hp->mem[i].node = (uint16_t)plan->nodes[plan->zones[h->zone].guest_node].guest_numa_id;
		}
	}
}

int hotplug_init_slots(struct machine *m, struct err *e)
{
	unsigned first = (unsigned)(m->gm.n + m->gm.n_epc), all = m->vm.max_slots;

	return hot_slots_init(&m->hotplug.slots, &m->gm, m->vm.fd, first, all > first ? all - first : 0, e);
}

static void set_blocks(struct machine *m, struct gm_hot *h, struct mem_range r, bool plugged)
{
	pthread_mutex_lock(&m->dev_lock);
	mem_blocks_set(&h->blocks, r, plugged);
	pthread_mutex_unlock(&m->dev_lock);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int change_slots(struct machine *m, const struct gm_hot *h, struct mem_range r, bool plug,
			const struct hotplug_pause *pause)
{
	bool quiet = hot_slots_disturbs(&m->hotplug.slots, h, r, plug);
	uint64_t units = r.n * h->blocks.block_size / HOTPLUG_ALIGN + 1, began = now_us();
	int rc;

	if (quiet)
		pause->hold(pause->arg);
	rc = plug ? hot_slots_add(&m->hotplug.slots, h, r) : hot_slots_remove(&m->hotplug.slots, h, r);
	if (rc == -ENOTRECOVERABLE)
		m->hotplug.lost = true;
	if (quiet && !m->hotplug.lost) /* the end must not find a guest that has read ones where its memory was */
		pause->release(pause->arg);
	pace_took(&m->pace, now_us() - began, units * FAIR_US);
	return rc;
}

static void explain(struct machine *m, size_t i, int code)
{
	const struct plan_zone *z = &m->gm.plan->zones[m->gm.hot[i].zone];
	char *text = m->hotplug.refused[i];
	size_t cap = sizeof(m->hotplug.refused[i]);

	if (code == -ENOSPC)
		snprintf(text, cap, "KVM has no memory slot left: the guest's plugged blocks lie too far apart");
	else if (code == -EPIPE || code == -ETIMEDOUT)
		snprintf(text, cap, "memsrv does not answer");
	else if (z->page_size > GUEST_PAGE)
		snprintf(text, cap, "the host has no free huge page of %llu KiB where this zone may be",
			 (unsigned long long)(z->page_size / KiB));
	else
		snprintf(text, cap, "the host has no memory left where this zone may be (%s)", strerrordesc_np(-code));
}

static bool next_job(struct machine *m, size_t i, struct mem_job *ret)
{
	pthread_mutex_lock(&m->dev_lock);
	*ret = m->hotplug.acpi ? dimms_job(m) : m->hotplug.mem[i].job;
	pthread_mutex_unlock(&m->dev_lock);
	return ret->there;
}

static void answer(struct machine *m, size_t i, uint16_t response)
{
	pthread_mutex_lock(&m->dev_lock);
	if (m->hotplug.acpi)
		dimms_answer(m, response);
	else
		virtio_mem_finish(&m->virtio.dev[m->virtio.first_mem + i], response);
	pthread_mutex_unlock(&m->dev_lock);
	runctl_round(&m->run);
}

static void end(struct machine *m, struct hotplug_change *c, uint16_t response)
{
	c->there = false;
	answer(m, c->window, response);
}

/* A request may have waited for other windows' changes, and for its pages, and what is wanted has become less meanwhile. */
static bool is_wanted(struct machine *m, const struct hotplug_change *c)
{
	const struct mem_blocks *b = &m->gm.hot[c->window].blocks;
	bool wanted;

	pthread_mutex_lock(&m->dev_lock);
	wanted = m->hotplug.acpi ? dimms_want(m) : b->n_plugged <= b->wanted && c->range.n <= b->wanted - b->n_plugged;
	pthread_mutex_unlock(&m->dev_lock);
	return wanted;
}

static void tell(struct machine *m, struct hotplug_change *c, uint64_t now)
{
	c->stage = STAGE_TELL;
	c->until = now + TELL_MS;
	hottell_begin(m, c);
}

/* Not NACK where the host has nothing, which drivers take for "your idea of requested_size is old" and ask again at once; later
 * may be better. */
static uint16_t refusal(struct machine *m, const struct hotplug_change *c)
{
	return !is_wanted(m, c)                                ? VIRTIO_MEM_RESP_NACK
	       : !hottell_takes(m, c->window, c->range, true) ? VIRTIO_MEM_RESP_BUSY
							       : VIRTIO_MEM_RESP_ACK;
}

/* Blocks behind a range that is to be plugged which the guest is to have as well, and has not yet. */
static uint64_t more_behind(const struct machine *m, const struct hotplug_change *c)
{
	const struct mem_blocks *b = &m->gm.hot[c->window].blocks;
	uint64_t end = c->range.first + c->range.n, wanted = b->wanted - b->n_plugged - c->range.n;

	if (m->hotplug.acpi || end == b->n || mem_blocks_has(b, end))
		return 0;
	return mem_blocks_run(b, end, wanted);
}

static void begin_plug(struct machine *m, struct hotplug_change *c, uint64_t now)
{
	uint16_t response = refusal(m, c);

	/* The pages are there, and what is left to wait for is KVM. */
	if (!m->hotplug.acpi && hot_pages_ahead(&m->hotplug.pages, &m->gm.hot[c->window]))
		home_go(&m->home, now);

	if (response != VIRTIO_MEM_RESP_ACK)
		return end(m, c, response);
	c->stage = STAGE_MAKE;
	hot_pages_make(&m->hotplug.pages, &m->gm.hot[c->window], c->range, more_behind(m, c));
}

/* What was made ahead is never more than what the guest is to have. */
static void trim_ahead(struct machine *m)
{
	for (size_t i = 0; i < m->hotplug.n; i++) {
		const struct gm_hot *h = &m->gm.hot[i];
		uint64_t ahead = hot_pages_ahead(&m->hotplug.pages, h) / h->blocks.block_size;

		if (ahead && h->blocks.n_plugged + ahead > h->blocks.wanted)
			hot_pages_give_up(&m->hotplug.pages);
	}
}

/* Pages, slot, and only then does anybody see it as memory. */
static void add(struct machine *m, struct hotplug_change *c, const struct hotplug_pause *pause, uint64_t now)
{
	struct gm_hot *h = &m->gm.hot[c->window];
	int rc;

	c->response = refusal(m, c);
	if (c->response == VIRTIO_MEM_RESP_ACK) {
		rc = change_slots(m, h, c->range, true, pause);
		if (rc == 0) {
			m->hotplug.refused[c->window][0] = '\0';
			set_blocks(m, h, c->range, true);
			return tell(m, c, now);
		}
		explain(m, c->window, rc);
		c->response = VIRTIO_MEM_RESP_BUSY;
	}
	c->stage = STAGE_DROP;
	hot_pages_drop(&m->hotplug.pages, h, c->range);
}

/* true: that is done. */
static bool make(struct machine *m, struct hotplug_change *c, const struct hotplug_pause *pause, uint64_t now)
{
	int rc = hot_pages_work(&m->hotplug.pages, is_wanted(m, c), now);

	if (rc == -EINPROGRESS)
		return false;
	if (rc == 0) {
		add(m, c, pause, now);
	} else if (rc == -ECANCELED || !is_wanted(m, c)) {
		end(m, c, VIRTIO_MEM_RESP_NACK);
	} else {
		explain(m, c->window, rc);
		end(m, c, VIRTIO_MEM_RESP_BUSY);
	}
	return true;
}

/* No device of ours may touch it any more, then no vCPU. Its pages go when no back-end knows it any more. UNPLUG_ALL comes as all
 * of the window, whatever is plugged of it. */
static void begin_unplug(struct machine *m, struct hotplug_change *c, const struct hotplug_pause *pause, uint64_t now)
{
	struct gm_hot *h = &m->gm.hot[c->window];
	uint64_t plugged = h->blocks.n_plugged;
	int rc;

	if (!hottell_takes(m, c->window, c->range, false))
		return end(m, c, VIRTIO_MEM_RESP_BUSY);
	if (!m->hotplug.acpi && plugged > h->blocks.wanted)
		home_go(&m->home, now);
	set_blocks(m, h, c->range, false);
	rc = change_slots(m, h, c->range, false, pause);
	if (rc < 0) {
		explain(m, c->window, rc);
		set_blocks(m, h, c->range, true);
		return end(m, c, VIRTIO_MEM_RESP_BUSY);
	}
	c->leaving = plugged - h->blocks.n_plugged;
	tell(m, c, now);
}

static void begin(struct machine *m, size_t i, const struct mem_job *job, const struct hotplug_pause *pause, uint64_t now)
{
	struct hotplug_change *c = &m->hotplug.change;

	*c = (struct hotplug_change){.there = true,
				     .plug = job->type == VIRTIO_MEM_REQ_PLUG,
				     .response = VIRTIO_MEM_RESP_ACK,
				     .window = i,
				     .range = job->range};
	if (c->plug)
		begin_plug(m, c, now);
	else
		begin_unplug(m, c, pause, now);
}

/* A guest on its way down, which asks for the next block as soon as it has its answer. */
static bool more_will_go(const struct machine *m, const struct hotplug_change *c)
{
	const struct mem_blocks *b = &m->gm.hot[c->window].blocks;

	return !m->hotplug.acpi && b->n_plugged > b->wanted;
}

static void told(struct machine *m, struct hotplug_change *c, const struct hotplug_pause *pause, uint64_t now)
{
	if (c->still) /* for a disk that was given up */
		pause->release(pause->arg);
	c->still = false;
	if (c->plug || (more_will_go(m, c) && hot_pages_put_off(&m->hotplug.pages, &m->gm.hot[c->window], c->range, now)))
		return end(m, c, VIRTIO_MEM_RESP_ACK);
	c->stage = STAGE_DROP;
	hot_pages_drop(&m->hotplug.pages, &m->gm.hot[c->window], c->range);
}

static bool drop(struct machine *m, struct hotplug_change *c, uint64_t now)
{
	int rc = hot_pages_work(&m->hotplug.pages, false, now);

	if (rc == -EINPROGRESS)
		return false;
	if (rc < 0 && !c->plug)
		explain(m, c->window, rc);
	end(m, c, c->response);
	return true;
}

/* true: no change is on its way (any more). */
static bool go_on(struct machine *m, const struct hotplug_pause *pause, uint64_t now)
{
	struct hotplug_change *c = &m->hotplug.change;
	bool more = true;

	while (c->there && more && !m->hotplug.lost) {
		switch (c->stage) {
		case STAGE_MAKE:
			more = make(m, c, pause, now);
			break;
		case STAGE_TELL:
			more = hottell_done(m, c, pause, now);
			if (more)
				told(m, c, pause, now);
			break;
		case STAGE_DROP:
			more = drop(m, c, now);
			break;
		}
	}
	return !c->there;
}

/* How long a change that is on its way can be left alone, ms. */
static int patience(const struct machine *m, uint64_t now)
{
	const struct hotplug_change *c = &m->hotplug.change;

	if (c->stage != STAGE_TELL)
		return hot_pages_wait(&m->hotplug.pages, now);
	return c->still ? LOOK_MS : now < c->turn ? (int)(c->turn - now) : now < c->until ? (int)(c->until - now) : 0;
}

struct pollfd hotplug_interest(const struct machine *m)
{
	return hot_pages_interest(&m->hotplug.pages);
}

static bool any_request(struct machine *m, bool on_its_way)
{
	bool there = false;

	pthread_mutex_lock(&m->dev_lock);
	for (size_t i = 0; i < m->hotplug.n && !there; i++) {
		const struct mem_blocks *b = &m->gm.hot[i].blocks;

		there = on_its_way ? b->n_plugged != b->wanted : virtio_mem_look(&m->virtio.dev[m->virtio.first_mem + i]);
	}
	pthread_mutex_unlock(&m->dev_lock);
	return there;
}

/* A driver on its way asks again as soon as it has its answer. To sleep until then, and to be woken, takes longer than the
 * request itself. */
static bool await_next(struct machine *m)
{
	uint64_t until = now_us() + (pace_may_look(&m->pace) && any_request(m, true) ? NEXT_US : 0);

	for (;;) {
		if (any_request(m, false))
			return true;
		if (now_us() >= until)
			return false;
		for (unsigned i = 0; i < PAUSES; i++)
			__builtin_ia32_pause();
	}
}

static void keep_pace(struct machine *m)
{
	struct hotplug *hp = &m->hotplug;

	if (hp->acpi || hp->awaited == m->pace.awaited)
		return;
	hp->awaited = m->pace.awaited;
	pthread_mutex_lock(&m->dev_lock);
	for (size_t i = 0; i < hp->n; i++)
		virtio_pci_await(&m->virtio.dev[m->virtio.first_mem + i], hp->awaited);
	pthread_mutex_unlock(&m->dev_lock);
}

/* One request of each window. Returns how many were begun. */
static unsigned turn(struct machine *m, const struct hotplug_pause *pause, uint64_t now, bool *done)
{
	struct hotplug *hp = &m->hotplug;
	unsigned begun = 0;

	*done = go_on(m, pause, now);
	for (size_t i = 0; i < hp->n && *done && !hp->lost; i++) {
		struct mem_job job;

		hp->next = (hp->next + 1) % hp->n;
		if (next_job(m, hp->next, &job)) {
			begin(m, hp->next, &job, pause, now);
			begun++;
		}
		*done = go_on(m, pause, now);
	}
	return begun;
}

static int sooner(int ms, int perhaps)
{
	return perhaps >= 0 && perhaps < ms ? perhaps : ms;
}

int hotplug_work(struct machine *m, const struct hotplug_pause *pause, uint64_t now)
{
	struct hotplug *hp = &m->hotplug;
	unsigned n = 0, begun;
	bool done, again = false;
	int owed, home;

	hot_pages_turn(&hp->pages);
	do {
		begun = turn(m, pause, now, &done);
		n += begun;
		keep_pace(m);
		again = begun && done && !hp->lost && (hp->acpi || await_next(m));
	} while (again && !hp->acpi && n < BURST);
	if (done)
		runctl_round(&m->run);
	trim_ahead(m);
	owed = again ? 0 : hot_pages_settle(&hp->pages, now);
	home = home_settle(&m->home, now);
	if (!done)
		owed = sooner(patience(m, now), owed);
	return owed < 0 ? home : sooner(owed, home);
}
