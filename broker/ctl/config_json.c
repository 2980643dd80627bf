/* VmConfig, member by member, with the tables of the command line. */
#include "config_json.h"
#include "config_int.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put_tokener(json_tokener **t)
{
	if (*t)
		json_tokener_free(*t);
}

static void put_object(json_object **o)
{
	json_object_put(*o);
}

static void put_buffer(char **b)
{
	free(*b);
}

static void report(struct parse *p, const char *path, json_object *v, const char *remedy, const char *why)
{
	struct txt t;

	txt_set(&t, "%s", path);
	if (v && !json_object_is_type(v, json_type_object) && !json_object_is_type(v, json_type_array))
		txt_add(&t, ": %s%s", json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN), config_clamped(v));
	diag_add(p->ds, DIAG_ERROR, "--config", t.s, remedy, "%s", why);
}

static const struct key *find(const struct key_set *ks, const char *name)
{
	for (size_t i = 0; i < ks->n; i++)
		if (strcmp(ks->keys[i].json ? ks->keys[i].json : ks->keys[i].name, name) == 0)
			return &ks->keys[i];
	return NULL;
}

/* skip: one member that the caller reads itself; NULL: none. */
static void read_object(struct parse *p, const char *path, json_object *o, const struct key_set *ks, void *obj, const char *skip)
{
	struct txt names, at;
	uint32_t seen = 0;

	if (!json_object_is_type(o, json_type_object)) {
		report(p, path, o, "{ ... }", "this has to be an object");
		return;
	}
	key_names(ks, true, &names);
	json_object_object_foreach(o, name, v)
	{
		const struct key *k = find(ks, name);

		txt_set(&at, "%s.%s", path, name);
		if (skip && strcmp(name, skip) == 0)
			continue;
		if (!k) {
			report(p, at.s, v, names.s, "unknown member");
			continue;
		}
		if (!v) /* null is how CH writes "not given" */
			continue;
		seen |= UINT32_C(1) << (k - ks->keys);
		if (!value_from_json(p, k, obj, v)) {
			report(p, at.s, v, "see 'man bulkhead' for the type of each member", p->reason.s);
			value_placeholder(p, k, obj);
			p->bad_memory_size |= ks == &keys_memory && k == keys_memory.keys;
		}
	}
	if (ks == &keys_zone)
		zone_finish(p, obj, seen, path);
}

/* Calls one() for each element of an array of at most room objects. */
static void read_array(struct parse *p, const char *path, json_object *v, size_t room, struct vm_spec *s,
		       void (*one)(struct parse *p, const char *path, json_object *v, struct vm_spec *s))
{
	struct txt at;

	if (!json_object_is_type(v, json_type_array)) {
		report(p, path, v, "[ ... ]", "this has to be an array");
		return;
	}
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		txt_set(&at, "%s[%zu]", path, i);
		if (i == room) {
			report(p, at.s, NULL, "leave some out", "one VM cannot have that many");
			return;
		}
		one(p, at.s, json_object_array_get_idx(v, i), s);
	}
}

static void one_zone(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_object(p, path, v, &keys_zone, &s->zones[s->n_zones++], NULL);
}

static void one_node(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_object(p, path, v, &keys_numa, &s->nodes[s->n_nodes++], NULL);
}

static void one_epc(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_object(p, path, v, &keys_epc, &s->epc[s->n_epc++], NULL);
}

static void one_disk(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	s->devices[s->n_devices].kind = DEVICE_DISK;
	read_object(p, path, v, &keys_disk, &s->devices[s->n_devices++], NULL);
}

static void one_net(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	s->devices[s->n_devices].kind = DEVICE_NET;
	read_object(p, path, v, &keys_net, &s->devices[s->n_devices++], NULL);
}

static void one_fs(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	s->devices[s->n_devices].kind = DEVICE_FS;
	read_object(p, path, v, &keys_fs, &s->devices[s->n_devices++], NULL);
}

static void one_vhost_user(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	s->devices[s->n_devices].kind = DEVICE_VHOST_USER;
	read_object(p, path, v, &keys_vhost_user, &s->devices[s->n_devices++], NULL);
}

static void read_cpus(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	s->cpus.given = true;
	read_object(p, path, v, &keys_cpus, &s->cpus, NULL);
}

