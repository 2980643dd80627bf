/* Numbers as people write them, for the messages of the rooms that touch host memory. No allocation, no system call. */
#pragma once
#include "model/nodeset.h"

#define PLACE_TEXT_MAX 96u

/* "74 MiB", "1 GiB", "1536 MiB", "12.5 GiB": exact where that is short, one decimal otherwise. Returns buf. */
const char *place_size_text(char *buf, size_t cap, uint64_t bytes);

/* " on host node 1", " on host nodes 0,2-3", "" for an empty set. Returns buf. */
const char *place_nodes_text(char *buf, size_t cap, const struct nodeset *nodes);
