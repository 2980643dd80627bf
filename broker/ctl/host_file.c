#include "host_file.h"
#include "bulkhead/fd.h"
#include "print.h"
#include "model/size_text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOST_FILE_MAX  (1u << 20)
#define HOST_BYTES_MAX (UINT64_C(1) << 52)

/* Reading one object: where we are (for messages) and what went wrong first. */
struct reader {
	const char *file;
	struct err *e;
	bool failed;
};

static void complain(struct reader *r, const char *where, const char *key, const char *what)
{
	if (!r->failed)
		err_set(r->e, -EINVAL, "%s: %s%s: %s", r->file, where, key, what);
	r->failed = true;
}

/* Only known keys: a misspelt one would silently mean its default. */
static void check_keys(struct reader *r, struct json_object *o, const char *where, const char *const *known)
{
	json_object_object_foreach(o, key, value)
	{
		size_t i = 0;

		(void)value;
		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i]) {
			struct txt t = {""};

			for (i = 0; known[i]; i++)
				txt_add(&t, "%s%s", i ? ", " : "unknown key; there are: ", known[i]);
			complain(r, where, key, t.s);
		}
	}
}

static bool digits_and_suffix(const char *s, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	uint64_t v = 0;
	const char *p = s, *suffix;

	for (; *p >= '0' && *p <= '9'; p++)
		if (!mul_u64(v, 10, &v) || !add_u64(v, (uint64_t)(*p - '0'), &v))
			return false;
	if (p == s)
		return false;
	if (*p && (suffix = strchr(suffixes, *p)) != NULL && p[1] == '\0')
		return mul_u64(v, UINT64_C(1) << (10 * (suffix - suffixes + 1)), ret);
	*ret = v;
	return *p == '\0';
}

static uint64_t as_number(struct reader *r, struct json_object *v, const char *where, const char *key, uint64_t max, bool size)
{
	uint64_t n;
	char what[96];

	if (json_object_is_type(v, json_type_int) && (json_object_get_int64(v) >= 0))
		n = json_object_get_uint64(v);
	else if (!size || !json_object_is_type(v, json_type_string) || !digits_and_suffix(json_object_get_string(v), &n))
		n = UINT64_MAX;
	if (n <= max)
		return n;
	snprintf(what, sizeof(what), "%s from 0 to %s", size ? "a number of bytes or a string like \"16G\"," : "a whole number",
		 size_text(max).s);
	complain(r, where, key, what);
	return 0;
}

static uint64_t get_number(struct reader *r, struct json_object *o, const char *where, const char *key, uint64_t max, bool size,
			   uint64_t absent)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? as_number(r, v, where, key, max, size) : absent;
}

static bool get_bool(struct reader *r, struct json_object *o, const char *key, bool absent)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v))
		return absent;
	if (!json_object_is_type(v, json_type_boolean))
		complain(r, "", key, "true or false");
	return json_object_get_boolean(v);
}

static void get_word(struct reader *r, struct json_object *o, const char *key, char *ret, size_t cap, const char *absent)
{
	struct json_object *v;
	const char *s = absent;

	if (json_object_object_get_ex(o, key, &v)) {
		s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
		if (!s || strlen(s) >= cap) {
			complain(r, "", key, "a short string");
			return;
		}
	}
	snprintf(ret, cap, "%s", s);
}

/* An array, or NULL when the key is absent or of another type (an error). */
static struct json_object *get_array(struct reader *r, struct json_object *o, const char *where, const char *key, size_t max)
{
	struct json_object *v;
	char what[64];

	if (!json_object_object_get_ex(o, key, &v))
		return NULL;
	if (json_object_is_type(v, json_type_array) && json_object_array_length(v) <= max)
		return v;
	snprintf(what, sizeof(what), "an array of at most %zu elements", max);
	complain(r, where, key, what);
	return NULL;
}

/* "0-3,8" */
static bool parse_list(const char *s, struct nodeset *set)
{
	do {
		char *end;
		unsigned long first, last;

		if (*s < '0' || *s > '9')
			return false;
		first = last = strtoul(s, &end, 10);
		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			last = strtoul(end + 1, &end, 10);
		if (last < first || last >= LIM_HOST_CPUS)
			return false;
		for (; first <= last; first++)
			nodeset_add(set, (uint32_t)first);
		s = end;
	} while (*s++ == ',');
	return s[-1] == '\0';
}

static bool valid_page_size(uint64_t size)
{
	return size == 2 * MiB || size == GiB;
}

