/* One reader per type of value: JSON to the model's field. The counterpart of parse_value.c. */
#include "config_int.h"

#include <string.h>

static const char *type_word(json_object *v)
{
	return v ? json_type_to_name(json_object_get_type(v)) : "null";
}

static bool wrong_type(struct parse *p, json_object *v, const char *wanted)
{
	txt_set(&p->reason, "this is a %s, it has to be %s", type_word(v), wanted);
	return false;
}

const char *config_clamped(json_object *v)
{
	if (!json_object_is_type(v, json_type_int))
		return "";
	return json_object_get_uint64(v) == UINT64_MAX ? " or more" : json_object_get_int64(v) == INT64_MIN ? " or less" : "";
}

static bool json_u64(struct parse *p, json_object *v, uint64_t max, uint64_t *ret)
{
	uint64_t n;

	if (!json_object_is_type(v, json_type_int))
		return wrong_type(p, v, "a whole number");
	n = json_object_get_uint64(v);
	/* A negative number reads as 0, and one beyond 64 bits as the largest. */
	if (json_object_get_int64(v) < 0 || n > max || (n == UINT64_MAX && max == UINT64_MAX)) {
		txt_set(&p->reason, "the number does not fit: 0 to %llu", (unsigned long long)max);
		return false;
	}
	*ret = n;
	return true;
}

static bool json_u32(struct parse *p, json_object *v, uint32_t *ret)
{
	uint64_t n;

	if (!json_u64(p, v, UINT32_MAX, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool json_string(struct parse *p, json_object *v, const char **ret)
{
	const char *s, *copy;

	if (!json_object_is_type(v, json_type_string))
		return wrong_type(p, v, "a string");
	s = json_object_get_string(v);
	if (strlen(s) != (size_t)json_object_get_string_len(v)) {
		txt_set(&p->reason, "the string contains a zero byte");
		return false;
	}
	if (!*s) {
		txt_set(&p->reason, "the value is empty");
		return false;
	}
	copy = arena_strndup(p->a, s, strlen(s));
	if (!copy)
		return value_out_of_memory(p);
	*ret = copy;
	return true;
}

/* Room for what an array holds, and for how many; NULL after a problem. */
static void *json_list(struct parse *p, json_object *v, size_t max, size_t size, size_t *ret_n)
{
	void *list;

	if (!json_object_is_type(v, json_type_array)) {
		wrong_type(p, v, "an array");
		return NULL;
	}
	*ret_n = json_object_array_length(v);
	if (*ret_n > max) {
		txt_set(&p->reason, "more than %zu entries", max);
		return NULL;
	}
	list = arena_array(p->a, *ret_n, size);
	if (!list)
		value_out_of_memory(p);
	return list;
}

static bool json_u32_list(struct parse *p, json_object *v, uint32_t **ret, size_t *ret_n)
{
	size_t len, n = 0;
	uint32_t *list, one = 0;

	list = json_list(p, v, LIST_MAX, sizeof(*list), &len);
	if (!list)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!json_u32(p, json_object_array_get_idx(v, i), &one) || !list_add_u32(p, list, &n, one))
			return false;
	*ret = list;
	*ret_n = n;
	return true;
}

static bool json_str_list(struct parse *p, json_object *v, const char ***ret, size_t *ret_n)
{
	const char **list;
	size_t len;

	list = json_list(p, v, LIM_ZONES, sizeof(*list), &len);
	if (!list)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!json_string(p, json_object_array_get_idx(v, i), &list[i]))
			return false;
	*ret = list;
	*ret_n = len;
	return true;
}

static bool json_nodeset(struct parse *p, json_object *v, uint32_t limit, const char *what, struct nodeset *ret)
{
	uint32_t *list;
	size_t n;

	return json_u32_list(p, v, &list, &n) && list_to_nodeset(p, list, n, limit, what, ret);
}

/* An object with exactly these members. */
static bool json_members(struct parse *p, json_object *v, const char *const names[], size_t n, json_object *ret[])
{
	if (!json_object_is_type(v, json_type_object))
		return wrong_type(p, v, "an object");
	for (size_t i = 0; i < n; i++) {
		if (!json_object_object_get_ex(v, names[i], &ret[i])) {
			txt_set(&p->reason, "%s is missing", names[i]);
			return false;
		}
	}
	if ((size_t)json_object_object_length(v) != n) {
		txt_set(&p->reason, "unknown members besides");
		for (size_t i = 0; i < n; i++)
			txt_add(&p->reason, " %s", names[i]);
		return false;
	}
	return true;
}

static bool json_distances(struct parse *p, json_object *v, struct distance_spec **ret, size_t *ret_n)
{
	static const char *const names[] = {"destination", "distance"};
	struct distance_spec *list;
	json_object *m[2];
	size_t len;
	uint64_t d;

	list = json_list(p, v, LIST_MAX, sizeof(*list), &len);
	if (!list)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!json_members(p, json_object_array_get_idx(v, i), names, 2, m) || !json_u32(p, m[0], &list[i].to) ||
		    !json_u64(p, m[1], 255, &d))
			return false;
		list[i].value = (uint8_t)d;
	}
	*ret = list;
	*ret_n = len;
	return true;
}

