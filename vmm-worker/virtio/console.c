/* Console (5.3) with one port: bytes between the guest and its terminal, a file, or nowhere (dev/term.h). Input is taken only as
 * fast as the guest gives buffers for it. */
#include "virtio/devices.h"

#include <linux/virtio_ids.h>

#define CLASS_COMMUNICATION 0x078000u
#define QUEUE_SIZE          64u
#define RX                  0u
#define TX                  1u
#define BYTES_AT_ONCE       TERM_BACKLOG /* then others have their turn: a buffer may be as long as a guest's memory */

struct state {
	struct term *term; /* the machine's */
	bool rx_buffers;   /* the driver has given some, as far as we know */
	uint64_t tx_done;  /* bytes of the next chain that went out already, in the life of the queue that has this epoch */
	unsigned tx_epoch;
};
_Static_assert(sizeof(struct state) <= VIRTIO_STATE_MAX, "the room in struct virtio_dev");

static struct state *state(struct virtio_dev *d)
{
	return (struct state *)d->state;
}

/* Writes what is left of a chain, at most *room bytes. false: there is more. */
static bool transmit(struct state *s, const struct virtq_chain *c, size_t *room)
{
	uint64_t skip = s->tx_done;

	for (unsigned i = 0; i < c->n_readable; i++) {
		const struct virtq_seg *v = &c->readable[i];
		size_t n;

		if (skip >= v->len) {
			skip -= v->len;
			continue;
		}
		n = v->len - skip < *room ? (size_t)(v->len - skip) : *room;
		term_write(s->term, (const uint8_t *)v->at + skip, n);
		s->tx_done += n;
		*room -= n;
		if (n < v->len - skip)
			return false;
		skip = 0;
	}
	return true;
}

static void process_tx(struct virtio_dev *d)
{
	struct state *s = state(d);
	size_t room = BYTES_AT_ONCE;
	struct virtq_chain c;
	unsigned n = 0;
	bool more = false;

	if (s->tx_epoch != d->queue[TX].epoch) {
		s->tx_epoch = d->queue[TX].epoch;
		s->tx_done = 0;
	}
	do {
		while (n < QUEUE_SIZE && !more && virtio_pop(d, TX, &c)) {
			n++;
			if (transmit(s, &c, &room)) {
				s->tx_done = 0;
				virtio_push(d, TX, c.head, 0);
			} else {
				virtq_unpop(&d->queue[TX]);
				more = true;
			}
		}
	} while (!virtio_done(d, TX) && n < QUEUE_SIZE && !more);
	if (n == QUEUE_SIZE || more)
		d->host->kick(d->host->arg);
}

static void process(struct virtio_dev *d, unsigned queue)
{
	if (queue == RX)
		state(d)->rx_buffers = true;
	else
		process_tx(d);
}

static void receive(struct virtio_dev *d)
{
	struct state *s = state(d);
	struct virtq_chain c;
	ssize_t n;

	if (!virtio_is_live(d) || !virtio_pop(d, RX, &c)) {
		s->rx_buffers = virtio_is_live(d) && !virtio_done(d, RX);
		return;
	}
	if (c.n_writable == 0) {
		virtio_push(d, RX, c.head, 0);
		virtio_done(d, RX);
		return;
	}
	n = term_read(s->term, c.writable[0].at, c.writable[0].len);
	if (n <= 0) {
		virtq_unpop(&d->queue[RX]);
		return;
	}
	virtio_push(d, RX, c.head, (uint32_t)n);
	virtio_done(d, RX);
}

/* A hang-up is looked for always. */
static int wait_for(struct virtio_dev *d, short *events)
{
	const struct state *s = state(d);

	*events = (short)((s->rx_buffers ? POLLIN : 0) | (s->term->stuck ? POLLOUT : 0));
	return s->term->fd;
}

static void ready(struct virtio_dev *d, short events)
{
	struct state *s = state(d);

	if (s->term->fd < 0)
		return;
	if (events & POLLOUT)
		term_flush(s->term);
	if (s->rx_buffers && (events & POLLIN))
		receive(d);
	else if (events & (POLLERR | POLLHUP))
		term_attach(s->term, -1);
}

static void reset(struct virtio_dev *d)
{
	struct state *s = state(d);

	s->rx_buffers = false;
	s->tx_done = 0;
}

static bool wanted(const struct virtio_config *config)
{
	return config->console;
}

static void init(struct virtio_dev *d, const struct virtio_config *config)
{
	*state(d) = (struct state){.term = config->console};
}

const struct virtio_type virtio_console = {
    .name = "virtio-console",
    .id = VIRTIO_ID_CONSOLE,
    .class_code = CLASS_COMMUNICATION,
    .n_queues = 2,
    .queue_size = QUEUE_SIZE,
    .wanted = wanted,
    .init = init,
    .reset = reset,
    .process = process,
    .wait_for = wait_for,
    .ready = ready,
};
