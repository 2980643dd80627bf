/* One reader per type of value: text to the model's field. */
#include "parse_int.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

const char *value_wants(enum value_type type)
{
	switch (type) {
	case V_SIZE:
	case V_SIZE_NONZERO:
		return "decimal digits and at most one of K, M, G, T: 512M";
	case V_U32:
		return "a number from 0 to 4294967295";
	case V_U32_NONZERO:
		return "a number from 1 to 4294967295";
	case V_CPU_COUNT:
		static_assert(LIM_CPUS == 255, "the words below");
		return "a number from 1 to 255";
	case V_SEGMENTS:
		static_assert(LIM_SEGMENTS == 96, "the words below");
		return "a number from 1 to 96";
	case V_TRI:
		return "on or off (true or false)";
	case V_STRING:
		return "some text; double quotes protect commas and brackets";
	case V_U32_LIST:
	case V_HOST_NODES:
		return "one number, or a list like [0,2-4]: ascending ranges, no spaces, nothing twice";
	case V_STR_LIST:
		return "one id, or a list like [mem0,mem1]: no spaces, nothing twice";
	case V_HOST_NODE:
		return "the number of one host node";
	case V_METHOD:
		return "acpi or virtio-mem";
	case V_IMAGE_TYPE:
		return "raw or qcow2";
	case V_POLICY:
		return "bind, preferred, interleave or local";
	case V_DISTANCES:
		return "a list like [1@15,2@25]: guest node @ distance from 11 to 254, always in brackets";
	case V_PERF:
		return "a list like [0@80,1@250]: guest node @ nanoseconds or MB/s, always in brackets";
	case V_AFFINITY:
		return "a list like [0@[0-3],1@[4]]: vCPU @ host CPUs, always in brackets";
	case V_TOPOLOGY:
		return "threads per core:cores per die:dies per package:packages, like 2:4:1:1";
	case V_RESTORE_MODE:
		return "copy or ondemand";
	case V_ZONE_UPDATES:
		return "a list like [mem0@1]: zone @ host node, always in brackets";
	}
	return "";
}

bool value_wrong(struct parse *p, struct span v, const char *what)
{
	/* A long value must not push the reason out. */
	txt_set(&p->reason, "'%.*s%s' %s", v.n > 100 ? 100 : (int)v.n, v.s, v.n > 100 ? "..." : "", what);
	return false;
}

static bool wrong(struct parse *p, const char *text, const char *what)
{
	return value_wrong(p, (struct span){text, strlen(text)}, what);
}

bool value_out_of_memory(struct parse *p)
{
	txt_set(&p->reason, "the description is larger than %u KiB", (unsigned)(PARSE_ARENA / KiB));
	return false;
}

bool value_read_u32(struct parse *p, struct span v, uint32_t *ret)
{
	uint64_t n;

	for (size_t i = 0; i < v.n; i++)
		if (v.s[i] < '0' || v.s[i] > '9')
			return value_wrong(p, v, "is not a number");
	if (v.n == 0)
		return value_wrong(p, v, "is not a number");
	if (!text_u64(v, &n) || n > UINT32_MAX)
		return value_wrong(p, v, "does not fit 32 bits");
	*ret = (uint32_t)n;
	return true;
}

static bool read_topology(struct parse *p, const char *text, struct cpus_spec *ret)
{
	uint16_t *const part[] = {&ret->threads_per_core, &ret->cores_per_die, &ret->dies_per_package, &ret->packages};
	uint32_t v[4];
	const char *at = text;

	for (unsigned i = 0; i < 4; i++) {
		size_t n = strcspn(at, ":");

		if (!value_read_u32(p, (struct span){at, n}, &v[i]))
			return false;
		if (v[i] == 0 || v[i] > UINT16_MAX)
			return value_wrong(p, (struct span){at, n}, "is no count");
		if ((at[n] == ':') != (i < 3))
			return wrong(p, text, "does not have four parts");
		at += n + 1;
	}
	for (unsigned i = 0; i < 4; i++)
		*part[i] = (uint16_t)v[i];
	ret->has_topology = true;
	return true;
}

static bool read_tri(struct parse *p, const char *text, enum tri *ret)
{
	static const struct {
		const char *word;
		enum tri v;
	} words[] = {{"on", TRI_ON}, {"true", TRI_ON}, {"off", TRI_OFF}, {"false", TRI_OFF}};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i].word) == 0) {
			*ret = words[i].v;
			return true;
		}
	}
	return wrong(p, text, "is not a toggle");
}

static bool policy_from_text(const char *s, enum host_policy *ret)
{
	static const char *const words[] = {
	    [HOST_POLICY_BIND] = "bind",
	    [HOST_POLICY_PREFERRED] = "preferred",
	    [HOST_POLICY_INTERLEAVE] = "interleave",
	    [HOST_POLICY_LOCAL] = "local",
	};

	for (size_t i = HOST_POLICY_BIND; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(s, words[i]) == 0) {
			*ret = (enum host_policy)i;
			return true;
		}
	}
	return false;
}

