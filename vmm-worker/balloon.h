/* What the guest gives up goes back to the host. Main thread, without the device lock, which these take. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "virtio/balloon.h"
#include "wire/worker.h"

struct machine;

struct balloon {
	bool there;
	struct balloon_device dev; /* virtio-balloon's side */
	uint64_t told_at;          /* ms */
};

/* While the machine is built. */
void balloon_init(struct machine *m, const struct wk_balloon *granted);

/* Some of what there is to do, so that nobody else waits for long. true: there is more. */
bool balloon_work(struct machine *m);

/* Asks the guest to give up so many bytes. false: there is no balloon. */
bool balloon_request(struct machine *m, uint64_t bytes);

/* How it stands. false: there is no balloon. */
bool balloon_state(struct machine *m, struct wk_balloon_state *ret);

/* The same if the broker should hear of it: at most every 50 ms, whatever the guest does. now: ms. *ret_again: as in
 * hotplug_news. */
bool balloon_news(struct machine *m, uint64_t now, struct wk_balloon_state *ret, int *ret_again);
