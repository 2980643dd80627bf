/* Between config_*.c only. */
#pragma once
#include "parse_int.h"

#include <json-c/json.h>

/* The JSON counterpart of value_from_text. */
bool value_from_json(struct parse *p, const struct key *k, void *obj, json_object *v);

/* What has to be said behind a number as json-c shows it, which makes of one that does not fit the nearest that does. */
const char *config_clamped(json_object *v);

/* JSON allows a name twice in one object, and json-c then keeps the last one silently; here that is an error like on the command
 * line. text must be valid JSON. Reports to p->ds. */
void config_report_doubles(struct parse *p, const char *text, size_t len);