static bool read_method(struct parse *p, const char *text, enum hotplug_method *ret)
{
	if (strcasecmp(text, "acpi") == 0)
		*ret = HOTPLUG_ACPI;
	else if (strcasecmp(text, "virtio-mem") == 0)
		*ret = HOTPLUG_VIRTIO_MEM;
	else
		return wrong(p, text, "is no hotplug method");
	return true;
}

static bool read_image_type(struct parse *p, const char *text, enum image_type *ret)
{
	if (strcasecmp(text, "raw") == 0)
		*ret = IMAGE_RAW;
	else if (strcasecmp(text, "qcow2") == 0)
		*ret = IMAGE_QCOW2;
	else
		return wrong(p, text, "is no type of image that can be served");
	return true;
}

static bool read_mode(struct parse *p, const char *text, enum restore_mode *ret)
{
	if (strcasecmp(text, "copy") == 0)
		*ret = RESTORE_COPY;
	else if (strcasecmp(text, "ondemand") == 0)
		*ret = RESTORE_ONDEMAND;
	else
		return wrong(p, text, "is no restore mode");
	return true;
}

/* A whole value in double quotes is the value; quotes inside are left to the lists' own pieces. */
static const char *unwrap(struct parse *p, const char *text)
{
	size_t n = strlen(text);

	if (n >= 2 && text[0] == '"' && strchr(text + 1, '"') == text + n - 1)
		return arena_strndup(p->a, text + 1, n - 2);
	return text;
}

/* Digits and a unit: what is wrong with it is its size. */
static bool looks_like_size(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && (!text[n] || (strchr("KMGT", text[n]) && !text[n + 1]));
}

bool value_from_text(struct parse *p, const struct key *k, void *obj, const char *text)
{
	void *at = (uint8_t *)obj + k->offset, *aux = k->aux == NO_AUX ? NULL : (uint8_t *)obj + k->aux;
	const char *plain;
	uint64_t size = 0;
	bool ok = false;

	text = unwrap(p, text);
	if (!text)
		return value_out_of_memory(p);
	if (!*text) {
		txt_set(&p->reason, "the value is empty");
		return false;
	}
	switch (k->type) {
	case V_SIZE:
	case V_SIZE_NONZERO:
		ok = parse_size(text, &size) ||
		     wrong(p, text, looks_like_size(text) ? "is not a size below 2^64" : "is not a size");
		if (ok && size == 0 && k->type == V_SIZE_NONZERO)
			ok = wrong(p, text, "is impossible here");
		if (ok)
			*(uint64_t *)at = size;
		break;
	case V_U32:
	case V_U32_NONZERO:
	case V_CPU_COUNT:
	case V_SEGMENTS:
		ok = value_read_u32(p, (struct span){text, strlen(text)}, at);
		if (ok && (k->type == V_U32_NONZERO || k->type == V_CPU_COUNT) && *(uint32_t *)at == 0)
			ok = wrong(p, text, "is impossible here");
		break;
	case V_TRI:
		return read_tri(p, text, at);
	case V_STRING:
		plain = text_unquote(p->a, (struct span){text, strlen(text)});
		if (!plain)
			return value_out_of_memory(p);
		if (!*plain)
			return wrong(p, text, "is empty");
		*(const char **)at = plain;
		return true;
	case V_U32_LIST:
		return list_u32(p, text, at, aux);
	case V_STR_LIST:
		return list_str(p, text, at, aux);
	case V_HOST_NODE:
		if (strpbrk(text, "[]-"))
			return wrong(p, text, "is not one number");
		ok = list_nodeset(p, text, LIM_HOST_NODES, "host node", at);
		break;
	case V_HOST_NODES:
		ok = list_nodeset(p, text, LIM_HOST_NODES, "host node", at);
		break;
	case V_METHOD:
		return read_method(p, text, at);
	case V_IMAGE_TYPE:
		return read_image_type(p, text, at);
	case V_POLICY:
		return policy_from_text(text, at) || wrong(p, text, "is no policy");
	case V_DISTANCES:
		return list_distances(p, text, at, aux);
	case V_PERF:
		return list_perf(p, text, at);
	case V_AFFINITY:
		return list_affinity(p, text, at, aux);
	case V_TOPOLOGY:
		return read_topology(p, text, at);
	case V_RESTORE_MODE:
		return read_mode(p, text, at);
	case V_ZONE_UPDATES:
		return list_updates(p, text, at, aux);
	}
	if (ok && aux)
		*(bool *)aux = true;
	return ok;
}

void value_placeholder(struct parse *p, const struct key *k, void *obj)
{
	void *at = (uint8_t *)obj + k->offset;
	struct txt id;

	if (k->type == V_SIZE && k->aux != NO_AUX && (k->mandatory || strcmp(k->name, "hotplug_size") == 0)) {
		*(uint64_t *)at = TiB; /* a multiple of every page size */
		*(bool *)((uint8_t *)obj + k->aux) = true;
	} else if (k->type == V_U32 && k->mandatory) {
		*(uint32_t *)at = UINT32_MAX - p->n_bad;
		*(bool *)((uint8_t *)obj + k->aux) = true;
	} else if (k->type == V_STRING && k->mandatory) {
		txt_set(&id, "unreadable-%u", p->n_bad);
		*(const char **)at = arena_strndup(p->a, id.s, sizeof(id.s));
	}
	p->n_bad++;
}
