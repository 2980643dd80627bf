/* Memory for what a test decodes, and a message. */
#pragma once
#include "codec_samples.h"

static _Alignas(16) uint8_t mem[MiB];
static struct chan_msg msg;

static inline struct arena fresh(void)
{
	return arena_over(mem, sizeof(mem));
}