static void read_balloon(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	s->balloon.given = true;
	read_object(p, path, v, &keys_balloon, &s->balloon, NULL);
}

static void read_memory(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	enum tri *const quiet[] = {&s->memory.o.shared, &s->memory.o.hugepages, &s->memory.o.prefault, &s->memory.o.reserve};
	json_object *zones;

	s->memory.given = true;
	read_object(p, path, v, &keys_memory, &s->memory, "zones");
	if (json_object_is_type(v, json_type_object) && json_object_object_get_ex(v, "zones", &zones) && zones)
		read_array(p, "memory.zones", zones, LIM_ZONES, s, one_zone);
	/* CH writes every toggle out. One that is false asks for nothing, so it does not get in the way of zones. */
	for (size_t i = 0; s->n_zones && i < ARRAY_LEN(quiet); i++)
		if (*quiet[i] == TRI_OFF)
			*quiet[i] = TRI_UNSET;
}

static void read_payload(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	static const struct key payload[] = {
	    {"kernel", NULL, V_STRING, offsetof(struct vm_spec, kernel), NO_AUX},
	    {"initramfs", NULL, V_STRING, offsetof(struct vm_spec, initramfs), NO_AUX},
	    {"cmdline", NULL, V_STRING, offsetof(struct vm_spec, cmdline), NO_AUX},
	};
	static const struct key_set keys_payload = {.option = "--config", .keys = payload, .n = ARRAY_LEN(payload)};

	read_object(p, path, v, &keys_payload, s, NULL);
}

static void read_platform(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_object(p, path, v, &keys_platform, s, NULL);
}

struct line {
	const char *mode, *file;
};

static bool read_line(struct parse *p, const char *path, json_object *v, struct line *ret)
{
	static const struct key line[] = {
	    {"mode", NULL, V_STRING, offsetof(struct line, mode), NO_AUX},
	    {"file", NULL, V_STRING, offsetof(struct line, file), NO_AUX},
	};
	static const struct key_set keys_line = {.option = "--config", .keys = line, .n = ARRAY_LEN(line)};
	size_t before = p->ds->n_errors;

	*ret = (struct line){0};
	read_object(p, path, v, &keys_line, ret, NULL);
	if (p->ds->n_errors != before)
		return false;
	if (!ret->mode)
		report(p, path, NULL, "\"mode\": \"Off\"", "mode is missing");
	return ret->mode;
}

static void read_mode(struct parse *p, const char *path, json_object *v, enum serial_mode *ret_mode, const char **ret_file)
{
	struct line l;

	if (!read_line(p, path, v, &l))
		return;
	*ret_file = l.file;
	if (strcmp(l.mode, "Off") == 0)
		*ret_mode = SERIAL_OFF;
	else if (strcmp(l.mode, "Null") == 0)
		*ret_mode = SERIAL_NULL;
	else if (strcmp(l.mode, "Tty") == 0)
		*ret_mode = SERIAL_TTY;
	else if (strcmp(l.mode, "File") == 0)
		*ret_mode = SERIAL_FILE;
	else
		report(p, path, v, "Off, Null, Tty, or File with a \"file\"", "a guest's output cannot be put there");
}

static void read_serial(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_mode(p, path, v, &s->serial, &s->serial_file);
}

static void read_console(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_mode(p, path, v, &s->console, &s->console_file);
}

static void read_numa(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_array(p, path, v, LIM_NODES, s, one_node);
}

static void read_epc(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_array(p, path, v, LIM_EPC, s, one_epc);
}

static void read_disks(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_array(p, path, v, LIM_DEVICES - s->n_devices, s, one_disk);
}

static void read_net(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_array(p, path, v, LIM_DEVICES - s->n_devices, s, one_net);
}

static void read_fs(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_array(p, path, v, LIM_DEVICES - s->n_devices, s, one_fs);
}

static void read_vhost_user(struct parse *p, const char *path, json_object *v, struct vm_spec *s)
{
	read_array(p, path, v, LIM_DEVICES - s->n_devices, s, one_vhost_user);
}

