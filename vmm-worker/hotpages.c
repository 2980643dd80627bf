#include "hotpages.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define MEMSRV_MS 20000 /* 1 GiB of huge pages on a slow host; then memsrv is as good as dead */

/* An answer that does not come in time stays owed. The socket must not be closed for that: memsrv, which may only be busy
 * counting a large zone, then takes all that is plugged away from a guest that runs. Nonsense, or its end, closes it: then
 * nothing can be plugged any more. */
static int hear_memsrv(struct hot_pages *p)
{
	struct pollfd pfd = {.fd = p->memsrv, .events = POLLIN};
	struct plug_answer a = {0};
	int r;

	do
		r = poll(&pfd, 1, p->late ? 0 : MEMSRV_MS);
	while (r < 0 && errno == EINTR);
	if (r == 0) {
		p->late = true;
		return -ETIMEDOUT;
	}
	p->unheard = false;
	if (r < 0 || recv(p->memsrv, &a, sizeof(a), 0) != sizeof(a) || a.code > 0 || a.code < -4095) {
		fd_cleanup(&p->memsrv);
		return -EPIPE;
	}
	return a.code;
}

static int send_memsrv(struct hot_pages *p, const struct plug_request *rq)
{
	if (p->memsrv < 0 || send(p->memsrv, rq, sizeof(*rq), MSG_NOSIGNAL) != sizeof(*rq))
		return -EPIPE;
	p->unheard = true;
	p->sent = *rq;
	return 0;
}

/* A request whose answer is heard before the next one. What memsrv says to it changes nothing any more. */
static int tell_memsrv(struct hot_pages *p, const struct plug_request *rq)
{
	if (p->unheard)
		hear_memsrv(p);
	if (!p->unheard && p->late) {
		struct plug_request drop = p->sent;

		p->late = false;
		drop.op = PLUG_DROP;
		if (send_memsrv(p, &drop) == 0)
			hear_memsrv(p);
	}
	return p->unheard ? -ETIMEDOUT : send_memsrv(p, rq);
}

static int ask_memsrv(struct hot_pages *p, const struct plug_request *rq)
{
	int rc = tell_memsrv(p, rq);

	return rc < 0 ? rc : hear_memsrv(p);
}

static struct plug_request request(const struct gm_hot *h, struct mem_range r, enum plug_op op)
{
	return (struct plug_request){
	    .op = (uint16_t)op,
	    .zone = h->zone,
	    .offset = r.first * h->blocks.block_size,
	    .len = r.n * h->blocks.block_size,
	};
}

/* memsrv has not heard of all that went while it was slow, and counts that as made: it is told of all that is not plugged. */
static int catch_up(struct hot_pages *p, const struct guestmem *gm, const struct gm_hot *h)
{
	const struct mem_blocks *b = &h->blocks;
	int rc = 0;

	for (uint64_t at = 0, n; rc == 0 && at < b->n; at += n) {
		n = mem_blocks_run(b, at, b->n - at);
		if (!mem_blocks_has(b, at)) {
			struct plug_request drop = request(h, (struct mem_range){at, n}, PLUG_DROP);

			rc = ask_memsrv(p, &drop);
		}
	}
	if (rc == 0)
		p->behind[h - gm->hot] = false;
	return rc;
}

int hot_pages_make(struct hot_pages *p, const struct guestmem *gm, const struct gm_hot *h, struct mem_range r)
{
	struct plug_request rq = request(h, r, PLUG_MAKE), drop = request(h, r, PLUG_DROP);
	int rc;

	if (gm_made_here(&gm->plan->zones[h->zone]))
		return hot_populate(h, r);
	rc = ask_memsrv(p, &rq);
	/* It has not heard that they went: it was too slow then. */
	if (rc == -EEXIST && ask_memsrv(p, &drop) == 0)
		rc = ask_memsrv(p, &rq);
	if (rc == -EDQUOT && p->behind[h - gm->hot] && catch_up(p, gm, h) == 0)
		rc = ask_memsrv(p, &rq);
	return rc;
}

int hot_pages_drop(struct hot_pages *p, const struct guestmem *gm, const struct gm_hot *h, struct mem_range r)
{
	bool own = gm_made_here(&gm->plan->zones[h->zone]);
	struct plug_request rq = request(h, r, PLUG_DROP);
	int rc = hot_drop(h, r, !own);

	if (own)
		return rc;
	rc = rc < 0 ? ask_memsrv(p, &rq) : tell_memsrv(p, &rq);
	if (rc == -ETIMEDOUT)
		p->behind[h - gm->hot] = true;
	return rc;
}
