/* Messages for test_codec and the fuzz target: one full and one minimal of each kind, built by hand. */
#pragma once
#include "wire/control.h"
#include "wire/memsrv.h"
#include "wire/worker.h"

/* Filled objects live in static storage of codec_samples.c; one thread. */
const struct vm_spec *sample_spec_full(void);
const struct mem_plan *sample_plan_full(void); /* every array at its bound */
struct end_report sample_end(void);

/* A valid message of kind k (0 .. SAMPLE_KINDS - 1) as it would be received; nfds descriptors are numbers, not open files. */
#define SAMPLE_KINDS 34u
void sample_message(unsigned k, struct chan_msg *ret);

/* Gives a received message to every decoder there is, with an arena of cap bytes. Returns how many took it. */
unsigned decode_with_all(const struct chan_msg *m, void *arena, size_t cap);
