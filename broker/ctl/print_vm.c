#include "print_vm.h"

#include "model/vm_state.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

static const char *backing_word(enum backing b)
{
	switch (b) {
	case BACKING_ANON:
		return "anonymous";
	case BACKING_MEMFD:
		return "memfd";
	case BACKING_HUGETLB:
		return "hugetlb";
	case BACKING_FILE_SHARED:
		return "file-shared";
	case BACKING_FILE_PRIVATE:
		return "file-private";
	}
	return "unknown";
}

static const char *policy_word(enum host_policy p)
{
	switch (p) {
	case HOST_POLICY_UNSET:
		return "default";
	case HOST_POLICY_BIND:
		return "bind";
	case HOST_POLICY_PREFERRED:
		return "preferred";
	case HOST_POLICY_INTERLEAVE:
		return "interleave";
	case HOST_POLICY_LOCAL:
		return "local";
	}
	return "unknown";
}

static const char *size_text(uint64_t v, char buf[32])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t u = 0;

	while (u + 1 < ARRAY_LEN(units) && v && v % 1024 == 0) {
		v /= 1024;
		u++;
	}
	snprintf(buf, 32, "%" PRIu64 " %s", v, units[u]);
	return buf;
}

void print_list(const struct ctl_reply *r)
{
	char size[32];

	printf("%-5s %-24s %-9s %6s %10s %7s %s\n", "ID", "NAME", "STATE", "VCPUS", "MEMORY", "OWNER", "WORKER");
	for (size_t i = 0; i < r->n_vms; i++) {
		const struct ctl_vm_info *v = &r->vms[i];

		printf("%-5" PRIu32 " %-24s %-9s %6" PRIu32 " %10s %7" PRIu32 " %" PRId32 "\n", v->id, v->name,
		       vm_state_name(v->state), v->vcpus, size_text(v->memory, size), v->owner_uid, v->worker_pid);
	}
}

static void print_zone(const struct ctl_zone_info *z)
{
	char a[32], b[32];

	printf("  %-16s %-12s %10s  pages of %-7s guest node %-3" PRIu32 " host policy %s\n", z->id, backing_word(z->backing),
	       size_text(z->size, a), size_text(z->page_size, b), z->guest_numa_id, policy_word(z->host_policy));
	for (size_t i = 0; i < z->n_nodes; i++) {
		if (z->nodes[i].node < 0)
			printf("    not touched yet: %s\n", size_text(z->nodes[i].pages * z->page_size, a));
		else
			printf("    on host node %" PRId32 ": %s\n", z->nodes[i].node,
			       size_text(z->nodes[i].pages * z->page_size, a));
	}
}

void print_info(const struct ctl_vm_info *v)
{
	char size[32];

	printf("%s (id %" PRIu32 "): %s, %" PRIu32 " vCPU%s, %s of memory, owner uid %" PRIu32 "\n", v->name, v->id,
	       vm_state_name(v->state), v->vcpus, v->vcpus == 1 ? "" : "s", size_text(v->memory, size), v->owner_uid);
	printf("processes: worker %" PRId32 ", memsrv %" PRId32 "; guest resets: %" PRIu64 "; age %" PRIu64 ".%03" PRIu64 " s\n",
	       v->worker_pid, v->memsrv_pid, v->resets, v->age_ms / 1000, v->age_ms % 1000);
	if (v->isolation)
		printf("isolation: %s\n", v->isolation);
	puts("zones:");
	for (size_t i = 0; i < v->n_zones; i++)
		print_zone(&v->zones[i]);
	if (v->has_end) {
		fflush(stdout);
		print_end(stdout, v->name, &v->end);
	}
}

static void put(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static void put_str(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, v ? json_object_new_string(v) : NULL);
}

