/* argv to flags, flags to objects. */
#include "parse_int.h"

#include <errno.h>
#include <string.h>

struct args {
	struct parse p;
	struct vm_spec *s;
	struct parse_extra *x;
	const struct own_flag *own;
	size_t n_own;
	uint32_t seen_vm; /* bit i: vm_flags[i] */
	uint32_t seen_own;
	bool console_given;
};

struct vm_flag {
	const char *name;
	bool many; /* several values after one flag, or the flag repeated */
	void (*read)(struct args *a, const char *text);
	const struct key_set *keys; /* NULL: the value is in no parts */
	const char *help;           /* one line, with the value's form where there are no keys; NULL: not in --help */
};

static void too_many(struct args *a, const char *option, const char *text, unsigned max, const char *what)
{
	diag_add(a->p.ds, DIAG_ERROR, option, text, "leave some out", "one VM can have at most %u %s", max, what);
}

static void read_memory(struct args *a, const char *text)
{
	a->s->memory.given = true;
	parse_object(&a->p, &keys_memory, &a->s->memory, text);
}

static void read_zone(struct args *a, const char *text)
{
	if (a->s->n_zones == LIM_ZONES)
		too_many(a, "--memory-zone", text, LIM_ZONES, "memory zones");
	else
		parse_object(&a->p, &keys_zone, &a->s->zones[a->s->n_zones++], text);
}

static void read_numa(struct args *a, const char *text)
{
	if (a->s->n_nodes == LIM_NODES)
		too_many(a, "--numa", text, LIM_NODES, "guest nodes");
	else
		parse_object(&a->p, &keys_numa, &a->s->nodes[a->s->n_nodes++], text);
}

static void read_epc(struct args *a, const char *text)
{
	if (a->s->n_epc == LIM_EPC)
		too_many(a, "--sgx-epc", text, LIM_EPC, "EPC sections");
	else
		parse_object(&a->p, &keys_epc, &a->s->epc[a->s->n_epc++], text);
}

static void read_platform(struct args *a, const char *text)
{
	parse_object(&a->p, &keys_platform, a->s, text);
}

static void read_cpus(struct args *a, const char *text)
{
	a->s->cpus.given = true;
	parse_object(&a->p, &keys_cpus, &a->s->cpus, text);
}

static void read_balloon(struct args *a, const char *text)
{
	a->s->balloon.given = true;
	parse_object(&a->p, &keys_balloon, &a->s->balloon, text);
}

static void read_device(struct args *a, const char *text, const struct key_set *ks, enum device_kind kind)
{
	if (a->s->n_devices == LIM_DEVICES) {
		too_many(a, ks->option, text, LIM_DEVICES, "devices");
		return;
	}
	a->s->devices[a->s->n_devices].kind = kind;
	parse_object(&a->p, ks, &a->s->devices[a->s->n_devices++], text);
}

static void read_disk(struct args *a, const char *text)
{
	read_device(a, text, &keys_disk, DEVICE_DISK);
}

static void read_net(struct args *a, const char *text)
{
	read_device(a, text, &keys_net, DEVICE_NET);
}

static void read_fs(struct args *a, const char *text)
{
	read_device(a, text, &keys_fs, DEVICE_FS);
}

static void read_vhost_user(struct args *a, const char *text)
{
	read_device(a, text, &keys_vhost_user, DEVICE_VHOST_USER);
}

/* That there is no file without a name is for spec_check to say. */
static void read_kernel(struct args *a, const char *text)
{
	a->s->kernel = text;
}

static void read_initramfs(struct args *a, const char *text)
{
	a->s->initramfs = text;
}

static void read_cmdline(struct args *a, const char *text)
{
	a->s->cmdline = text;
}

static void read_name(struct args *a, const char *text)
{
	a->s->name = text;
}

static void read_config(struct args *a, const char *text)
{
	a->x->config = text;
	if (!*text)
		diag_add(a->p.ds, DIAG_ERROR, "--config", "", "name a file", "the value is empty");
}

static void read_line(struct args *a, const char *option, const char *text, enum serial_mode *ret_mode, const char **ret_file)
{
	static const struct {
		const char *word;
		enum serial_mode mode;
	} words[] = {{"off", SERIAL_OFF}, {"null", SERIAL_NULL}, {"tty", SERIAL_TTY}};
	struct txt t;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(text, words[i].word) == 0) {
			*ret_mode = words[i].mode;
			return;
		}
	}
	if (strncmp(text, "file=", 5) == 0 && text[5]) {
		*ret_mode = SERIAL_FILE;
		*ret_file = text + 5;
	} else if (strcmp(text, "pty") == 0 || strncmp(text, "socket=", 7) == 0) {
		diag_add(a->p.ds, DIAG_ERROR, option, text,
			 txt_set(&t, "%s tty, and 'bulkhead console VM' from any other terminal", option),
			 "a guest's output cannot be put on a pty or a socket");
	} else {
		diag_add(a->p.ds, DIAG_ERROR, option, text, "off, null, tty or file=PATH", "unknown mode");
	}
}

