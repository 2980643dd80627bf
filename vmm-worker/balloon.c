#include "balloon.h"

#include "machine.h"

#define NEWS_MS    50u
#define TURN_STEPS 256u
#define TURN_BYTES (16 * MiB)

void balloon_init(struct machine *m, const struct wk_balloon *granted)
{
	m->balloon.there = granted->there;
	m->balloon.dev = (struct balloon_device){
	    .wanted = (uint32_t)(granted->bytes / GUEST_PAGE),
	    .deflate_on_oom = granted->deflate_on_oom,
	    .free_page_reporting = granted->free_page_reporting,
	};
}

/* One piece. The lock is held over it, so that a driver's reset finds nothing under way; a piece takes well below a millisecond.
 */
static enum balloon_next step(struct machine *m, size_t *ret_len)
{
	struct virtio_dev *d = m->virtio.balloon;
	struct virtq_seg piece;
	enum balloon_next next;

	pthread_mutex_lock(&m->dev_lock);
	next = virtio_balloon_next(d, &piece);
	if (next == BALLOON_MEMORY) {
		*ret_len = piece.len;
		virtio_balloon_done(d, piece.len, gm_give_back(&m->gm, piece.at, piece.len));
	}
	pthread_mutex_unlock(&m->dev_lock);
	return next;
}

bool balloon_work(struct machine *m)
{
	uint64_t bytes = 0;

	if (!m->balloon.there)
		return false;
	for (unsigned i = 0; i < TURN_STEPS && bytes < TURN_BYTES; i++) {
		size_t len = 0;

		if (step(m, &len) == BALLOON_IDLE)
			return false;
		bytes += len;
	}
	return true;
}

bool balloon_request(struct machine *m, uint64_t bytes)
{
	if (!m->balloon.there)
		return false;
	pthread_mutex_lock(&m->dev_lock);
	virtio_balloon_request(m->virtio.balloon, (uint32_t)(bytes / GUEST_PAGE));
	pthread_mutex_unlock(&m->dev_lock);
	return true;
}

static void fill(const struct balloon_device *b, struct wk_balloon_state *ret)
{
	*ret = (struct wk_balloon_state){
	    .wanted = b->wanted * GUEST_PAGE,
	    .actual = b->actual * GUEST_PAGE,
	    .driver = b->driver,
	    .given = b->given,
	    .reported = b->reported,
	    .kept = b->kept,
	    .foreign = b->foreign,
	};
}

bool balloon_state(struct machine *m, struct wk_balloon_state *ret)
{
	if (!m->balloon.there)
		return false;
	pthread_mutex_lock(&m->dev_lock);
	fill(&m->balloon.dev, ret);
	pthread_mutex_unlock(&m->dev_lock);
	return true;
}

bool balloon_news(struct machine *m, uint64_t now, struct wk_balloon_state *ret, int *ret_again)
{
	struct balloon *b = &m->balloon;
	bool tell;

	*ret_again = -1;
	if (!b->there)
		return false;
	pthread_mutex_lock(&m->dev_lock);
	tell = b->dev.changed && now >= b->told_at + NEWS_MS;
	if (b->dev.changed && !tell)
		*ret_again = (int)NEWS_MS;
	if (tell) {
		b->dev.changed = false;
		b->told_at = now;
		fill(&b->dev, ret);
	}
	pthread_mutex_unlock(&m->dev_lock);
	return tell;
}
