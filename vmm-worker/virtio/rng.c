/* Entropy (5.4): every buffer comes back filled with the host kernel's random bytes. */
#include "virtio/devices.h"

#include <linux/virtio_ids.h>
#include <sys/random.h>

#define CLASS_OTHER   0x00ff00u
#define QUEUE_SIZE    64u
#define REQUEST_BYTES 4096u /* a larger buffer comes back partly filled, which 5.4.6 allows */

static uint32_t fill(const struct virtq_chain *c)
{
	uint32_t done = 0;

	for (unsigned i = 0; i < c->n_writable && done < REQUEST_BYTES; i++) {
		size_t want = c->writable[i].len;
		ssize_t got;

		if (want > REQUEST_BYTES - done)
			want = REQUEST_BYTES - done;
		got = getrandom(c->writable[i].at, want, GRND_NONBLOCK);
		if (got <= 0)
			break;
		done += (uint32_t)got;
		if ((size_t)got < want)
			break;
	}
	return done;
}

static void process(struct virtio_dev *d, unsigned queue)
{
	struct virtq_chain c;
	unsigned n = 0;

	do {
		while (n < QUEUE_SIZE && virtio_pop(d, queue, &c)) {
			virtio_push(d, queue, c.head, fill(&c));
			n++;
		}
	} while (!virtio_done(d, queue) && n < QUEUE_SIZE);
	/* A driver that never stops asking waits until the main thread has looked after everybody else. */
	if (n == QUEUE_SIZE)
		d->host->kick(d->host->arg);
}

const struct virtio_type virtio_rng = {
    .name = "virtio-rng",
    .id = VIRTIO_ID_RNG,
    .class_code = CLASS_OTHER,
    .n_queues = 1,
    .queue_size = QUEUE_SIZE,
    .process = process,
};
