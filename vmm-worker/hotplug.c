#include "hotplug.h"

#include "bulkhead/fd.h"
#include "machine.h"
#include "wire/plug.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define MEMSRV_MS 20000 /* 1 GiB of huge pages on a slow host; then memsrv is as good as dead */
#define NEWS_MS   50u

void hotplug_init(struct machine *m, int plug_fd)
{
	const struct mem_plan *plan = m->gm.plan;
	struct hotplug *hp = &m->hotplug;

	hp->plug_fd = plug_fd;
	hp->n = m->gm.n_hot;
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

/* One request, one answer. Whatever goes wrong on the way closes it: then nothing can be plugged any more. */
static int ask_memsrv(struct hotplug *hp, const struct plug_request *rq)
{
	struct pollfd p = {.fd = hp->plug_fd, .events = POLLIN};
	struct plug_answer a = {0};

	if (hp->plug_fd < 0 || send(hp->plug_fd, rq, sizeof(*rq), MSG_NOSIGNAL) != sizeof(*rq))
		return -EPIPE;
	for (;;) {
		int r = poll(&p, 1, MEMSRV_MS);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0 || recv(hp->plug_fd, &a, sizeof(a), 0) != sizeof(a) || a.code > 0 || a.code < -4095) {
			fd_cleanup(&hp->plug_fd);
			return -EPIPE;
		}
		return a.code;
	}
}

static int pages(struct machine *m, const struct gm_hot *h, struct mem_range r, enum plug_op op)
{
	struct plug_request rq = {
	    .op = (uint16_t)op,
	    .zone = h->zone,
	    .offset = r.first * h->blocks.block_size,
	    .len = r.n * h->blocks.block_size,
	};

	if (!gm_made_here(&m->gm.plan->zones[h->zone]))
		return ask_memsrv(&m->hotplug, &rq);
	return op == PLUG_MAKE ? hot_populate(h, r) : hot_drop(h, r);
}

static void set_blocks(struct machine *m, struct gm_hot *h, struct mem_range r, bool plugged)
{
	pthread_mutex_lock(&m->dev_lock);
	mem_blocks_set(&h->blocks, r, plugged);
	pthread_mutex_unlock(&m->dev_lock);
}

static int change_slots(struct machine *m, const struct gm_hot *h, struct mem_range r, bool plug,
			const struct hotplug_pause *pause)
{
	bool quiet = hot_slots_disturbs(&m->hotplug.slots, h, r, plug);
	int rc;

	if (quiet)
		pause->hold(pause->arg);
	rc = plug ? hot_slots_add(&m->hotplug.slots, h, r) : hot_slots_remove(&m->hotplug.slots, h, r);
	if (rc == -ENOTRECOVERABLE)
		m->hotplug.lost = true;
	if (quiet)
		pause->release(pause->arg);
	return rc;
}

static void explain(struct machine *m, size_t i, int code)
{
	const struct plan_zone *z = &m->gm.plan->zones[m->gm.hot[i].zone];
	char *text = m->hotplug.refused[i];
	size_t cap = sizeof(m->hotplug.refused[i]);

	if (code == -ENOSPC)
		snprintf(text, cap, "KVM has no memory slot left: the guest's plugged blocks lie too far apart");
	else if (code == -EPIPE)
		snprintf(text, cap, "memsrv does not answer");
	else if (z->page_size > GUEST_PAGE)
		snprintf(text, cap, "the host has no free huge page of %llu KiB where this zone may be",
			 (unsigned long long)(z->page_size / KiB));
	else
		snprintf(text, cap, "the host has no memory left where this zone may be (%s)", strerrordesc_np(-code));
}

/* Pages, slot, and only then does anybody see it as memory. */
static uint16_t plug(struct machine *m, size_t i, struct mem_range r, const struct hotplug_pause *pause)
{
	struct gm_hot *h = &m->gm.hot[i];
	int rc = pages(m, h, r, PLUG_MAKE);

	if (rc == 0) {
		rc = change_slots(m, h, r, true, pause);
		if (rc < 0)
			pages(m, h, r, PLUG_DROP);
	}
	if (rc < 0) {
		/* Not NACK, which drivers take for "your idea of requested_size is old" and ask again at once; later may be
		 * better. */
		explain(m, i, rc);
		return VIRTIO_MEM_RESP_BUSY;
	}
	m->hotplug.refused[i][0] = '\0';
	set_blocks(m, h, r, true);
	return VIRTIO_MEM_RESP_ACK;
}

