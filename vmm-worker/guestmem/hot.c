/* Hotplug windows: address space for all of a window from the start, pages only where the guest has plugged blocks. */
#include "guestmem/map.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int hot_map(struct guestmem *gm, uint16_t zone, int fd, struct err *e)
{
	const struct plan_zone *z = &gm->plan->zones[zone];
	struct gm_hot *h = &gm->hot[gm->n_hot];
	bool own = gm_made_here(z);
	uint64_t n = z->hotplug.len.v / z->block_size;
	int flags = MAP_FIXED | MAP_NORESERVE | (own ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
	uint64_t *bits = calloc(mem_blocks_words(n), sizeof(*bits));
	uint8_t *at;
	int r;

	if (!bits)
		return err_set(e, -ENOMEM, "zone %s: no room for the list of its blocks", z->id);
	/* Of the block's size, so that one slot is one run of large pages wherever that is possible. */
	r = gm_reserve(z->hotplug.len.v, z->block_size, z->hotplug.start.v, &at);
	if (r == 0 && mmap(at, (size_t)z->hotplug.len.v, PROT_READ | PROT_WRITE, flags, own ? -1 : fd,
			   own ? 0 : (off_t)z->size) == MAP_FAILED)
		r = -errno;
	if (r < 0)
		return err_sys(e, r, "zone %s: no room for %llu MiB of hotplug memory in the worker's address space", z->id,
			       (unsigned long long)(z->hotplug.len.v / MiB));
	r = place_advise(at, z->hotplug.len.v, z, e);
	if (r == 0 && own)
		r = place_bind(at, z->hotplug.len.v, z, e);
	if (r < 0)
		return r;
	*h = (struct gm_hot){.at = z->hotplug, .host = at, .zone = zone};
	mem_blocks_init(&h->blocks, z->hotplug.start.v, z->block_size, n, bits);
	h->blocks.wanted = z->hotplugged_size / z->block_size;
	gm->n_hot++;
	return 0;
}

const struct gm_hot *hot_find(const struct guestmem *gm, gpa_t at)
{
	for (size_t i = 0; i < gm->n_hot; i++)
		if (at.v >= gm->hot[i].at.start.v && at.v - gm->hot[i].at.start.v < gm->hot[i].at.len.v)
			return &gm->hot[i];
	return NULL;
}

void *hot_chunk(const struct guestmem *gm, gpa_t at, uint64_t *len)
{
	const struct gm_hot *h = hot_find(gm, at);
	const struct mem_blocks *b;
	uint64_t offset, block, blocks, room;

	if (!h || *len == 0)
		return NULL;
	b = &h->blocks;
	offset = at.v - h->at.start.v;
	block = offset / b->block_size;
	if (!mem_blocks_has(b, block))
		return NULL;
	blocks = *len > h->at.len.v ? b->n : *len / b->block_size + 2;
	room = mem_blocks_run(b, block, blocks) * b->block_size - offset % b->block_size;
	if (*len > room)
		*len = room;
	return h->host + offset;
}

int hot_populate(const struct gm_hot *h, uint64_t from, uint64_t len)
{
	while (madvise(h->host + from, (size_t)len, MADV_POPULATE_WRITE) < 0) {
		int code = -errno;

		if (code == -EAGAIN || code == -EINTR)
			continue;
		hot_drop(h, from, len, false);
		return code;
	}
	return 0;
}

int hot_drop(const struct gm_hot *h, uint64_t from, uint64_t len, bool shared)
{
	return madvise(h->host + from, (size_t)len, shared ? MADV_REMOVE : MADV_DONTNEED) < 0 ? -errno : 0;
}
