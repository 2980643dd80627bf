#include "print.h"

#include <errno.h>
#include <json-c/json.h>

void json_add_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

void json_add_str(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, v ? json_object_new_string(v) : NULL);
}

void json_add_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}

struct json_object *json_add_array(struct json_object *o, const char *key)
{
	struct json_object *a = json_object_new_array();

	json_object_object_add(o, key, a);
	return a;
}

struct json_object *json_append_object(struct json_object *array)
{
	struct json_object *o = json_object_new_object();

	json_object_array_add(array, o);
	return o;
}

void json_add_set(struct json_object *o, const char *key, const struct nodeset *s)
{
	struct json_object *a = json_add_array(o, key);

	for (int i = nodeset_next(s, 0); i >= 0; i = nodeset_next(s, i + 1))
		json_object_array_add(a, json_object_new_int(i));
}

void json_add_diags(struct json_object *o, const char *key, const struct diags *ds)
{
	struct json_object *a = json_add_array(o, key);

	for (size_t i = 0; i < ds->n; i++) {
		struct json_object *d = json_append_object(a);

		json_add_str(d, "level", diag_word(ds->d[i].level));
		json_add_str(d, "option", ds->d[i].option);
		json_add_str(d, "text", ds->d[i].text);
		json_add_str(d, "reason", ds->d[i].reason);
		json_add_str(d, "remedy", ds->d[i].remedy);
	}
}

int json_write(FILE *f, struct json_object *o)
{
	const char *s =
	    json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
	bool ok = s && fputs(s, f) >= 0 && fputc('\n', f) != EOF && fflush(f) == 0;

	json_object_put(o);
	return ok ? 0 : -EIO;
}

int json_print(struct json_object *o)
{
	return json_write(stdout, o);
}