struct json_object *json_end(const char *name, const struct end_report *r)
{
	const struct {
		const char *name;
		uint64_t v;
	} regs[] = {
	    {"rax", r->rax}, {"rbx", r->rbx}, {"rcx", r->rcx},       {"rdx", r->rdx}, {"rsi", r->rsi},
	    {"rdi", r->rdi}, {"rbp", r->rbp}, {"rsp", r->rsp},       {"r8", r->r8},   {"r9", r->r9},
	    {"r10", r->r10}, {"r11", r->r11}, {"r12", r->r12},       {"r13", r->r13}, {"r14", r->r14},
	    {"r15", r->r15}, {"rip", r->rip}, {"rflags", r->rflags}, {"cr0", r->cr0}, {"cr2", r->cr2},
	    {"cr3", r->cr3}, {"cr4", r->cr4}, {"efer", r->efer},     {"cs", r->cs},   {"ss", r->ss},
	};
	struct json_object *o = json_object_new_object();

	put_str(o, "vm", name);
	put_str(o, "cause", end_cause_word(r->cause));
	put_str(o, "detail", r->detail);
	if (r->has_access) {
		put(o, "access_address", r->access_addr);
		put(o, "access_bytes", r->access_len);
		json_object_object_add(o, "access_write", json_object_new_boolean(r->access_write));
	}
	if (r->has_regs) {
		struct json_object *g = json_object_new_object();
		char insn[2 * END_INSN_MAX + 1] = "";

		put(o, "vcpu", r->vcpu);
		for (size_t i = 0; i < ARRAY_LEN(regs); i++)
			put(g, regs[i].name, regs[i].v);
		json_object_object_add(o, "registers", g);
		for (size_t i = 0; i < r->n_insn && i < END_INSN_MAX; i++)
			snprintf(insn + 2 * i, 3, "%02x", r->insn[i]);
		put_str(o, "instruction_bytes", insn);
	}
	return o;
}

static struct json_object *json_zone(const struct ctl_zone_info *z)
{
	struct json_object *o = json_object_new_object();
	struct json_object *nodes = json_object_new_array();
	uint64_t untouched = 0;

	put_str(o, "id", z->id);
	put_str(o, "backing", backing_word(z->backing));
	put(o, "boot_bytes", z->size);
	put(o, "page_bytes", z->page_size);
	put(o, "hotplug_bytes", z->hotplug_size);
	put(o, "requested_bytes", z->requested_size);
	put(o, "plugged_bytes", z->plugged_size);
	put(o, "guest_numa_id", z->guest_numa_id);
	put_str(o, "host_policy", policy_word(z->host_policy));
	for (size_t i = 0; i < z->n_nodes; i++) {
		struct json_object *n;

		if (z->nodes[i].node < 0) {
			untouched += z->nodes[i].pages * z->page_size;
			continue;
		}
		n = json_object_new_object();
		put(n, "host_node", (uint64_t)z->nodes[i].node);
		put(n, "resident_bytes", z->nodes[i].pages * z->page_size);
		json_object_array_add(nodes, n);
	}
	json_object_object_add(o, "resident", nodes);
	put(o, "untouched_bytes", untouched);
	return o;
}

struct json_object *json_vm(const struct ctl_vm_info *v)
{
	struct json_object *o = json_object_new_object();

	put(o, "id", v->id);
	put_str(o, "name", v->name);
	put_str(o, "state", vm_state_name(v->state));
	put(o, "owner_uid", v->owner_uid);
	put(o, "vcpus", v->vcpus);
	put(o, "memory_bytes", v->memory);
	put(o, "worker_pid", (uint64_t)v->worker_pid);
	put(o, "memsrv_pid", (uint64_t)v->memsrv_pid);
	put(o, "age_ms", v->age_ms);
	put(o, "guest_resets", v->resets);
	if (v->isolation)
		put_str(o, "isolation", v->isolation);
	if (v->n_zones) {
		struct json_object *zones = json_object_new_array();

		for (size_t i = 0; i < v->n_zones; i++)
			json_object_array_add(zones, json_zone(&v->zones[i]));
		json_object_object_add(o, "zones", zones);
	}
	if (v->has_end)
		json_object_object_add(o, "end", json_end(v->name, &v->end));
	return o;
}