static const struct {
	const char *name;
	void (*read)(struct parse *p, const char *path, json_object *v, struct vm_spec *s);
} members[] = {
    {"cpus", read_cpus},       {"memory", read_memory},     {"payload", read_payload}, {"numa", read_numa},
    {"sgx_epc", read_epc},     {"platform", read_platform}, {"serial", read_serial},   {"console", read_console},
    {"disks", read_disks},     {"net", read_net},           {"fs", read_fs},           {"vhost_user", read_vhost_user},
    {"balloon", read_balloon},
};

static void read_vm(struct parse *p, json_object *root, struct vm_spec *s)
{
	if (!json_object_is_type(root, json_type_object)) {
		report(p, "(top level)", root, "{\"memory\": {...}, ...}", "a VM is described by an object");
		return;
	}
	json_object_object_foreach(root, name, v)
	{
		size_t i = 0;

		while (i < ARRAY_LEN(members) && strcmp(members[i].name, name) != 0)
			i++;
		if (i == ARRAY_LEN(members))
			report(p, name, v,
			       "known: cpus, memory, payload, numa, sgx_epc, platform, serial, console, disks, net, fs, "
			       "vhost_user, balloon",
			       "unknown member, or a part of Cloud Hypervisor's that is not in this version");
		else if (v)
			members[i].read(p, name, v, s);
	}
}

int config_parse(const char *text, size_t len, struct arena *a, struct vm_spec *ret, struct diags *ds)
{
	struct json_tokener *tok CLEANUP(put_tokener) = json_tokener_new_ex(16);
	json_object *root CLEANUP(put_object) = NULL;
	struct parse p = {.a = a, .ds = ds, .option = "--config"};
	const char *name = ret->name;
	size_t before = ds->n_errors;
	struct txt t;

	memset(ret, 0, sizeof(*ret));
	ret->name = name;
	if (!tok || len > CONFIG_MAX) {
		diag_add(ds, DIAG_ERROR, "--config", "", "use a shorter file", "more than %u bytes", (unsigned)CONFIG_MAX);
		return -EINVAL;
	}
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	root = json_tokener_parse_ex(tok, text, (int)len);
	if (json_tokener_get_error(tok) == json_tokener_continue) /* a number at the very end, or an unfinished text */
		root = json_tokener_parse_ex(tok, "", 1);
	if (json_tokener_get_error(tok) != json_tokener_success) {
		unsigned line = 1;

		for (size_t i = 0; i < json_tokener_get_parse_end(tok) && i < len; i++)
			line += text[i] == '\n';
		diag_add(ds, DIAG_ERROR, "--config", txt_set(&t, "line %u", line), "correct the JSON", "this is no JSON: %s",
			 json_tokener_error_desc(json_tokener_get_error(tok)));
		return -EINVAL;
	}
	config_report_doubles(&p, text, len);
	read_vm(&p, root, ret);
	if (p.bad_memory_size) {
		ret->memory.has_size = true;
		ret->memory.o.size = ret->n_zones ? 0 : TiB;
	}
	return ds->n_errors > before ? -EINVAL : 0;
}

static int load_failed(const char *path, int err, struct diags *ds)
{
	diag_add(ds, DIAG_ERROR, "--config", path, "name a readable file", "%s", strerrordesc_np(err));
	return -EINVAL;
}

int config_load(const char *path, struct arena *a, struct vm_spec *ret, struct diags *ds)
{
	int fd CLEANUP(fd_cleanup) = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *buf CLEANUP(put_buffer) = malloc(CONFIG_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return load_failed(path, errno, ds);
	if (!buf)
		return load_failed(path, ENOMEM, ds);
	while ((n = read(fd, buf + len, CONFIG_MAX + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return load_failed(path, errno, ds);
		len += (size_t)n;
	}
	return config_parse(buf, len, a, ret, ds);
}

int describe_vm(int argc, char *const argv[], const struct own_flag *own, size_t n_own, struct arena *a, struct vm_spec *ret,
		struct parse_extra *ret_extra, struct diags *ds)
{
	int r = parse_args(argc, argv, own, n_own, a, ret, ret_extra, ds);

	if (ret_extra->config && !ret_extra->vm_flag && *ret_extra->config && config_load(ret_extra->config, a, ret, ds) < 0)
		r = -EINVAL;
	return r;
}
