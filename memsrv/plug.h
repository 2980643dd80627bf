/* Hotplug windows: pages behind a zone's boot memory, made and dropped as the worker asks, never more than the broker allows. The
 * worker runs a guest and is believed nothing. */
#pragma once
#include "zone.h"

/* After zone_map, while everything may still be done: the policy of the window, and room to note what is there. */
int plug_prepare(struct zone *z, struct err *e);

/* How many bytes may be there; more than there are already does no harm. -EINVAL: no such window. */
int plug_allow(struct zones *zs, uint16_t zone, uint64_t bytes);

/* Nothing is plugged any more: there is a new worker, or none. */
void plug_reset(struct zones *zs);

/* A request to drop is the next one. */
bool plug_drops(int fd);
/* Reads one request and answers it. false: the other end is gone, or is not worth listening to. */
bool plug_serve(struct zones *zs, int fd);

/* How many blocks from `from` on are all there (ret_made) or all not. */
uint64_t plug_run(const struct zone *z, uint64_t from, bool *ret_made);
