/* Lists of numbers, ids and pairs. */
#include "parse_int.h"

#include <string.h>

static bool wrong(struct parse *p, const char *text, const char *what)
{
	return value_wrong(p, (struct span){text, strlen(text)}, what);
}

bool list_add_u32(struct parse *p, uint32_t *list, size_t *n, uint64_t v)
{
	if (*n == LIST_MAX) {
		txt_set(&p->reason, "more than %u numbers in one list", LIST_MAX);
		return false;
	}
	for (size_t i = 0; i < *n; i++) {
		if (list[i] == v) {
			txt_set(&p->reason, "%llu is in this list twice", (unsigned long long)v);
			return false;
		}
	}
	list[(*n)++] = (uint32_t)v;
	return true;
}

/* The text between the brackets of a list; a single value stands for itself. */
static bool list_body(struct parse *p, const char *text, bool brackets_needed, const char **ret)
{
	size_t n = strlen(text);
	char *body;

	if (text[0] != '[' || text[n - 1] != ']') {
		if (brackets_needed || strpbrk(text, "[]"))
			return wrong(p, text, "is no list in brackets");
		*ret = text;
		return true;
	}
	body = arena_strndup(p->a, text + 1, n - 2);
	if (!body)
		return value_out_of_memory(p);
	if (!*body)
		return wrong(p, text, "is an empty list");
	if (text_unbalanced(body) || (!brackets_needed && strpbrk(body, "[]")))
		return wrong(p, text, "has brackets inside of brackets");
	*ret = body;
	return true;
}

static bool read_range(struct parse *p, struct span v, uint32_t *list, size_t *n)
{
	const char *dash = memchr(v.s, '-', v.n);
	struct span lo = {v.s, dash ? (size_t)(dash - v.s) : v.n}, hi = lo;
	uint32_t a, b;

	if (dash)
		hi = (struct span){dash + 1, v.n - lo.n - 1};
	if (dash && memchr(hi.s, '-', hi.n))
		return value_wrong(p, v, "has more than one dash");
	if (!value_read_u32(p, lo, &a) || !value_read_u32(p, hi, &b))
		return false;
	if (dash && a >= b)
		return value_wrong(p, v, "is no ascending range");
	for (uint64_t i = a; i <= b; i++)
		if (!list_add_u32(p, list, n, i))
			return false;
	return true;
}

bool list_u32(struct parse *p, const char *text, uint32_t **ret, size_t *ret_n)
{
	uint32_t list[LIST_MAX], *copy;
	const char *at;
	size_t n = 0;

	if (!list_body(p, text, false, &at))
		return false;
	while (at)
		if (!read_range(p, text_next(&at), list, &n))
			return false;
	copy = arena_array(p->a, n, sizeof(*copy));
	if (!copy)
		return value_out_of_memory(p);
	memcpy(copy, list, n * sizeof(*copy));
	*ret = copy;
	*ret_n = n;
	return true;
}

bool list_str(struct parse *p, const char *text, const char ***ret, size_t *ret_n)
{
	const char *list[LIM_ZONES], **copy, *at;
	size_t n = 0;

	if (!list_body(p, text, false, &at))
		return false;
	while (at) {
		struct span v = text_next(&at);

		if (n == ARRAY_LEN(list)) {
			txt_set(&p->reason, "more than %zu ids in one list", ARRAY_LEN(list));
			return false;
		}
		if (memchr(v.s, ' ', v.n))
			return value_wrong(p, v, "contains a space");
		list[n] = text_unquote(p->a, v);
		if (!list[n])
			return value_out_of_memory(p);
		if (!*list[n])
			return wrong(p, text, "has an empty entry");
		for (size_t i = 0; i < n; i++)
			if (strcmp(list[i], list[n]) == 0)
				return wrong(p, list[n], "is in this list twice");
		n++;
	}
	copy = arena_array(p->a, n, sizeof(*copy));
	if (!copy)
		return value_out_of_memory(p);
	memcpy(copy, list, n * sizeof(*copy));
	*ret = copy;
	*ret_n = n;
	return true;
}

bool list_to_nodeset(struct parse *p, const uint32_t *list, size_t n, uint32_t limit, const char *what, struct nodeset *ret)
{
	struct nodeset set = {0};

	for (size_t i = 0; i < n; i++) {
		if (list[i] >= limit) {
			txt_set(&p->reason, "there is no %s %u on any host (0-%u)", what, list[i], limit - 1);
			return false;
		}
		nodeset_add(&set, list[i]);
	}
	*ret = set;
	return true;
}

