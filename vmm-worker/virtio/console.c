/* Console (5.3) with one port: bytes between the guest and a stream socket. Output that the socket does not take waits in the
 * queue; input is taken only as fast as the guest gives buffers for it. */
#include "virtio/devices.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <sys/socket.h>

#define CLASS_COMMUNICATION 0x078000u
#define QUEUE_SIZE          64u
#define RX                  0u
#define TX                  1u

struct state {
	int fd;           /* the machine's; -1: the other end is gone, output is dropped */
	bool rx_buffers;  /* the driver has given some, as far as we know */
	bool tx_stuck;    /* the socket is full */
	uint64_t tx_done; /* bytes of the next chain that went out already */
};
_Static_assert(sizeof(struct state) <= VIRTIO_STATE_MAX, "the room in struct virtio_dev");

static struct state *state(struct virtio_dev *d)
{
	return (struct state *)d->state;
}

/* Sends what is left of a chain. false: the socket is full. */
static bool transmit(struct state *s, const struct virtq_chain *c)
{
	uint64_t skip = s->tx_done;

	for (unsigned i = 0; i < c->n_readable && s->fd >= 0; i++) {
		const struct virtq_seg *v = &c->readable[i];

		while (skip < v->len && s->fd >= 0) {
			ssize_t n = send(s->fd, (uint8_t *)v->at + skip, v->len - skip, MSG_DONTWAIT | MSG_NOSIGNAL);

			if (n < 0 && errno == EAGAIN)
				return false;
			if (n < 0 && errno != EINTR)
				s->fd = -1;
			if (n > 0) {
				skip += (uint64_t)n;
				s->tx_done += (uint64_t)n;
			}
		}
		skip = skip > v->len ? skip - v->len : 0;
	}
	return true;
}

static void process_tx(struct virtio_dev *d)
{
	struct state *s = state(d);
	struct virtq_chain c;
	unsigned n = 0;

	s->tx_stuck = false;
	do {
		while (n < QUEUE_SIZE && !s->tx_stuck && virtio_pop(d, TX, &c)) {
			n++;
			if (transmit(s, &c)) {
				s->tx_done = 0;
				virtio_push(d, TX, c.head, 0);
			} else {
				virtq_unpop(&d->queue[TX]);
				s->tx_stuck = true;
			}
		}
	} while (!virtio_done(d, TX) && n < QUEUE_SIZE && !s->tx_stuck);
	if (n == QUEUE_SIZE)
		d->host->kick(d->host->arg);
}

static void process(struct virtio_dev *d, unsigned queue)
{
	if (queue == RX)
		state(d)->rx_buffers = true;
	else if (!state(d)->tx_stuck)
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
	do
		n = recv(s->fd, c.writable[0].at, c.writable[0].len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		virtq_unpop(&d->queue[RX]);
		if (n == 0 || errno != EAGAIN)
			s->fd = -1;
		return;
	}
	virtio_push(d, RX, c.head, (uint32_t)n);
	virtio_done(d, RX);
}

static int wait_for(struct virtio_dev *d, short *events)
{
	const struct state *s = state(d);

	*events = (short)((s->rx_buffers ? POLLIN : 0) | (s->tx_stuck ? POLLOUT : 0));
	return *events ? s->fd : -1;
}

static void ready(struct virtio_dev *d, short events)
{
	struct state *s = state(d);

	if (s->tx_stuck && (events & (POLLOUT | POLLERR | POLLHUP)))
		process_tx(d);
	if (s->rx_buffers && s->fd >= 0 && (events & (POLLIN | POLLERR | POLLHUP)))
		receive(d);
}

static void reset(struct virtio_dev *d)
{
	struct state *s = state(d);

	s->rx_buffers = s->tx_stuck = false;
	s->tx_done = 0;
}

static bool wanted(const struct virtio_config *config)
{
	return config->console_fd >= 0;
}

static void init(struct virtio_dev *d, const struct virtio_config *config)
{
	*state(d) = (struct state){.fd = config->console_fd};
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
