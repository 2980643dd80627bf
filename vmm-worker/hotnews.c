/* What is asked of a window from outside, and what the broker is told of it. */
#include "hotplug.h"
#include "machine.h"

#define NEWS_MS 50u /* between two messages to the broker, */
#define GOAL_MS 10u /* and when the guest has what it is to have: it could go back and forth as fast as it can */

bool hotplug_request(struct machine *m, uint16_t zone, uint64_t bytes, uint32_t number)
{
	for (size_t i = 0; i < m->hotplug.n; i++) {
		struct gm_hot *h = &m->gm.hot[i];

		if (h->zone != zone)
			continue;
		pthread_mutex_lock(&m->dev_lock);
		if (m->hotplug.acpi || h->blocks.wanted != bytes / h->blocks.block_size)
			m->hotplug.refused[i][0] = '\0';
		m->hotplug.request[i] = number;
		if (m->hotplug.acpi)
			dimms_ask(m, bytes);
		else
			virtio_mem_request(&m->virtio.dev[m->virtio.first_mem + i], bytes / h->blocks.block_size);
		pthread_mutex_unlock(&m->dev_lock);
		return true;
	}
	return false;
}

void hotplug_strayed(struct machine *m, gpa_t at)
{
	const struct gm_hot *h = hot_find(&m->gm, at);

	if (h)
		m->hotplug.strayed[h - m->gm.hot]++;
}

void hotplug_count(struct machine *m)
{
	pthread_mutex_lock(&m->dev_lock);
	m->dimms.changed = true;
	for (size_t i = 0; i < m->hotplug.n; i++) {
		m->hotplug.mem[i].changed = true;
		m->hotplug.told_at[i] = 0;
	}
	pthread_mutex_unlock(&m->dev_lock);
}

/* What the host has not got back counts as plugged. */
static uint64_t leaving(const struct machine *m, size_t i)
{
	const struct hotplug_change *c = &m->hotplug.change;
	const struct gm_hot *h = &m->gm.hot[i];

	return (c->there && c->window == i ? c->leaving : 0) + hot_pages_owed(&m->hotplug.pages, h) / h->blocks.block_size;
}

bool hotplug_news(struct machine *m, uint64_t now, struct hotplug_news *ret, int *ret_again)
{
	struct hotplug *hp = &m->hotplug;
	bool found = false;

	*ret_again = -1;
	pthread_mutex_lock(&m->dev_lock);
	found = hp->acpi && dimms_news(m, ret);
	for (size_t i = 0; i < hp->n && !hp->acpi && !found; i++) {
		const struct mem_blocks *b = &m->gm.hot[i].blocks;
		uint64_t plugged = b->n_plugged + leaving(m, i);

		if (!hp->mem[i].changed && plugged == hp->told[i])
			continue;
		if (now < hp->told_at[i] + (plugged != b->wanted ? NEWS_MS : GOAL_MS)) {
			*ret_again = (int)GOAL_MS;
			continue;
		}
		hp->mem[i].changed = false;
		hp->told_at[i] = now;
		hp->told[i] = plugged;
		*ret = (struct hotplug_news){.zone = m->gm.hot[i].zone,
					     .request = hp->request[i],
					     .wanted = b->wanted * b->block_size,
					     .plugged = plugged * b->block_size,
					     .driver = hp->mem[i].driver,
					     .over = plugged == b->wanted,
					     .refused = hp->refused[i],
					     .denied = hp->mem[i].refused,
					     .strayed = hp->strayed[i]};
		found = true;
	}
	pthread_mutex_unlock(&m->dev_lock);
	return found;
}