bool list_nodeset(struct parse *p, const char *text, uint32_t limit, const char *what, struct nodeset *ret)
{
	uint32_t *list;
	size_t n;

	return list_u32(p, text, &list, &n) && list_to_nodeset(p, list, n, limit, what, ret);
}

/* "left@right" */
static bool read_pair(struct parse *p, struct span v, struct span *ret_left, struct span *ret_right)
{
	const char *sep = memchr(v.s, '@', v.n);
	size_t left = sep ? (size_t)(sep - v.s) : 0;

	if (!sep || left == 0 || left + 1 == v.n)
		return value_wrong(p, v, "is not a pair VALUE@VALUE");
	*ret_left = (struct span){v.s, left};
	*ret_right = (struct span){sep + 1, v.n - left - 1};
	if (memchr(ret_right->s, '@', ret_right->n))
		return value_wrong(p, v, "has more than one '@'");
	if (memchr(v.s, ' ', v.n))
		return value_wrong(p, v, "contains a space");
	return true;
}

static bool one_distance(struct parse *p, struct span left, struct span right, void *out)
{
	struct distance_spec *d = out;
	uint32_t v;

	if (!value_read_u32(p, left, &d->to) || !value_read_u32(p, right, &v))
		return false;
	if (v > 255)
		return value_wrong(p, right, "is no distance");
	d->value = (uint8_t)v;
	return true;
}

struct perf_pair {
	uint32_t to, value;
};

static bool one_perf(struct parse *p, struct span left, struct span right, void *out)
{
	struct perf_pair *pair = out;

	return value_read_u32(p, left, &pair->to) && value_read_u32(p, right, &pair->value);
}

static bool one_affinity(struct parse *p, struct span left, struct span right, void *out)
{
	struct affinity_spec *a = out;
	char *cpus = arena_strndup(p->a, right.s, right.n);

	if (!cpus)
		return value_out_of_memory(p);
	return value_read_u32(p, left, &a->vcpu) && list_nodeset(p, cpus, LIM_HOST_CPUS, "CPU", &a->host_cpus);
}

static bool one_update(struct parse *p, struct span left, struct span right, void *out)
{
	struct zone_update *u = out;

	if (!value_read_u32(p, right, &u->host_node))
		return false;
	u->zone = text_unquote(p->a, left);
	return u->zone || value_out_of_memory(p);
}

static bool read_pairs(struct parse *p, const char *text, size_t size,
		       bool (*one)(struct parse *p, struct span left, struct span right, void *out), void **ret, size_t *ret_n)
{
	const char *at, *count;
	size_t n = 0, i = 0;
	uint8_t *list;

	if (!list_body(p, text, true, &at))
		return false;
	for (count = at; count; n++)
		text_next(&count);
	list = n > LIST_MAX ? NULL : arena_array(p->a, n, size);
	if (!list)
		return value_out_of_memory(p);
	for (; at; i++) {
		struct span left, right;

		if (!read_pair(p, text_next(&at), &left, &right) || !one(p, left, right, list + i * size))
			return false;
	}
	*ret = list;
	*ret_n = n;
	return true;
}

bool list_distances(struct parse *p, const char *text, struct distance_spec **ret, size_t *ret_n)
{
	void *list;

	if (!read_pairs(p, text, sizeof(**ret), one_distance, &list, ret_n))
		return false;
	*ret = list;
	return true;
}

bool list_perf(struct parse *p, const char *text, struct perf_list *ret)
{
	struct perf_list l = {0};
	struct perf_pair *pairs;
	void *list = NULL;

	if (!read_pairs(p, text, sizeof(*pairs), one_perf, &list, &l.n))
		return false;
	pairs = list;
	l.to = arena_array(p->a, l.n, sizeof(*l.to));
	l.value = arena_array(p->a, l.n, sizeof(*l.value));
	if (!l.to || !l.value)
		return value_out_of_memory(p);
	for (size_t i = 0; i < l.n; i++) {
		l.to[i] = pairs[i].to;
		l.value[i] = pairs[i].value;
	}
	*ret = l;
	return true;
}

bool list_affinity(struct parse *p, const char *text, struct affinity_spec **ret, size_t *ret_n)
{
	void *list;

	if (!read_pairs(p, text, sizeof(**ret), one_affinity, &list, ret_n))
		return false;
	*ret = list;
	return true;
}

bool list_updates(struct parse *p, const char *text, struct zone_update **ret, size_t *ret_n)
{
	void *list;

	if (!read_pairs(p, text, sizeof(**ret), one_update, &list, ret_n))
		return false;
	*ret = list;
	return true;
}