static void add_huge_size(struct host_facts *f, uint64_t size)
{
	size_t at = f->n_huge_sizes;

	for (size_t i = 0; i < f->n_huge_sizes; i++)
		if (f->huge_sizes[i] == size)
			return;
	for (; at > 0 && f->huge_sizes[at - 1] > size; at--)
		f->huge_sizes[at] = f->huge_sizes[at - 1];
	f->huge_sizes[at] = size;
	f->n_huge_sizes++;
}

static void read_hugepages(struct reader *r, struct json_object *o, const char *where, struct host_facts *f, struct host_node *n)
{
	static const char *const known[] = {"size", "total", "free", NULL};
	struct json_object *a = get_array(r, o, where, "hugepages", LIM_HUGE_SIZES);

	for (size_t i = 0; a && i < json_object_array_length(a); i++) {
		struct json_object *h = json_object_array_get_idx(a, i);
		struct host_huge *out = &n->huge[n->n_huge++];
		char at[64];

		snprintf(at, sizeof(at), "%shugepages[%zu].", where, i);
		if (!json_object_is_type(h, json_type_object)) {
			complain(r, at, "", "an object with size, total and free");
			return;
		}
		check_keys(r, h, at, known);
		out->page_size = get_number(r, h, at, "size", GiB, true, 0);
		if (!valid_page_size(out->page_size)) {
			complain(r, at, "size", "\"2M\" or \"1G\": x86-64 has no other huge pages");
			return;
		}
		out->total = get_number(r, h, at, "total", HOST_BYTES_MAX / out->page_size, false, 0);
		out->free = get_number(r, h, at, "free", out->total, false, out->total);
		for (size_t k = 0; k + 1 < n->n_huge; k++)
			if (n->huge[k].page_size == out->page_size)
				complain(r, at, "size", "given twice");
		add_huge_size(f, out->page_size);
	}
}

static void read_distances(struct reader *r, struct json_object *o, const char *where, struct host_node *n, size_t n_nodes,
			   size_t self)
{
	struct json_object *a = get_array(r, o, where, "distances", n_nodes);

	for (size_t i = 0; i < n_nodes; i++)
		n->distance[i] = i == self ? 10 : 20;
	if (a && json_object_array_length(a) != n_nodes)
		complain(r, where, "distances", "one number for each node of this host");
	for (size_t i = 0; a && i < json_object_array_length(a); i++)
		n->distance[i] = (uint16_t)as_number(r, json_object_array_get_idx(a, i), where, "distances", 255, false);
}

static void read_node(struct reader *r, struct json_object *o, size_t i, size_t n_nodes, struct host_facts *f)
{
	static const char *const known[] = {"id", "memory", "free", "cpus", "hugepages", "distances", NULL};
	struct host_node *n = &f->nodes[f->n_nodes++];
	struct json_object *v;
	char where[32];

	snprintf(where, sizeof(where), "nodes[%zu].", i);
	if (!json_object_is_type(o, json_type_object)) {
		complain(r, where, "", "an object: {\"id\": 0, \"memory\": \"16G\", \"cpus\": \"0-3\"}");
		return;
	}
	check_keys(r, o, where, known);
	n->id = (uint32_t)get_number(r, o, where, "id", LIM_HOST_NODES - 1, false, i);
	if (i > 0 && n->id <= f->nodes[i - 1].id)
		complain(r, where, "id", "nodes must be in ascending order of their ids");
	n->mem_total = get_number(r, o, where, "memory", HOST_BYTES_MAX, true, 0);
	n->mem_free = get_number(r, o, where, "free", n->mem_total, true, n->mem_total);
	if (json_object_object_get_ex(o, "cpus", &v) &&
	    (!json_object_is_type(v, json_type_string) ||
	     (json_object_get_string_len(v) > 0 && !parse_list(json_object_get_string(v), &n->cpus))))
		complain(r, where, "cpus", "a string like \"0-3,8\"; CPU numbers up to 1023");
	for (size_t k = 0; k + 1 < f->n_nodes; k++)
		for (size_t w = 0; w < ARRAY_LEN(n->cpus.w); w++)
			if (n->cpus.w[w] & f->nodes[k].cpus.w[w])
				complain(r, where, "cpus", "a CPU is already in another node");
	read_hugepages(r, o, where, f, n);
	read_distances(r, o, where, n, n_nodes, i);
}