/* No device of ours may touch it any more, then no vCPU, then it is gone. */
static uint16_t unplug(struct machine *m, size_t i, struct mem_range r, const struct hotplug_pause *pause)
{
	struct gm_hot *h = &m->gm.hot[i];
	int rc;

	set_blocks(m, h, r, false);
	rc = change_slots(m, h, r, false, pause);
	if (rc < 0) {
		explain(m, i, rc);
		set_blocks(m, h, r, true);
		return VIRTIO_MEM_RESP_BUSY;
	}
	rc = pages(m, h, r, PLUG_DROP);
	if (rc < 0)
		explain(m, i, rc);
	return VIRTIO_MEM_RESP_ACK;
}

static bool next_job(struct machine *m, size_t i, struct mem_job *ret)
{
	pthread_mutex_lock(&m->dev_lock);
	*ret = m->hotplug.mem[i].job;
	pthread_mutex_unlock(&m->dev_lock);
	return ret->there;
}

/* UNPLUG_ALL and whatever else: runs of plugged blocks one by one, so that a block is in one state only. */
static uint16_t unplug_runs(struct machine *m, size_t i, struct mem_range r, const struct hotplug_pause *pause)
{
	const struct mem_blocks *b = &m->gm.hot[i].blocks;

	for (uint64_t at = r.first, end = r.first + r.n, n; at < end; at += n) {
		n = mem_blocks_run(b, at, end - at);
		if (mem_blocks_has(b, at) && unplug(m, i, (struct mem_range){at, n}, pause) != VIRTIO_MEM_RESP_ACK)
			return VIRTIO_MEM_RESP_BUSY;
	}
	return VIRTIO_MEM_RESP_ACK;
}

void hotplug_work(struct machine *m, const struct hotplug_pause *pause)
{
	for (size_t i = 0; i < m->hotplug.n; i++) {
		struct mem_job job;
		uint16_t response;

		if (!next_job(m, i, &job))
			continue;
		response = job.type == VIRTIO_MEM_REQ_PLUG ? plug(m, i, job.range, pause) : unplug_runs(m, i, job.range, pause);
		pthread_mutex_lock(&m->dev_lock);
		virtio_mem_finish(&m->virtio.dev[m->virtio.first_mem + i], response);
		pthread_mutex_unlock(&m->dev_lock);
	}
}

bool hotplug_request(struct machine *m, uint16_t zone, uint64_t bytes)
{
	for (size_t i = 0; i < m->hotplug.n; i++) {
		struct gm_hot *h = &m->gm.hot[i];

		if (h->zone != zone)
			continue;
		pthread_mutex_lock(&m->dev_lock);
		m->hotplug.refused[i][0] = '\0';
		virtio_mem_request(&m->virtio.dev[m->virtio.first_mem + i], bytes / h->blocks.block_size);
		pthread_mutex_unlock(&m->dev_lock);
		return true;
	}
	return false;
}

bool hotplug_news(struct machine *m, uint64_t now, struct hotplug_news *ret, int *ret_again)
{
	struct hotplug *hp = &m->hotplug;
	bool found = false;

	*ret_again = -1;
	pthread_mutex_lock(&m->dev_lock);
	for (size_t i = 0; i < hp->n && !found; i++) {
		const struct mem_blocks *b = &m->gm.hot[i].blocks;

		if (!hp->mem[i].changed)
			continue;
		if (b->n_plugged != b->wanted && now < hp->told_at[i] + NEWS_MS) {
			*ret_again = (int)NEWS_MS;
			continue;
		}
		hp->mem[i].changed = false;
		hp->told_at[i] = now;
		*ret = (struct hotplug_news){m->gm.hot[i].zone, b->wanted * b->block_size, b->n_plugged * b->block_size,
					     hp->mem[i].driver, hp->refused[i]};
		found = true;
	}
	pthread_mutex_unlock(&m->dev_lock);
	return found;
}
