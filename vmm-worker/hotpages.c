#include "hotpages.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#define MEMSRV_MS     20000u     /* 64 MiB, or one page that is larger, on a slow host; then memsrv is as good as dead */
#define TURN_US       5000u      /* of the main thread: a pause, a stop, the console may be waiting */
#define MAKE_STEP     (4 * MiB)  /* a millisecond or two */
#define DROP_STEP     (64 * MiB) /* 3 ms of small pages; a window may be large and hold next to nothing */
#define MEMSRV_STEP   (64 * MiB) /* memsrv, too, has others to answer */
#define AHEAD_MOST    (14 * MiB) /* a guest waits some 2 ms for as much */
#define AHEAD_MS      5u
#define IN_A_ROW_US   1000u
#define OWED_MOST     (32 * MiB)
#define OWED_MS       5u
#define OWED_AGAIN_MS 1000u

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void hot_pages_init(struct hot_pages *p, const struct guestmem *gm, int plug_fd)
{
	*p = (struct hot_pages){.gm = gm, .memsrv = plug_fd};
}

void hot_pages_turn(struct hot_pages *p)
{
	p->turn_end = now_us() + TURN_US;
}

/* --- memsrv --- */

/* An answer that does not come in time stays owed. The socket must not be closed for that: memsrv, which may only be busy
 * counting a large zone, then takes all that is plugged away from a guest that runs. Nonsense, or its end, closes it: then
 * nothing can be plugged any more. */
