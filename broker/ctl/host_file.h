/* A host described in a file, so that plans can be made for another machine: `--host FILE`. What `check-host --json` prints is
 * such a description. The keys are documented in bulkhead-plan(1) and in host_file.c's table. */
#pragma once
#include "bulkhead/err.h"
#include "model/host_facts.h"

#include <json-c/json_types.h>

/* Reads the description in path. What is absent gets a default: 46 address bits, KVM there, pages of 2M, every page free, one
 * CPU, distance 20. Errors name the file, the key and what it may be: -EINVAL, or what opening the file gave. */
int host_file_read(const char *path, struct host_facts *ret, struct err *e);

/* The same document from facts; owned by the caller. */
struct json_object *host_facts_json(const struct host_facts *f);
