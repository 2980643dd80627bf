/* "key=value,key=value" into an object, by its table of keys. */
#include "parse_int.h"

#include <string.h>

void key_names(const struct key_set *ks, bool json, struct txt *t)
{
	txt_set(t, "known: ");
	for (size_t i = 0; i < ks->n; i++)
		txt_add(t, "%s%s", i ? ", " : "", json && ks->keys[i].json ? ks->keys[i].json : ks->keys[i].name);
}

/* The offending piece, and which of several values it stands in. */
static const char *piece(struct txt *t, struct span v, const char *whole)
{
	if (strlen(whole) == v.n)
		return txt_set(t, "%s", whole);
	return txt_set(t, "%.*s (in %s)", (int)v.n, v.s, whole);
}

static const struct key *find_key(const struct key_set *ks, const char *name, size_t n)
{
	for (size_t i = 0; i < ks->n; i++)
		if (strlen(ks->keys[i].name) == n && memcmp(ks->keys[i].name, name, n) == 0)
			return &ks->keys[i];
	return NULL;
}

static void unknown_key(struct parse *p, const struct key_set *ks, struct span v, size_t name_len, const char *whole)
{
	struct txt t, names;

	key_names(ks, false, &names);
	if (v.n == 0)
		diag_add(p->ds, DIAG_ERROR, p->option, whole, "leave out the comma that has nothing behind or before it",
			 "an empty option");
	else if (v.s[0] == ' ')
		diag_add(p->ds, DIAG_ERROR, p->option, piece(&t, v, whole), "no spaces between options", "unknown option '%.*s'",
			 (int)name_len, v.s);
	else if (name_len == v.n && strspn(v.s, "0123456789-") >= v.n)
		diag_add(p->ds, DIAG_ERROR, p->option, piece(&t, v, whole), "write a list of values in brackets: [0,1]",
			 "unknown option '%.*s'", (int)name_len, v.s);
	else
		diag_add(p->ds, DIAG_ERROR, p->option, piece(&t, v, whole), names.s, "unknown option '%.*s'",
			 name_len > 100 ? 100 : (int)name_len, v.s);
}

static void parse_one(struct parse *p, const struct key_set *ks, void *obj, struct span v, const char *whole, uint32_t *seen)
{
	const char *eq = memchr(v.s, '=', v.n);
	size_t name_len = eq ? (size_t)(eq - v.s) : v.n;
	const struct key *k = find_key(ks, v.s, name_len);
	uint32_t bit = k ? UINT32_C(1) << (k - ks->keys) : 0;
	const char *value;
	struct txt t;

	if (!k) {
		unknown_key(p, ks, v, name_len, whole);
		return;
	}
	if (*seen & bit) {
		diag_add(p->ds, DIAG_ERROR, p->option, piece(&t, v, whole), "give it once", "%s is given twice", k->name);
		return;
	}
	*seen |= bit;
	value = eq ? arena_strndup(p->a, eq + 1, v.n - name_len - 1) : "";
	if (value && eq && value_from_text(p, k, obj, value))
		return;
	if (!value)
		value_out_of_memory(p);
	if (!eq)
		txt_set(&p->reason, "%s has no value", k->name);
	diag_add(p->ds, DIAG_ERROR, p->option, piece(&t, v, whole), value_wants(k->type), "%s: %s", k->name, p->reason.s);
	value_placeholder(p, k, obj);
	if (ks == &keys_memory && k == keys_memory.keys)
		p->bad_memory_size = true;
}

void parse_object(struct parse *p, const struct key_set *ks, void *obj, const char *text)
{
	const char *why = text_unbalanced(text), *at = text;
	uint32_t seen = 0;

	p->option = ks->option;
	if (why) {
		diag_add(p->ds, DIAG_ERROR, p->option, text,
			 "close every bracket and quote; put text that contains them in double quotes", "%s", why);
		for (size_t i = 0; i < ks->n; i++)
			if (ks->keys[i].mandatory)
				value_placeholder(p, &ks->keys[i], obj);
		p->bad_memory_size |= ks == &keys_memory;
		return;
	}
	while (at && *text)
		parse_one(p, ks, obj, text_next(&at), text, &seen);
	if (ks == &keys_zone)
		zone_finish(p, obj, seen, text);
}

static bool saw(uint32_t seen, const char *name)
{
	return seen & (UINT32_C(1) << (find_key(&keys_zone, name, strlen(name)) - keys_zone.keys));
}

void zone_finish(struct parse *p, struct zone_spec *z, uint32_t seen, const char *text)
{
	if (saw(seen, "host_numa_node") && saw(seen, "host_numa_nodes"))
		diag_add(p->ds, DIAG_ERROR, "--memory-zone", text,
			 "host_numa_node=N for one node, host_numa_nodes=[A,B] for several",
			 "host_numa_node and host_numa_nodes exclude each other");
	if (z->host_policy == HOST_POLICY_UNSET && z->host_node_given)
		z->host_policy = HOST_POLICY_BIND;
}

bool parse_restore(struct parse *p, const char *text, struct restore_spec *ret)
{
	static const char scheme[] = "file://";
	size_t before = p->ds->n_errors;

	*ret = (struct restore_spec){0};
	parse_object(p, &keys_restore, ret, text);
	if (!ret->source_url) {
		diag_add(p->ds, DIAG_ERROR, "--restore", text, "source_url=/path/to/snapshot", "source_url is mandatory");
	} else if (strncmp(ret->source_url, scheme, strlen(scheme)) == 0) {
		ret->source_url += strlen(scheme);
	} else if (strstr(ret->source_url, "://")) {
		diag_add(p->ds, DIAG_ERROR, "--restore", ret->source_url,
			 "source_url=/path/to/snapshot or file:///path/to/snapshot",
			 "a snapshot can only be read from a local directory");
	}
	if (ret->source_url && !*ret->source_url)
		diag_add(p->ds, DIAG_ERROR, "--restore", text, "source_url=/path/to/snapshot", "the path is empty");
	for (size_t i = 0; i < ret->n_updates; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(ret->updates[i].zone, ret->updates[k].zone) == 0)
				diag_add(p->ds, DIAG_ERROR, "--restore", text, "name each zone once", "zone %s is moved twice",
					 ret->updates[i].zone);
	return p->ds->n_errors == before;
}