static void read_serial(struct args *a, const char *text)
{
	read_line(a, "--serial", text, &a->s->serial, &a->s->serial_file);
}

static void read_console(struct args *a, const char *text)
{
	read_line(a, "--console", text, &a->s->console, &a->s->console_file);
}

static void read_restore(struct args *a, const char *text)
{
	a->x->has_restore = true;
	parse_restore(&a->p, text, &a->x->restore);
}

/* How many of them there are must fit seen_vm. */
static const struct vm_flag vm_flags[] = {
    {"--memory", false, read_memory, &keys_memory, "memory as one piece [default: size=512M,thp=on]"},
    {"--memory-zone", true, read_zone, &keys_zone, "memory as zones, in guest-physical order, instead of --memory"},
    {"--numa", true, read_numa, &keys_numa, "a guest NUMA node"},
    {"--sgx-epc", true, read_epc, &keys_epc, "an SGX EPC section"},
    {"--platform", false, read_platform, &keys_platform, "1 to 96 PCI segments [default: 1]"},
    {"--cpus", false, read_cpus, &keys_cpus, "vCPUs [default: boot=1]"},
    {"--balloon", false, read_balloon, &keys_balloon, "a balloon, by which the guest gives memory up"},
    {"--disk", true, read_disk, &keys_disk, "a disk: path=IMAGE, or a vhost-user daemon at socket="},
    {"--net", true, read_net, &keys_net, "a network device of a vhost-user daemon"},
    {"--fs", true, read_fs, &keys_fs, "a file system: path=DIRECTORY, or a vhost-user daemon at socket="},
    {"--vhost-user", true, read_vhost_user, &keys_vhost_user, "any other virtio device of a vhost-user daemon"},
    {"--kernel", false, read_kernel, NULL, "FILE: a bzImage, or an ELF with a PVH entry [default: the embedded probe guest]"},
    {"--initramfs", false, read_initramfs, NULL, "FILE"},
    {"--cmdline", false, read_cmdline, NULL, "TEXT: the kernel's command line"},
    {"--serial", false, read_serial, NULL, "off, null, tty or file=PATH [default: tty]"},
    {"--console", false, read_console, NULL, "off, null, tty or file=PATH: a virtio console [default: off]"},
    {"--restore", false, read_restore, &keys_restore, NULL}, /* not in this version yet */
    {"--name", false, read_name, NULL, "NAME: what to call the VM"},
    {"--config", false, read_config, NULL, "FILE: the whole VM as JSON instead of options"},
};

bool parse_flag_help(size_t i, struct flag_help *ret)
{
	while (i < ARRAY_LEN(vm_flags) && !vm_flags[i].help)
		i++;
	if (i >= ARRAY_LEN(vm_flags))
		return false;
	*ret = (struct flag_help){vm_flags[i].name, vm_flags[i].help, vm_flags[i].many,
				  vm_flags[i].keys ? vm_flags[i].keys->n : 0, i + 1};
	return true;
}

const char *parse_flag_key(const struct flag_help *f, size_t k)
{
	return vm_flags[f->next - 1].keys->keys[k].name;
}

static bool twice(struct args *a, uint32_t *seen, size_t i, const char *name)
{
	bool again = *seen & (UINT32_C(1) << i);

	*seen |= UINT32_C(1) << i;
	if (again)
		diag_add(a->p.ds, DIAG_ERROR, name, "", "give it once", "the flag is given twice");
	return again;
}

static void no_value(struct args *a, const char *name, const char *next)
{
	struct txt t;

	txt_set(&t, "%s=VALUE, which also works for a value that starts with '--'", name);
	diag_add(a->p.ds, DIAG_ERROR, name, next ? next : "", next ? t.s : "give it a value", "the flag needs a value%s",
		 next ? ", and another flag follows" : "");
}

static bool is_flag(const char *s)
{
	return s[0] == '-' && s[1];
}

/* The value of a flag that takes exactly one: behind '=' or the next argument. NULL: reported. */
static const char *one_value(struct args *a, int argc, char *const argv[], int *i, const char *name, const char *inline_value)
{
	if (inline_value)
		return inline_value;
	if (*i + 1 < argc && !(argv[*i + 1][0] == '-' && argv[*i + 1][1] == '-'))
		return argv[++*i];
	no_value(a, name, *i + 1 < argc ? argv[*i + 1] : NULL);
	return NULL;
}

