#include "ring.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define AVAIL_AT (RING_SIZE * sizeof(struct vring_desc))
#define USED_AT  0x1000u

static uint16_t load(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

struct vring_desc *ring_desc(const struct ring *r)
{
	return (struct vring_desc *)(r->mem->map + r->at);
}

static uint16_t *avail(const struct ring *r)
{
	return (uint16_t *)(r->mem->map + r->at + AVAIL_AT); /* flags, idx, ring[], used_event */
}

static uint16_t *used(const struct ring *r)
{
	return (uint16_t *)(r->mem->map + r->at + USED_AT); /* flags, idx, elements, avail_event */
}

size_t ring_desc_at(const struct ring *r)
{
	return r->at;
}

size_t ring_avail_at(const struct ring *r)
{
	return r->at + AVAIL_AT;
}

size_t ring_used_at(const struct ring *r)
{
	return r->at + USED_AT;
}

int ring_make(struct ring *r, uint32_t queue, const struct memory *mem, size_t at, uint16_t base, struct err *e)
{
	*r = (struct ring){.queue = queue, .mem = mem, .at = at, .avail = base, .seen = base, .kick = -1, .call = -1};
	memset(mem->map + at, 0, RING_ROOM);
	store(avail(r) + 1, base);
	store(used(r) + 1, base);
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->kick < 0 || r->call < 0)
		return err_sys(e, -errno, "eventfd");
	return 0;
}

void ring_free(struct ring *r)
{
	fd_cleanup(&r->kick);
	fd_cleanup(&r->call);
}

void ring_offer(struct ring *r, uint16_t head)
{
	avail(r)[2 + r->avail % RING_SIZE] = head;
	r->avail++;
	store(avail(r) + 1, r->avail);
}

uint16_t ring_add(struct ring *r, const struct buf *b, unsigned n, size_t indirect)
{
	struct vring_desc *d = ring_desc(r), *t = indirect ? (struct vring_desc *)(r->mem->map + indirect) : d;
	uint16_t head = r->next;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = indirect ? i : (head + i) % RING_SIZE, next = indirect ? i + 1 : (k + 1) % RING_SIZE;

		t[k] = (struct vring_desc){b[i].gpa, b[i].len, b[i].write ? VRING_DESC_F_WRITE : 0, 0};
		if (i + 1 < n) {
			t[k].flags |= VRING_DESC_F_NEXT;
			t[k].next = (uint16_t)next;
		}
	}
	if (indirect)
		d[head] = (struct vring_desc){memory_gpa(r->mem, indirect), (uint32_t)(n * sizeof(*t)), VRING_DESC_F_INDIRECT, 0};
	r->next = (uint16_t)((head + (indirect ? 1 : n)) % RING_SIZE);
	r->out[head] = true;
	r->n_out++;
	ring_offer(r, head);
	return head;
}

void ring_set_flags(struct ring *r, uint16_t flags)
{
	store(avail(r), flags);
}

void ring_set_used_event(struct ring *r, uint16_t idx)
{
	store(avail(r) + 2 + RING_SIZE, idx);
}

uint16_t ring_used_idx(const struct ring *r)
{
	return load(used(r) + 1);
}

/* The daemon has our eventfds and can take O_NONBLOCK off them, which belongs to the file: so a signal ends what blocks. Repeated, because the
 * first may come too early. */
static void interrupt_soon(bool on)
{
	struct itimerval t = {.it_interval = {.tv_usec = on ? 200000 : 0}, .it_value = {.tv_usec = on ? 200000 : 0}};

	setitimer(ITIMER_REAL, &t, NULL);
}

void ring_kick(struct ring *r)
{
	uint64_t one = 1;
	ssize_t n;

	interrupt_soon(true);
	n = write(r->kick, &one, sizeof(one));
	interrupt_soon(false);
	(void)n; /* full: it is kicked already */
}

bool ring_called(struct ring *r, int ms)
{
	struct pollfd p = {.fd = r->call, .events = POLLIN};
	uint64_t v;
	ssize_t n;

	if (poll(&p, 1, ms) != 1)
		return false;
	interrupt_soon(true);
	n = read(r->call, &v, sizeof(v));
	interrupt_soon(false);
	return n == sizeof(v);
}

static uint64_t ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool ring_quiet(const struct ring *r, unsigned ms)
{
	for (uint64_t end = ms_now() + ms; ring_used_idx(r) == r->seen; poll(NULL, 0, 1))
		if (ms_now() >= end)
			return true;
	return false;
}

int ring_wait(struct ring *r, unsigned n, unsigned ms, struct err *e)
{
	uint64_t deadline = ms_now() + ms;

	for (unsigned done = 0; done < n;) {
		uint16_t idx = ring_used_idx(r), ready = (uint16_t)(idx - r->seen);
		struct vring_used_elem el;

		if (ready == 0) {
			struct pollfd p = {.fd = r->call, .events = 0};

			if (ms_now() >= deadline)
				return err_set(e, -ETIMEDOUT, "%u of %u requests of queue %u were not answered within %u ms",
					       n - done, n, r->queue, ms);
			poll(&p, 0, 1);
			continue;
		}
		if (ready > r->n_out)
			return err_set(e, -EPROTO, "queue %u: its used index went %u ahead, %u requests were there", r->queue,
				       ready, r->n_out);
		memcpy(&el, (uint8_t *)used(r) + 4 + sizeof(el) * (r->seen % RING_SIZE), sizeof(el));
		if (el.id >= RING_SIZE || !r->out[el.id])
			return err_set(e, -EPROTO, "queue %u: it gave back descriptor %u, which it did not have", r->queue,
				       el.id);
		r->out[el.id] = false;
		r->n_out--;
		r->seen++;
		done++;
	}
	return 0;
}