static bool json_perf(struct parse *p, json_object *v, struct perf_list *ret)
{
	static const char *const names[] = {"destination", "value"};
	struct perf_list l = {0};
	json_object *m[2];

	l.to = json_list(p, v, LIST_MAX, sizeof(*l.to), &l.n);
	if (!l.to)
		return false;
	l.value = arena_array(p->a, l.n, sizeof(*l.value));
	if (!l.value)
		return value_out_of_memory(p);
	for (size_t i = 0; i < l.n; i++)
		if (!json_members(p, json_object_array_get_idx(v, i), names, 2, m) || !json_u32(p, m[0], &l.to[i]) ||
		    !json_u32(p, m[1], &l.value[i]))
			return false;
	*ret = l;
	return true;
}

static bool json_affinity(struct parse *p, json_object *v, struct affinity_spec **ret, size_t *ret_n)
{
	static const char *const names[] = {"vcpu", "host_cpus"};
	struct affinity_spec *list;
	json_object *m[2];
	size_t len;

	list = json_list(p, v, LIST_MAX, sizeof(*list), &len);
	if (!list)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!json_members(p, json_object_array_get_idx(v, i), names, 2, m) || !json_u32(p, m[0], &list[i].vcpu) ||
		    !json_nodeset(p, m[1], LIM_HOST_CPUS, "CPU", &list[i].host_cpus))
			return false;
	*ret = list;
	*ret_n = len;
	return true;
}

static bool json_topology(struct parse *p, json_object *v, struct cpus_spec *ret)
{
	static const char *const names[] = {"threads_per_core", "cores_per_die", "dies_per_package", "packages"};
	uint16_t *const part[] = {&ret->threads_per_core, &ret->cores_per_die, &ret->dies_per_package, &ret->packages};
	json_object *m[4];
	uint64_t n[4];

	if (!json_members(p, v, names, 4, m))
		return false;
	for (size_t i = 0; i < 4; i++)
		if (!json_u64(p, m[i], UINT16_MAX, &n[i]))
			return false;
	for (size_t i = 0; i < 4; i++)
		*part[i] = (uint16_t)n[i];
	ret->has_topology = true;
	return true;
}

/* CH writes "Acpi" and "VirtioMem"; the command line's words are taken too. */
static bool json_word(struct parse *p, const struct key *k, void *obj, json_object *v)
{
	const char *s;

	if (!json_string(p, v, &s))
		return false;
	return value_from_text(p, k, obj, k->type == V_METHOD && strcmp(s, "VirtioMem") == 0 ? "virtio-mem" : s);
}

bool value_from_json(struct parse *p, const struct key *k, void *obj, json_object *v)
{
	void *at = (uint8_t *)obj + k->offset, *aux = k->aux == NO_AUX ? NULL : (uint8_t *)obj + k->aux;
	struct nodeset set = {0};
	uint64_t n = 0;
	bool ok = false;

	switch (k->type) {
	case V_SIZE:
	case V_SIZE_NONZERO:
	case V_U32:
	case V_U32_NONZERO:
	case V_CPU_COUNT:
	case V_SEGMENTS:
		ok = json_u64(p, v, k->type == V_SIZE || k->type == V_SIZE_NONZERO ? UINT64_MAX : UINT32_MAX, &n);
		if (ok && n == 0 && (k->type == V_SIZE_NONZERO || k->type == V_U32_NONZERO || k->type == V_CPU_COUNT)) {
			txt_set(&p->reason, "0 is impossible here");
			return false;
		}
		if (ok && (k->type == V_SIZE || k->type == V_SIZE_NONZERO))
			*(uint64_t *)at = n;
		else if (ok)
			*(uint32_t *)at = (uint32_t)n;
		break;
	case V_TRI:
		if (!json_object_is_type(v, json_type_boolean))
			return wrong_type(p, v, "true or false");
		*(enum tri *)at = json_object_get_boolean(v) ? TRI_ON : TRI_OFF;
		return true;
	case V_STRING:
		return json_string(p, v, at);
	case V_U32_LIST:
		return json_u32_list(p, v, at, aux);
	case V_STR_LIST:
		return json_str_list(p, v, at, aux);
	case V_HOST_NODE:
		ok = json_u64(p, v, LIM_HOST_NODES - 1, &n);
		nodeset_add(&set, (uint32_t)n);
		if (ok)
			*(struct nodeset *)at = set;
		break;
	case V_HOST_NODES:
		ok = json_nodeset(p, v, LIM_HOST_NODES, "host node", at);
		break;
	case V_METHOD:
	case V_IMAGE_TYPE:
	case V_POLICY:
	case V_RESTORE_MODE:
		return json_word(p, k, obj, v);
	case V_DISTANCES:
		return json_distances(p, v, at, aux);
	case V_PERF:
		return json_perf(p, v, at);
	case V_AFFINITY:
		return json_affinity(p, v, at, aux);
	case V_TOPOLOGY:
		return json_topology(p, v, at);
	case V_ZONE_UPDATES: /* a restore is not described in a VM's JSON */
		return wrong_type(p, v, "on the command line");
	}
	if (ok && aux)
		*(bool *)aux = true;
	return ok;
}
