#include "print_vm.h"

#include "model/vm_state.h"
#include "print.h"
#include "print_guest.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

void print_list(const struct ctl_reply *r)
{
	printf("%-5s %-24s %-9s %6s %10s %7s %s\n", "ID", "NAME", "STATE", "VCPUS", "MEMORY", "OWNER", "WORKER");
	for (size_t i = 0; i < r->n_vms; i++) {
		const struct ctl_vm_info *v = &r->vms[i];

		printf("%-5" PRIu32 " %-24s %-9s %6" PRIu32 " %10s %7" PRIu32 " %" PRId32 "\n", v->id, v->name,
		       vm_state_name(v->state), v->vcpus, people_size(v->memory).s, v->owner_uid, v->worker_pid);
	}
}

static void print_zone(const struct ctl_zone_info *z)
{
	printf("  %-16s %-12s %10s  pages of %-7s guest node %-3" PRIu32 " host policy %s\n", z->id, backing_word(z->backing),
	       people_size(z->size).s, people_size(z->page_size).s, z->guest_numa_id, policy_word(z->host_policy));
	if (z->hotplug_size)
		printf("    room to grow: %s; asked for %s of it, plugged %s\n", people_size(z->hotplug_size).s,
		       people_size(z->requested_size).s, people_size(z->plugged_size).s);
	if (z->dimms)
		printf("    memory slots in use: %" PRIu32 "\n", z->dimms);
	if (z->refused)
		printf("    of the last request: %s\n", z->refused);
	if (z->denied || z->strayed)
		printf("    the guest: %" PRIu64 " requests that were not granted, %" PRIu64 " touches of what is not plugged\n",
		       z->denied, z->strayed);
	for (size_t i = 0; i < z->n_nodes; i++) {
		if (z->nodes[i].node == NODE_UNKNOWN)
			printf("    on some host node: %s\n", people_size(z->nodes[i].pages * z->page_size).s);
		else if (z->nodes[i].node < 0)
			printf("    not touched yet: %s\n", people_size(z->nodes[i].pages * z->page_size).s);
		else
			printf("    on host node %" PRId32 ": %s\n", z->nodes[i].node,
			       people_size(z->nodes[i].pages * z->page_size).s);
	}
	if (z->outdated)
		printf("    these pages were counted earlier: no count came in time for this answer\n");
}

static void print_balloon(const struct wk_balloon_state *b)
{
	printf("balloon: %s; the guest is to give up %s and has given up %s\n",
	       b->driver ? "driven by the guest" : "the guest has no driver", people_size(b->wanted).s,
	       people_size(b->actual).s);
	printf("  went back to the host so far: %s given up, %s reported free; kept by zones that give nothing back: %s\n",
	       people_size(b->given).s, people_size(b->reported).s, people_size(b->kept).s);
	if (b->foreign)
		printf("  the guest named %s that are none of its memory\n", people_size(b->foreign).s);
}

