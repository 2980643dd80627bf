#include "model/spec_check_int.h"

#include <errno.h>
#include <string.h>

static bool id_char(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '.' || ch == '_' ||
	       ch == '-';
}

bool check_id(struct check *c, const char *option, const char *what, const char *id)
{
	static const char remedy[] = "1 to 64 of letters, digits, '.', '_' and '-', not starting with '__'";
	struct txt t;
	size_t n;

	if (!id || !*id) {
		FAIL(c, option, "id=", remedy, "every %s needs an id", what);
		return false;
	}
	n = strnlen(id, LIM_ID + 1);
	txt_set(&t, "id=%s", id);
	if (n > LIM_ID) {
		FAIL(c, option, t.s, remedy, "the id is longer than %u characters", LIM_ID);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (!id_char(id[i])) {
			FAIL(c, option, t.s, remedy, "an id cannot contain the character at position %zu", i + 1);
			return false;
		}
	}
	if (strncmp(id, "__", 2) == 0) {
		FAIL(c, option, t.s, remedy, "ids that start with '__' are kept for the program's own use");
		return false;
	}
	return true;
}

void check_tri(struct check *c, const char *option, const char *id, const char *key, enum tri v)
{
	struct txt t;

	if ((unsigned)v > TRI_ON)
		FAIL(c, option, txt_set(&t, "id=%s,%s=%u", shown(id), key, (unsigned)v), "on or off", "%s is not a toggle", key);
}

void check_path(struct check *c, const char *option, const char *text, const char *path)
{
	if (!*path)
		FAIL(c, option, text, "name a file", "the path is empty");
	else if (strlen(path) > LIM_PATH)
		FAIL(c, option, text, "use a shorter path", "the path has %zu bytes, at most %u are possible", strlen(path),
		     LIM_PATH);
}

static size_t clamp(struct check *c, const char *option, size_t n, size_t max, const char *what)
{
	struct txt t;

	if (n <= max)
		return n;
	FAIL(c, option, txt_set(&t, "%zu %s", n, what), "leave some out", "one VM can have at most %zu %s", max, what);
	return max;
}

static void check_name(struct check *c)
{
	const char *name = c->s->name;

	if (!name)
		return;
	if (check_id(c, "--name", "VM", name) && strspn(name, "0123456789") == strlen(name))
		FAIL(c, "--name", name, "put a letter into it", "a name of digits only cannot be told from a VM's number");
}

/* One namespace for zones, EPC sections and devices: later commands name any of them by id alone. */
static void check_unique_ids(struct check *c)
{
	struct {
		const char *option, *id;
	} seen[LIM_ZONES + LIM_EPC + LIM_DEVICES];
	static const char *const device_option[] = {"--disk", "--net", "--fs"};
	size_t n = 0;
	struct txt t;

	for (size_t i = 0; i < c->n_zones; i++, n++)
		seen[n].option = "--memory-zone", seen[n].id = c->s->zones[i].id;
	for (size_t i = 0; i < c->n_epc; i++, n++)
		seen[n].option = "--sgx-epc", seen[n].id = c->s->epc[i].id;
	for (size_t i = 0; i < c->n_devices; i++, n++) {
		unsigned kind = (unsigned)c->s->devices[i].kind;

		seen[n].option = kind < ARRAY_LEN(device_option) ? device_option[kind] : "--disk";
		seen[n].id = c->s->devices[i].id;
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (!seen[i].id || !seen[k].id || !*seen[i].id || strcmp(seen[i].id, seen[k].id) != 0)
				continue;
			FAIL(c, seen[i].option, txt_set(&t, "id=%s", seen[i].id),
			     "give every zone, EPC section and device an id of its own",
			     "this id is already used by an earlier %s", seen[k].option);
			break;
		}
	}
}

static void check_payload(struct check *c)
{
	const struct vm_spec *s = c->s;

	if (s->kernel)
		check_path(c, "--kernel", s->kernel, s->kernel);
	if (s->initramfs) {
		check_path(c, "--initramfs", s->initramfs, s->initramfs);
		if (!s->kernel)
			FAIL(c, "--initramfs", s->initramfs, "add --kernel FILE, or leave --initramfs out",
			     "without --kernel the built-in guest runs, and it takes no initramfs");
	}
	if (s->cmdline && strlen(s->cmdline) > LIM_CMDLINE)
		FAIL(c, "--cmdline", s->cmdline, "shorten it", "the command line has %zu bytes, an x86 kernel takes %u",
		     strlen(s->cmdline), LIM_CMDLINE);
}

static void check_line(struct check *c, const char *option, enum serial_mode mode, const char *file)
{
	struct txt t;

	if ((unsigned)mode > SERIAL_FILE) {
		FAIL(c, option, txt_set(&t, "%u", (unsigned)mode), "off, null, tty or file=PATH", "unknown mode");
		return;
	}
	if (mode == SERIAL_FILE && !file)
		FAIL(c, option, "file=", "file=PATH", "the output goes to a file, but no file is named");
	else if (mode == SERIAL_FILE)
		check_path(c, option, txt_set(&t, "file=%s", file), file);
	else if (file)
		FAIL(c, option, file, "file=PATH, or no path", "a path is given, but the mode is not file");
}

static void check_lines(struct check *c)
{
	check_line(c, "--serial", c->s->serial, c->s->serial_file);
	check_line(c, "--console", c->s->console, c->s->console_file);
	if (c->s->serial == SERIAL_TTY && c->s->console == SERIAL_TTY)
		FAIL(c, "--console", "tty", "--serial null, off or file=PATH; or --console off",
		     "there is one terminal, and the serial line has it");
}

static void check_platform(struct check *c)
{
	struct txt t;

	if (c->s->has_segments && (c->s->num_pci_segments < 1 || c->s->num_pci_segments > LIM_SEGMENTS))
		FAIL(c, "--platform", txt_set(&t, "num_pci_segments=%u", c->s->num_pci_segments), "a number from 1 to 96",
		     "a machine has 1 to %u PCI segments", LIM_SEGMENTS);
}

int spec_check(const struct vm_spec *spec, const struct host_facts *host, struct diags *ds)
{
	struct check c = {.s = spec, .host = host, .ds = ds};
	size_t before = ds->n_errors;

	c.n_zones = clamp(&c, "--memory-zone", spec->n_zones, LIM_ZONES, "memory zones");
	c.n_nodes = clamp(&c, "--numa", spec->n_nodes, LIM_NODES, "guest nodes");
	c.n_epc = clamp(&c, "--sgx-epc", spec->n_epc, LIM_EPC, "EPC sections");
	c.n_devices = clamp(&c, "--disk", spec->n_devices, LIM_DEVICES, "devices");
	check_name(&c);
	check_unique_ids(&c);
	check_cpus(&c);
	check_memory(&c);
	check_epc(&c);
	check_numa(&c);
	check_node_perf(&c);
	check_platform(&c);
	check_devices(&c);
	check_balloon(&c);
	check_payload(&c);
	check_lines(&c);
	return ds->n_errors > before ? -EINVAL : 0;
}
