/* Vhost-user back-ends hear of a change of memory. */
#include "hotplug.h"
#include "machine.h"

#include <stdio.h>

#define STILL_MS 1000u /* that a guest stands still for requests of its disks at most, before it goes on for as long */

bool hottell_takes(struct machine *m, size_t i, struct mem_range r, bool plug)
{
	const struct gm_hot *h = &m->gm.hot[i];
	bool good = true;

	pthread_mutex_lock(&m->dev_lock);
	for (size_t k = 0; k < m->virtio.n_vhost && good; k++) {
		const struct vhost_dev *d = &m->virtio.vhost[k];
		unsigned regions;

		good = vhost_memory_takes(d, h, r, plug, &regions);
		if (!good)
			snprintf(m->hotplug.refused[i], sizeof(m->hotplug.refused[i]),
				 "the back-end of %.40s takes %u regions of memory, with this change there would be %u",
				 d->plan->id, d->front.max_map, regions);
	}
	pthread_mutex_unlock(&m->dev_lock);
	return good;
}

void hottell_begin(struct machine *m, const struct hotplug_change *c)
{
	pthread_mutex_lock(&m->dev_lock);
	for (size_t k = 0; k < m->virtio.n_vhost; k++)
		vhost_memory_changed(&m->virtio.vhost[k], &m->gm.hot[c->window], c->range, c->plug);
	pthread_mutex_unlock(&m->dev_lock);
}

static bool any_drains(const struct machine *m)
{
	for (size_t k = 0; k < m->virtio.n_vhost; k++)
		if (vhost_drains(&m->virtio.vhost[k]))
			return true;
	return false;
}

/* Holds the guest while a disk's requests have to end first, and looks whether they have; where that takes long, the guest goes
 * on for a while in between. Under the lock, but not while it waits for vCPUs, one of which may wait for the lock. */
static void keep_still(struct machine *m, struct hotplug_change *c, const struct hotplug_pause *pause, uint64_t now)
{
	if (!c->still && now >= c->turn && any_drains(m)) {
		pthread_mutex_unlock(&m->dev_lock);
		pause->hold(pause->arg);
		pthread_mutex_lock(&m->dev_lock);
		c->still = true;
		c->turn = now + STILL_MS;
	}
	if (!c->still)
		return;
	for (size_t k = 0; k < m->virtio.n_vhost; k++)
		vhost_drain(&m->virtio.vhost[k]);
	if (any_drains(m) && now < c->turn)
		return;
	c->turn = any_drains(m) ? now + STILL_MS : 0;
	c->still = false;
	pause->release(pause->arg);
}

bool hottell_done(struct machine *m, struct hotplug_change *c, const struct hotplug_pause *pause, uint64_t now)
{
	bool told = true;

	pthread_mutex_lock(&m->dev_lock);
	keep_still(m, c, pause, now);
	for (size_t k = 0; k < m->virtio.n_vhost; k++) {
		struct vhost_dev *d = &m->virtio.vhost[k];

		if (!vhost_memory_is_told(d) && now >= c->until)
			vhost_memory_give_up(d);
		told = told && vhost_memory_is_told(d);
	}
	pthread_mutex_unlock(&m->dev_lock);
	return told;
}
