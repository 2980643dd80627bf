/* A plan and its needs for people and for programs. Takes what plan_build and plan_needs made; prints to stdout. */
#pragma once
#include "model/mem_plan.h"

#include <json-c/json_types.h>

/* Can the host give all that is guaranteed? */
bool needs_fit(const struct plan_need *needs, size_t n);

/* spec is the one that the plan was made from: vCPUs and file names are not in the plan. */
void print_plan(const struct mem_plan *p, const struct vm_spec *spec);
void print_needs(const struct plan_need *needs, size_t n);

/* Owned by the caller. */
struct json_object *json_plan(const struct mem_plan *p, const struct vm_spec *spec);
struct json_object *json_needs(const struct plan_need *needs, size_t n);