/* The name of a file, as whoever made the VM wrote it; that may be somebody else than who looks at it now. Until the next call. */
static const char *plain_path(const char *path)
{
	static char buf[LIM_PATH + 1];

	snprintf(buf, sizeof(buf), "%s", path ? path : "?");
	for (char *s = buf; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
	return buf;
}

void print_info(const struct ctl_vm_info *v)
{
	printf("%s (id %" PRIu32 "): %s, %" PRIu32 " vCPU%s, %s of memory, owner uid %" PRIu32 "\n", v->name, v->id,
	       vm_state_name(v->state), v->vcpus, v->vcpus == 1 ? "" : "s", people_size(v->memory).s, v->owner_uid);
	printf("processes: worker %" PRId32 ", memsrv %" PRId32 "; guest resets: %" PRIu64 "; age %" PRIu64 ".%03" PRIu64 " s\n",
	       v->worker_pid, v->memsrv_pid, v->resets, v->age_ms / 1000, v->age_ms % 1000);
	if (v->isolation)
		printf("isolation: %s\n", v->isolation);
	puts("zones:");
	for (size_t i = 0; i < v->n_zones; i++)
		print_zone(&v->zones[i]);
	if (v->n_devices)
		puts("devices:");
	for (size_t i = 0; i < v->n_devices; i++) {
		const struct ctl_device_info *d = &v->devices[i];

		printf("  %-16s back-end %s %s %s, lost %" PRIu64 " time%s", d->id, d->up ? "connected" : "gone",
		       d->own ? "on" : "at", plain_path(d->socket), d->losses, d->losses == 1 ? "" : "s");
		if (d->own)
			printf(", process %" PRId32 ", started again %" PRIu64 " time%s", d->pid, d->restarts,
			       d->restarts == 1 ? "" : "s");
		printf("%s%s\n", d->text ? ": " : "", d->text ? d->text : "");
	}
	if (v->n_epc)
		puts("SGX EPC sections:");
	for (size_t i = 0; i < v->n_epc; i++) {
		printf("  %-16s %10s  at 0x%012" PRIx64, v->epc[i].id, people_size(v->epc[i].size).s, v->epc[i].start);
		if (v->epc[i].has_node)
			printf("  guest node %" PRIu32, v->epc[i].guest_numa_id);
		puts("");
	}
	print_pinned(v->pins, v->n_pins);
	print_costs(v->costs, v->n_costs, v->all_costs);
	print_caches(v->caches, v->n_caches);
	if (v->has_balloon)
		print_balloon(&v->balloon);
	if (v->has_end) {
		fflush(stdout);
		print_end(stdout, v->name, &v->end);
	}
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

	json_add_str(o, "vm", name);
	json_add_str(o, "cause", end_cause_word(r->cause));
	json_add_str(o, "detail", r->detail);
	if (r->has_access) {
		json_add_u64(o, "access_address", r->access_addr);
		json_add_u64(o, "access_bytes", r->access_len);
		json_add_bool(o, "access_write", r->access_write);
	}
	if (r->has_regs) {
		struct json_object *g = json_object_new_object();
		char insn[2 * END_INSN_MAX + 1] = "";

		json_add_u64(o, "vcpu", r->vcpu);
		for (size_t i = 0; i < ARRAY_LEN(regs); i++)
			json_add_u64(g, regs[i].name, regs[i].v);
		json_object_object_add(o, "registers", g);
		for (size_t i = 0; i < r->n_insn && i < END_INSN_MAX; i++)
			snprintf(insn + 2 * i, 3, "%02x", r->insn[i]);
		json_add_str(o, "instruction_bytes", insn);
	}
	return o;
}

static void json_zone(struct json_object *array, const struct ctl_zone_info *z)
{
	struct json_object *o = json_append_object(array);
	struct json_object *nodes = json_add_array(o, "resident");
	uint64_t untouched = 0;

	json_add_str(o, "id", z->id);
	json_add_str(o, "backing", backing_word(z->backing));
	json_add_u64(o, "boot_bytes", z->size);
	json_add_u64(o, "page_bytes", z->page_size);
	json_add_u64(o, "hotplug_bytes", z->hotplug_size);
	json_add_u64(o, "requested_bytes", z->requested_size);
	json_add_u64(o, "plugged_bytes", z->plugged_size);
	json_add_u64(o, "memory_slots_in_use", z->dimms);
	json_add_str(o, "refused", z->refused);
	json_add_u64(o, "denied_requests", z->denied);
	json_add_u64(o, "stray_accesses", z->strayed);
	json_add_u64(o, "guest_numa_id", z->guest_numa_id);
	json_add_str(o, "host_policy", policy_word(z->host_policy));
	for (size_t i = 0; i < z->n_nodes; i++) {
		uint64_t bytes = z->nodes[i].pages * z->page_size;

		if (z->nodes[i].node < 0 && z->nodes[i].node != NODE_UNKNOWN) {
			untouched += bytes;
		} else {
			struct json_object *n = json_append_object(nodes);

			if (z->nodes[i].node == NODE_UNKNOWN)
				json_object_object_add(n, "host_node", NULL);
			else
				json_add_u64(n, "host_node", (uint64_t)z->nodes[i].node);
			json_add_u64(n, "resident_bytes", bytes);
		}
	}
	json_add_u64(o, "untouched_bytes", untouched);
	json_add_bool(o, "resident_outdated", z->outdated);
}

static void json_epc(struct json_object *o, const struct ctl_vm_info *v)
{
	struct json_object *a = json_add_array(o, "sgx_epc");

	for (size_t i = 0; i < v->n_epc; i++) {
		struct json_object *row = json_append_object(a);

		json_add_str(row, "id", v->epc[i].id);
		json_add_u64(row, "start", v->epc[i].start);
		json_add_u64(row, "len", v->epc[i].size);
		if (v->epc[i].has_node)
			json_add_u64(row, "guest_numa_id", v->epc[i].guest_numa_id);
		else
			json_object_object_add(row, "guest_numa_id", NULL);
	}
}

static void json_balloon(struct json_object *o, const struct wk_balloon_state *i)
{
	struct json_object *b = json_object_new_object();

	json_add_u64(b, "requested_bytes", i->wanted);
	json_add_u64(b, "actual_bytes", i->actual);
	json_add_bool(b, "driver", i->driver);
	json_add_u64(b, "given_bytes", i->given);
	json_add_u64(b, "reported_bytes", i->reported);
	json_add_u64(b, "kept_bytes", i->kept);
	json_add_u64(b, "foreign_bytes", i->foreign);
	json_object_object_add(o, "balloon", b);
}

struct json_object *json_vm(const struct ctl_vm_info *v)
{
	struct json_object *o = json_object_new_object();

	json_add_u64(o, "id", v->id);
	json_add_str(o, "name", v->name);
	json_add_str(o, "state", vm_state_name(v->state));
	json_add_u64(o, "owner_uid", v->owner_uid);
	json_add_u64(o, "vcpus", v->vcpus);
	json_add_u64(o, "memory_bytes", v->memory);
	json_add_u64(o, "worker_pid", (uint64_t)v->worker_pid);
	json_add_u64(o, "memsrv_pid", (uint64_t)v->memsrv_pid);
	json_add_u64(o, "age_ms", v->age_ms);
	json_add_u64(o, "guest_resets", v->resets);
	if (v->isolation)
		json_add_str(o, "isolation", v->isolation);
	if (v->n_zones) {
		struct json_object *zones = json_add_array(o, "zones");

		for (size_t i = 0; i < v->n_zones; i++)
			json_zone(zones, &v->zones[i]);
	}
	if (v->n_devices) {
		struct json_object *devices = json_add_array(o, "devices");

		for (size_t i = 0; i < v->n_devices; i++) {
			struct json_object *d = json_append_object(devices);

			json_add_str(d, "id", v->devices[i].id);
			json_add_str(d, v->devices[i].own ? "path" : "socket", v->devices[i].socket);
			if (v->devices[i].own) {
				json_add_u64(d, "pid", (uint64_t)v->devices[i].pid);
				json_add_u64(d, "restarts", v->devices[i].restarts);
			}
			json_add_bool(d, "connected", v->devices[i].up);
			json_add_u64(d, "losses", v->devices[i].losses);
			json_add_str(d, "text", v->devices[i].text);
		}
	}
	if (v->n_zones) { /* info, not list */
		json_epc(o, v);
		json_pinned(o, v->pins, v->n_pins);
		json_costs(o, v->costs, v->n_costs);
		json_add_u64(o, "costs_left_out", v->all_costs - v->n_costs);
		json_caches(o, v->caches, v->n_caches);
	}
	if (v->has_balloon)
		json_balloon(o, &v->balloon);
	if (v->has_end)
		json_object_object_add(o, "end", json_end(v->name, &v->end));
	return o;
}