static void read_vm_flag(struct args *a, size_t f, int argc, char *const argv[], int *i, const char *inline_value)
{
	const struct vm_flag *flag = &vm_flags[f];
	const char *value = inline_value;
	bool again = flag->many ? false : twice(a, &a->seen_vm, f, flag->name);

	if (!a->x->vm_flag && flag->read != read_config && flag->read != read_name)
		a->x->vm_flag = flag->name;
	if (!flag->many)
		value = one_value(a, argc, argv, i, flag->name, inline_value);
	else if (!value && (*i + 1 >= argc || is_flag(argv[*i + 1])))
		no_value(a, flag->name, *i + 1 < argc ? argv[*i + 1] : NULL);
	if (value && !again)
		flag->read(a, value);
	while (flag->many && *i + 1 < argc && !is_flag(argv[*i + 1]))
		flag->read(a, argv[++*i]);
}

static void read_own_flag(struct args *a, size_t f, int argc, char *const argv[], int *i, const char *inline_value)
{
	const struct own_flag *flag = &a->own[f];
	const char *value = inline_value;

	if (twice(a, &a->seen_own, f, flag->name))
		return;
	if (flag->ret_seen)
		*flag->ret_seen = true;
	if (!flag->ret_value) {
		if (inline_value)
			diag_add(a->p.ds, DIAG_ERROR, flag->name, inline_value, "leave the value out", "the flag takes no value");
		return;
	}
	value = one_value(a, argc, argv, i, flag->name, inline_value);
	if (value && !*value)
		diag_add(a->p.ds, DIAG_ERROR, flag->name, "", "give it a value", "the value is empty");
	else if (value)
		*flag->ret_value = value;
}

static bool flag_is(const char *arg, const char *name, const char **ret_value)
{
	size_t n = strlen(name);

	if (strncmp(arg, name, n) != 0 || (arg[n] && arg[n] != '='))
		return false;
	*ret_value = arg[n] ? arg + n + 1 : NULL;
	return true;
}

static void read_flag(struct args *a, int argc, char *const argv[], int *i)
{
	const char *value;

	for (size_t f = 0; f < a->n_own; f++) {
		if (flag_is(argv[*i], a->own[f].name, &value)) {
			read_own_flag(a, f, argc, argv, i, value);
			return;
		}
	}
	for (size_t f = 0; a->s && f < ARRAY_LEN(vm_flags); f++) {
		if (flag_is(argv[*i], vm_flags[f].name, &value)) {
			read_vm_flag(a, f, argc, argv, i, value);
			return;
		}
	}
	diag_add(a->p.ds, DIAG_ERROR, argv[*i], "", "'--help' lists the flags of this command", "unknown flag");
}

static void read_positional(struct args *a, const char *text)
{
	if (a->x->n_positional == PARSE_POSITIONALS)
		diag_add(a->p.ds, DIAG_ERROR, "arguments", text, "'--help' shows how this command is used", "too many arguments");
	else
		a->x->positional[a->x->n_positional++] = text;
}

int parse_args(int argc, char *const argv[], const struct own_flag *own, size_t n_own, struct arena *ar, struct vm_spec *ret,
	       struct parse_extra *ret_extra, struct diags *ds)
{
	struct args a = {.p = {.a = ar, .ds = ds}, .s = ret, .x = ret_extra, .own = own, .n_own = n_own < 32 ? n_own : 32};
	size_t before = ds->n_errors;
	bool only_positionals = false;

	*ret_extra = (struct parse_extra){0};
	if (ret)
		memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < argc; i++) {
		if (!only_positionals && strcmp(argv[i], "--") == 0)
			only_positionals = true;
		else if (!only_positionals && is_flag(argv[i]))
			read_flag(&a, argc, argv, &i);
		else
			read_positional(&a, argv[i]);
	}
	if (ret_extra->config && ret_extra->vm_flag)
		diag_add(ds, DIAG_ERROR, "--config", ret_extra->config, "put it into the file, or leave --config out",
			 "--config describes the whole VM and cannot be combined with %s", ret_extra->vm_flag);
	/* The size was there and wrong: neither "no size" nor its default may be blamed as well. */
	if (a.p.bad_memory_size) {
		ret->memory.has_size = true;
		ret->memory.o.size = ret->n_zones ? 0 : TiB;
	}
	return ds->n_errors > before ? -EINVAL : 0;
}