static int hear(struct hot_pages *p, uint64_t now)
{
	struct plug_answer a = {0};
	ssize_t n;

	do
		n = recv(p->memsrv, &a, sizeof(a), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		if (!p->until)
			p->until = now + MEMSRV_MS;
		if (!p->late && now < p->until)
			return -EINPROGRESS;
		p->late = true;
		p->until = 0;
		return -ETIMEDOUT;
	}
	p->unheard = false;
	p->until = 0;
	if (n != sizeof(a) || a.code > 0 || a.code < -4095) {
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
static int tell(struct hot_pages *p, const struct plug_request *rq, uint64_t now)
{
	while (p->unheard || p->late) {
		struct plug_request drop = p->sent;
		int rc = p->unheard ? hear(p, now) : 0;

		if (p->unheard)
			return rc;
		if (p->late) {
			p->late = false;
			drop.op = PLUG_DROP;
			send_memsrv(p, &drop);
		}
	}
	return send_memsrv(p, rq);
}

/* A request, and what memsrv says to it. */
static int ask(struct hot_pages *p, const struct plug_request *rq, uint64_t now)
{
	int rc = p->asked ? 0 : tell(p, rq, now);

	if (rc < 0)
		return rc;
	rc = hear(p, now);
	p->asked = rc == -EINPROGRESS;
	return rc;
}

static struct plug_request request(const struct gm_hot *h, uint64_t from, uint64_t len, enum plug_op op)
{
	return (struct plug_request){.op = (uint16_t)op, .zone = h->zone, .offset = from, .len = len};
}

/* The next run of blocks that are not plugged, and have not been made for the range under way, from a block on. */
static struct mem_range next_absent(const struct hot_pages *p, uint64_t at)
{
	const struct mem_blocks *b = &p->h->blocks;
	uint64_t first = p->from / b->block_size, made = first + p->done / b->block_size;
	uint64_t n;

	for (; at < b->n; at += n) {
		n = mem_blocks_run(b, at, b->n - at);
		if (at >= first && at < made)
			n = made - at;
		else if (!mem_blocks_has(b, at))
			return (struct mem_range){at, at < first && made > first && n > first - at ? first - at : n};
	}
	return (struct mem_range){at, 0};
}

/* memsrv has not heard of all that went while it was slow, and counts that as made: it is told of all that is not there. */
static int catch_up(struct hot_pages *p, uint64_t now)
{
	uint64_t block = p->h->blocks.block_size;

	for (;;) {
		struct mem_range r = next_absent(p, p->caught);
		struct plug_request drop = request(p->h, r.first * block, r.n * block, PLUG_DROP);
		int rc = r.n ? ask(p, &drop, now) : 0;

		if (rc < 0)
			return rc;
		if (r.n == 0)
			break;
		p->caught = r.first + r.n;
	}
	p->behind[p->h - p->gm->hot] = false;
	p->catching_up = false;
	return 0;
}

/* One step, the last one with what is made ahead. */
static int have_made(struct hot_pages *p, uint64_t len, uint64_t now)
{
	uint64_t extra = p->done + len == p->len ? p->extra : 0;
	struct plug_request rq = request(p->h, p->from + p->done, len + extra, PLUG_MAKE);
	bool stale;
	int rc = p->catching_up ? catch_up(p, now) : 0;

	if (rc < 0)
		return rc;
	rc = ask(p, &rq, now);
	stale = rc == -EEXIST || (rc == -EDQUOT && p->behind[p->h - p->gm->hot]);
	if (stale && !p->caught_up) {
		p->catching_up = p->caught_up = true;
		p->caught = 0;
		return have_made(p, len, now);
	}
	if (rc == 0 && extra) {
		p->ahead = p->h;
		p->ahead_from = p->from + p->len;
		p->ahead_len = extra;
		p->ahead_until = now + AHEAD_MS;
	} else if (rc < 0 && extra && rc != -EINPROGRESS && rc != -EPIPE && rc != -ETIMEDOUT) {
		p->extra = 0; /* there may be enough for the guest */
		return have_made(p, len, now);
	}
	return rc;
}

void hot_pages_give_up(struct hot_pages *p)
{
	struct plug_request drop;

	if (!p->ahead)
		return;
	/* memsrv drops it, too, and what could not be dropped here then goes there. */
	hot_drop(p->ahead, p->ahead_from, p->ahead_len, true);
	drop = request(p->ahead, p->ahead_from, p->ahead_len, PLUG_DROP);
	if (p->unheard || p->late || send_memsrv(p, &drop) < 0)
		p->behind[p->ahead - p->gm->hot] = true;
	p->ahead = NULL;
}

uint64_t hot_pages_ahead(const struct hot_pages *p, const struct gm_hot *h)
{
	return p->ahead == h ? p->ahead_len : 0;
}

/* How much of a range is there already; it is ahead no longer. */
static uint64_t use_ahead(struct hot_pages *p, const struct gm_hot *h, uint64_t from, uint64_t len)
{
	if (p->ahead != h || p->ahead_from != from) {
		hot_pages_give_up(p);
		return 0;
	}
	if (len >= p->ahead_len) {
		p->ahead = NULL;
		return p->ahead_len;
	}
	p->ahead_from += len;
	p->ahead_len -= len;
	return len;
}

/* --- a range --- */

/* What the kernel does not take stays owed. */
static int pay(struct hot_pages *p)
{
	int rc = p->owed ? hot_drop(p->owed, p->owed_from, p->owed_len, false) : 0;

	if (rc < 0)
		return rc;
	p->owed = NULL;
	p->owed_len = 0;
	return 0;
}

static void begin(struct hot_pages *p, const struct gm_hot *h, struct mem_range r, bool make)
{
	p->unpaid = pay(p);
	p->h = h;
	p->from = r.first * h->blocks.block_size;
	p->len = r.n * h->blocks.block_size;
	p->done = 0;
	p->make = make;
	p->asked = p->catching_up = p->caught_up = false;
	p->why = p->kept = 0;
	p->extra = 0;
}

static bool is_ours(const struct hot_pages *p, const struct gm_hot *h)
{
	return gm_made_here(&p->gm->plan->zones[h->zone]);
}

static bool made_here(const struct hot_pages *p)
{
	return is_ours(p, p->h);
}

void hot_pages_make(struct hot_pages *p, const struct gm_hot *h, struct mem_range r, uint64_t more)
{
	uint64_t block = h->blocks.block_size, most = AHEAD_MOST / block;
	bool in_a_row = p->last == h && p->last_end == r.first * block && now_us() - p->last_at <= IN_A_ROW_US;

	begin(p, h, r, true);
	if (made_here(p))
		return;
	p->done = use_ahead(p, h, p->from, p->len);
	if (in_a_row && p->done < p->len)
		p->extra = (more < most ? more : most) * block;
	p->last = h;
	p->last_end = p->from + p->len;
}

void hot_pages_drop(struct hot_pages *p, const struct gm_hot *h, struct mem_range r)
{
	hot_pages_give_up(p);
	begin(p, h, r, false);
}

bool hot_pages_put_off(struct hot_pages *p, const struct gm_hot *h, struct mem_range r, uint64_t now)
{
	uint64_t from = r.first * h->blocks.block_size, len = r.n * h->blocks.block_size;
	bool below = from + len == p->owed_from, above = from == p->owed_from + p->owed_len;

	if (!is_ours(p, h) || len >= OWED_MOST)
		return false;
	if ((p->owed != h || !(below || above) || p->owed_len + len > OWED_MOST) && pay(p) < 0)
		return false;
	if (!p->owed || below)
		p->owed_from = from;
	p->owed = h;
	p->owed_len += len;
	p->owed_until = now + OWED_MS;
	return true;
}

uint64_t hot_pages_owed(const struct hot_pages *p, const struct gm_hot *h)
{
	return p->owed == h ? p->owed_len : 0;
}

int hot_pages_settle(struct hot_pages *p, uint64_t now)
{
	if (p->ahead && now < p->ahead_until)
		return (int)(p->ahead_until - now); /* what is owed, too, is paid by then */
	hot_pages_give_up(p);
	if (p->owed && now < p->owed_until)
		return (int)(p->owed_until - now);
	p->owed_until = now + OWED_AGAIN_MS;
	return pay(p) < 0 ? (int)OWED_AGAIN_MS : -1;
}

/* How far the next step goes. */
static uint64_t step(const struct hot_pages *p)
{
	uint64_t most = !p->make ? DROP_STEP : made_here(p) ? MAKE_STEP : MEMSRV_STEP, left = p->len - p->done;

	if (p->make && !made_here(p) && most < p->h->blocks.block_size)
		most = p->h->blocks.block_size;
	return left < most ? left : most;
}

static int make(struct hot_pages *p, bool wanted, uint64_t now)
{
	bool here = made_here(p);

	if (p->unpaid < 0) /* it might not be empty */
		return p->unpaid;
	while (p->done < p->len) {
		uint64_t len = step(p);
		int rc;

		if (!wanted && !p->asked)
			return -ECANCELED;
		rc = here ? hot_populate(p->h, p->from + p->done, len) : have_made(p, len, now);
		if (rc < 0)
			return rc;
		p->done += len;
		if (now_us() >= p->turn_end)
			break;
	}
	if (p->done < p->len)
		return -EINPROGRESS;
	p->last_at = now_us();
	return 0;
}

static int drop(struct hot_pages *p, uint64_t now)
{
	struct plug_request rq = request(p->h, p->from, p->len, PLUG_DROP);
	bool here = made_here(p);
	int rc;

	while (p->done < p->len) {
		uint64_t len = step(p);

		rc = hot_drop(p->h, p->from + p->done, len, !here);
		if (rc < 0)
			p->kept = rc;
		p->done += len;
		if (p->done < p->len && now_us() >= p->turn_end)
			return -EINPROGRESS;
	}
	if (here)
		return p->kept;
	/* Where it did not go from here, memsrv's word counts. */
	rc = p->kept ? ask(p, &rq, now) : tell(p, &rq, now);
	if (rc == -ETIMEDOUT)
		p->behind[p->h - p->gm->hot] = true;
	return rc;
}

int hot_pages_work(struct hot_pages *p, bool wanted, uint64_t now)
{
	int rc;

	if (p->make) {
		rc = make(p, wanted, now);
		if (rc == 0 || rc == -EINPROGRESS || p->done == 0)
			return rc;
		p->why = rc;
		p->len = p->done;
		p->done = 0;
		p->make = false;
	}
	rc = drop(p, now);
	return rc == -EINPROGRESS || !p->why ? rc : p->why;
}

int hot_pages_wait(const struct hot_pages *p, uint64_t now)
{
	return p->until > now ? (int)(p->until - now) : 0;
}

struct pollfd hot_pages_interest(const struct hot_pages *p)
{
	return (struct pollfd){.fd = p->until ? p->memsrv : -1, .events = POLLIN};
}