static void read_huge_sizes(struct reader *r, struct json_object *o, struct host_facts *f)
{
	struct json_object *a = get_array(r, o, "", "hugepage_sizes", LIM_HUGE_SIZES);

	if (!a)
		add_huge_size(f, 2 * MiB);
	for (size_t i = 0; a && i < json_object_array_length(a); i++) {
		uint64_t size = as_number(r, json_object_array_get_idx(a, i), "", "hugepage_sizes", GiB, true);

		if (valid_page_size(size))
			add_huge_size(f, size);
		else
			complain(r, "", "hugepage_sizes", "\"2M\" or \"1G\": x86-64 has no other huge pages");
	}
	f->default_huge_size = get_number(r, o, "", "default_hugepage_size", GiB, true, f->n_huge_sizes ? f->huge_sizes[0] : 0);
	for (size_t i = 0; i < f->n_huge_sizes; i++)
		if (f->huge_sizes[i] == f->default_huge_size)
			return;
	if (f->default_huge_size)
		complain(r, "", "default_hugepage_size", "one of hugepage_sizes");
}

static void read_host(struct reader *r, struct json_object *o, struct host_facts *f)
{
	static const char *const known[] = {"phys_bits", "kvm",       "sgx_vepc",    "hugepage_sizes", "default_hugepage_size",
					    "thp",       "shmem_thp", "ksm_running", "online_cpus",    "nodes",
					    NULL};
	struct json_object *nodes;
	uint32_t cpus = 0;

	check_keys(r, o, "", known);
	f->phys_bits = (uint8_t)get_number(r, o, "", "phys_bits", 64, false, 46);
	f->has_kvm = get_bool(r, o, "kvm", true);
	f->has_vepc = get_bool(r, o, "sgx_vepc", false);
	f->ksm_running = get_bool(r, o, "ksm_running", false);
	get_word(r, o, "thp", f->thp, sizeof(f->thp), "madvise");
	get_word(r, o, "shmem_thp", f->shmem_thp, sizeof(f->shmem_thp), "never");
	nodes = get_array(r, o, "", "nodes", ARRAY_LEN(f->nodes));
	if (!nodes || json_object_array_length(nodes) == 0) {
		complain(r, "", "nodes", "at least one node is needed: [{\"id\": 0, \"memory\": \"16G\", \"cpus\": \"0-3\"}]");
		return;
	}
	for (size_t i = 0; i < json_object_array_length(nodes) && !r->failed; i++)
		read_node(r, json_object_array_get_idx(nodes, i), i, json_object_array_length(nodes), f);
	read_huge_sizes(r, o, f);
	for (size_t i = 0; i < f->n_nodes; i++)
		cpus += nodeset_count(&f->nodes[i].cpus);
	if (cpus == 0)
		nodeset_add(&f->nodes[0].cpus, 0);
	f->online_cpus = (uint32_t)get_number(r, o, "", "online_cpus", LIM_HOST_CPUS, false, cpus ? cpus : 1);
}

/* A terminated copy of the file for the caller to free, or NULL. */
static char *slurp(const char *path, struct err *e)
{
	CLEANUP(fd_cleanup) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t n = 0;
	ssize_t got = 1;
	char *s;

	if (fd < 0) {
		err_sys(e, -errno, "%s", path);
		return NULL;
	}
	s = malloc(HOST_FILE_MAX + 1);
	while (s && n < HOST_FILE_MAX && (got = read(fd, s + n, HOST_FILE_MAX - n)) > 0)
		n += (size_t)got;
	if (!s || got < 0 || n == HOST_FILE_MAX) {
		err_set(e, -EINVAL, "%s: cannot be read, or is longer than 1 MiB", path);
		free(s);
		return NULL;
	}
	s[n] = '\0';
	return s;
}

int host_file_read(const char *path, struct host_facts *ret, struct err *e)
{
	static const char *const printed[] = {"host", "checks", "usable", NULL};
	struct reader r = {path, e, false};
	struct host_facts f = {0};
	struct json_object *doc, *host;
	enum json_tokener_error why;
	char *text = slurp(path, e);

	if (!text)
		return e ? e->code : -EINVAL;
	doc = json_tokener_parse_verbose(text, &why);
	free(text);
	if (!doc || !json_object_is_type(doc, json_type_object)) {
		json_object_put(doc);
		return err_set(e, -EINVAL, "%s: not a JSON object%s%s", path, why == json_tokener_success ? "" : ": ",
			       why == json_tokener_success ? "" : json_tokener_error_desc(why));
	}
	/* What check-host --json prints has the description one level down. */
	if (json_object_object_get_ex(doc, "host", &host) && json_object_is_type(host, json_type_object))
		check_keys(&r, doc, "", printed);
	else
		host = doc;
	read_host(&r, host, &f);
	json_object_put(doc);
	if (r.failed)
		return -EINVAL;
	*ret = f;
	return 0;
}
