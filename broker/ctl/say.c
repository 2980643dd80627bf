#include "say.h"

#include "print.h"

#include <json-c/json.h>

static FILE *objects_to(const struct say *s)
{
	return s->guest_has_stdout ? stderr : stdout;
}

static bool in_words(const struct say *s)
{
	return !(s->json && s->guest_has_stdout);
}

void say_object(const struct say *s, struct json_object *o)
{
	json_write(objects_to(s), o);
}

void say_failure(const struct say *s, const struct diags *ds, const char *text)
{
	static const struct diags none;

	if (in_words(s)) {
		if (ds)
			print_diags(stderr, ds);
		if (text)
			fprintf(stderr, "bulkhead %s: %s\n", s->verb, text);
	}
	if (s->json) {
		struct json_object *o = json_object_new_object();

		json_add_str(o, "error", text);
		json_add_diags(o, "diagnostics", ds ? ds : &none);
		say_object(s, o);
	}
}

void say_diags(const struct say *s, const struct diags *ds)
{
	if (ds->n == 0)
		return;
	if (in_words(s)) {
		print_diags(stderr, ds);
	} else {
		struct json_object *o = json_object_new_object();

		json_add_diags(o, "diagnostics", ds);
		say_object(s, o);
	}
}
