#include "host_file.h"
#include "print.h"
#include "model/size_text.h"

#include <json-c/json.h>

static void add_list(struct json_object *o, const char *key, const struct nodeset *s)
{
	char text[SET_TEXT_MAX];

	set_text(s, text, sizeof(text));
	json_add_str(o, key, text);
}

static void add_node(struct json_object *nodes, const struct host_facts *f, const struct host_node *n)
{
	struct json_object *o = json_append_object(nodes), *a;

	json_add_u64(o, "id", n->id);
	json_add_u64(o, "memory", n->mem_total);
	json_add_u64(o, "free", n->mem_free < n->mem_total ? n->mem_free : n->mem_total);
	add_list(o, "cpus", &n->cpus);
	a = json_add_array(o, "hugepages");
	for (size_t i = 0; i < n->n_huge; i++) {
		struct json_object *h = json_append_object(a);

		json_add_str(h, "size", size_text(n->huge[i].page_size).s);
		json_add_u64(h, "total", n->huge[i].total);
		json_add_u64(h, "free", n->huge[i].free);
	}
	a = json_add_array(o, "distances");
	for (size_t i = 0; i < f->n_nodes; i++)
		json_object_array_add(a, json_object_new_int(n->distance[i]));
}

struct json_object *host_facts_json(const struct host_facts *f)
{
	struct json_object *o = json_object_new_object(), *a;

	json_add_u64(o, "phys_bits", f->phys_bits);
	json_add_bool(o, "kvm", f->has_kvm);
	json_add_bool(o, "sgx_vepc", f->has_vepc);
	a = json_add_array(o, "hugepage_sizes");
	for (size_t i = 0; i < f->n_huge_sizes; i++)
		json_object_array_add(a, json_object_new_string(size_text(f->huge_sizes[i]).s));
	json_add_str(o, "default_hugepage_size", size_text(f->default_huge_size).s);
	json_add_str(o, "thp", f->thp);
	json_add_str(o, "shmem_thp", f->shmem_thp);
	json_add_bool(o, "ksm_running", f->ksm_running);
	json_add_u64(o, "online_cpus", f->online_cpus);
	a = json_add_array(o, "nodes");
	for (size_t i = 0; i < f->n_nodes; i++)
		add_node(a, f, &f->nodes[i]);
	return o;
}
