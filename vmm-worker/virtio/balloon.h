/* virtio-balloon (5.5): which memory the guest gives up. What becomes of it is done by ../balloon.c, piece by piece; everything
 * here runs under the device lock. */
#pragma once
#include "virtio/device.h"

#define BALLOON_PFNS_MAX 1024u     /* pages of one request that are looked at; Linux sends 256 */
#define BALLOON_STEP     (4 * MiB) /* the largest range that Linux reports at once */

/* A request on its way: its buffer goes back to the guest when all of it is done. */
struct balloon_job {
	bool there;
	uint16_t queue, head;
	unsigned epoch; /* of the queue */
	unsigned n, at; /* pieces of memory, and how many of them are done */
	struct virtq_seg piece[BALLOON_PFNS_MAX];
};

struct balloon_device {
	bool deflate_on_oom, free_page_reporting;
	uint32_t wanted, actual; /* guest pages; actual is what the guest says */
	bool driver;             /* DRIVER_OK was seen, and no reset since */
	bool changed;            /* something to tell the broker */
	bool look;               /* there may be requests */
	unsigned next_queue;     /* whose turn it is */
	struct balloon_job job;
	/* Bytes, as in struct wk_balloon_state. */
	uint64_t given, reported, kept, foreign;
};

/* b must live as long as the machine. */
void virtio_balloon_attach(struct virtio_dev *d, struct balloon_device *b);

/* So many pages the guest is to give up from now on; tells it. */
void virtio_balloon_request(struct virtio_dev *d, uint32_t pages);

enum balloon_next {
	BALLOON_IDLE,    /* nothing to do until the guest asks again */
	BALLOON_GOES_ON, /* a request without memory was answered: ask again */
	BALLOON_MEMORY, /* *ret is a piece of guest memory, of whole pages and at most BALLOON_STEP, that the guest does not need:
			   virtio_balloon_done must follow */
};
enum balloon_next virtio_balloon_next(struct virtio_dev *d, struct virtq_seg *ret);
/* The piece was dealt with: it went to the host, or was kept. */
void virtio_balloon_done(struct virtio_dev *d, size_t len, bool given);
