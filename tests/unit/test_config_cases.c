/* Every row of config_cases.tsv is a test of its own: command line in, verdict out. Columns, separated by tabs:
 *   words    a command line; "\s" is a space inside a word, "" an empty word, @DIR@ a directory with the files made below.
 *            A first word @host=KIND chooses the host; a first word "resize" or "resize-zone" describes a resize instead.
 *   expect   ok, quiet (ok without a warning or notice), reject (exactly one error), or reject:N
 *   says     must be found in one of the errors; for ok: in a warning or notice, or empty
 *   note     why */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../broker/ctl/check_files.h"
#include "../../broker/ctl/parse.h"
#include "config_fixture.h"
#include "model/mem_plan.h"
#include "model/resize_check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS_MAX  1024
#define WORDS_MAX 64

struct row {
	char *words, *expect, *says, *note;
};

static struct row rows[ROWS_MAX];
static struct CMUnitTest tests[ROWS_MAX];
static char dir[] = "/tmp/config-cases-XXXXXX";
static struct diags ds;

static void make_file(const char *name, off_t size)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static const char *const files[] = {"a,b", "one-gig", "small", "empty", "kernel"};

static int make_files(void **state)
{
	char path[256];

	assert_non_null(mkdtemp(dir));
	make_file("a,b", 1 << 30);
	make_file("one-gig", 1 << 30);
	make_file("small", 4096);
	make_file("empty", 0);
	make_file("kernel", 4096);
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	return 0;
}

static int remove_files(void **state)
{
	char path[256];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/pipe", dir);
	unlink(path);
	return rmdir(dir);
}

/* Undoes the escapes of one word, in a buffer of its own. */
static char *expand(const char *word)
{
	static char store[WORDS_MAX][8192];
	static unsigned next;
	char *out = store[next++ % WORDS_MAX];
	size_t n = 0;

	if (strcmp(word, "\"\"") == 0)
		word = "";
	while (*word) {
		assert_true(n < sizeof(store[0]) - sizeof(dir));
		if (strncmp(word, "\\s", 2) == 0) {
			out[n++] = ' ';
			word += 2;
		} else if (strncmp(word, "@DIR@", 5) == 0) {
			memcpy(out + n, dir, strlen(dir));
			n += strlen(dir);
			word += 5;
		} else {
			out[n++] = *word++;
		}
	}
	out[n] = 0;
	return out;
}

static uint64_t size_of(const char *s)
{
	uint64_t v = 0;

	assert_true(parse_size(s, &v));
	return v;
}

/* resize[-zone] WORD=VALUE...: method, boot, hotplug, current, page, to, zone, zones (yes: the VM has z0 and z1), driver, life,
 * dimms, nowait */
static void run_resize(int argc, char **argv)
{
	struct resizable m[2] = {{.boot_size = GiB, .hotplug_size = GiB, .page_size = 4096, .guest_driver = true}};
	struct resize_vm vm = {.life = RESIZE_RUNNING, .n = 1, .m = m};
	struct resize_request rq = {.of_zone = strcmp(argv[0], "resize-zone") == 0};
	struct resize_decision d;
	bool zones = rq.of_zone;

	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		assert_non_null(value);
		*value++ = 0;
		if (strcmp(argv[i], "method") == 0)
			vm.method = strcmp(value, "acpi") == 0 ? HOTPLUG_ACPI : HOTPLUG_VIRTIO_MEM;
		else if (strcmp(argv[i], "boot") == 0)
			m[0].boot_size = size_of(value);
		else if (strcmp(argv[i], "hotplug") == 0)
			m[0].hotplug_size = size_of(value);
		else if (strcmp(argv[i], "current") == 0)
			m[0].current_size = size_of(value);
		else if (strcmp(argv[i], "page") == 0)
			m[0].page_size = size_of(value);
		else if (strcmp(argv[i], "to") == 0)
			rq.size = size_of(value);
		else if (strcmp(argv[i], "zone") == 0)
			rq.zone = value;
		else if (strcmp(argv[i], "zones") == 0)
			zones = strcmp(value, "yes") == 0;
		else if (strcmp(argv[i], "driver") == 0)
			m[0].guest_driver = strcmp(value, "yes") == 0;
		else if (strcmp(argv[i], "nowait") == 0)
			rq.no_wait = strcmp(value, "yes") == 0;
		else if (strcmp(argv[i], "life") == 0)
			vm.life = strcmp(value, "created") == 0 ? RESIZE_NOT_BOOTED : RESIZE_PAUSED;
		else if (strcmp(argv[i], "dimms") == 0)
			for (char *at = strtok(value, ","); at; at = strtok(NULL, ","))
				vm.dimms[vm.n_dimms++] = size_of(at);
		else
			fail_msg("unknown word %s", argv[i]);
	}
	if (!m[0].current_size)
		m[0].current_size = m[0].boot_size;
	if (zones) {
		vm.method = HOTPLUG_VIRTIO_MEM;
		vm.n = 2;
		m[1] = m[0];
		m[0].id = "z0";
		m[1].id = "z1";
		m[1].hotplug_size = 0;
	}
	resize_check(&vm, &rq, &d, &ds);
}

static void run_vm(int argc, char **argv)
{
	static uint8_t buf[PARSE_ARENA];
	static struct vm_spec spec;
	struct arena a = arena_over(buf, sizeof(buf));
	struct host_facts host;
	const char *kind = "";
	struct parse_extra extra;

	if (argc && strncmp(argv[0], "@host=", 6) == 0) {
		kind = argv[0] + 6;
		argc--;
		argv++;
	}
	fixture_host(&host, kind);
	parse_args(argc, argv, NULL, 0, &a, &spec, &extra, &ds);
	spec_check(&spec, strcmp(kind, "none") == 0 ? NULL : &host, &ds);
	check_files(&spec, NULL, &ds);
}

static bool said(enum diag_level least, enum diag_level most, const char *what)
{
	char line[1024];

	for (size_t i = 0; i < ds.n; i++) {
		const struct diag *d = &ds.d[i];

		snprintf(line, sizeof(line), "%s %s: %s; %s", d->option, d->text, d->reason, d->remedy);
		if (d->level >= least && d->level <= most && strstr(line, what))
			return true;
	}
	return false;
}

static void show(const struct row *r)
{
	for (size_t i = 0; i < ds.n; i++)
		print_message("# level %d %s %s: %s; %s\n", ds.d[i].level, ds.d[i].option, ds.d[i].text, ds.d[i].reason,
			      ds.d[i].remedy);
	print_message("# row: %s\t%s\t%s\t%s\n", r->words, r->expect, r->says, r->note);
}

static void run_row(void **state)
{
	const struct row *r = *state;
	char *words = strdup(r->words), *argv[WORDS_MAX];
	size_t want = 0;
	int argc = 0;

	for (char *w = strtok(words, " "); w; w = strtok(NULL, " ")) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = expand(w);
	}
	free(words);
	memset(&ds, 0, sizeof(ds));
	if (argc && strncmp(argv[0], "resize", 6) == 0)
		run_resize(argc, argv);
	else
		run_vm(argc, argv);
	if (strcmp(r->expect, "reject") == 0)
		want = 1;
	else if (strncmp(r->expect, "reject:", 7) == 0)
		want = (size_t)atoi(r->expect + 7);
	else if (strcmp(r->expect, "quiet") == 0)
		assert_int_equal(ds.n - ds.n_errors, 0);
	else
		assert_string_equal(r->expect, "ok");
	if (ds.n_errors != want)
		show(r);
	assert_int_equal(ds.n_errors, want);
	for (size_t i = 0; i < ds.n; i++) {
		/* Whatever is said names where, what and why; an error also says what to do. */
		assert_true(ds.d[i].option[0] && ds.d[i].reason[0]);
		assert_true(ds.d[i].level != DIAG_ERROR || ds.d[i].remedy[0]);
	}
	if (want && !*r->says)
		fail_msg("a rejected row must name the reason it expects");
	if (*r->says && !said(want ? DIAG_ERROR : DIAG_NOTICE, want ? DIAG_ERROR : DIAG_WARNING, r->says)) {
		show(r);
		fail_msg("nothing says '%s'", r->says);
	}
}

static char *field(char **at)
{
	char *s = strsep(at, "\t");

	return s ? s : (char *)(uintptr_t) "";
}

static size_t load(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[16384], *at;
	size_t n = 0;

	if (!f) {
		perror(path);
		exit(1);
	}
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (!line[0] || line[0] == '#')
			continue;
		if (n == ROWS_MAX)
			abort();
		at = strdup(line);
		rows[n].words = field(&at);
		rows[n].expect = field(&at);
		rows[n].says = field(&at);
		rows[n].note = field(&at);
		if (asprintf((char **)(uintptr_t)&tests[n].name, "%zu: %.150s", n + 1, rows[n].words) < 0)
			abort();
		tests[n].test_func = run_row;
		tests[n].initial_state = &rows[n];
		n++;
	}
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? load(argv[1]) : 0;

	if (n < 250) {
		fprintf(stderr, "usage: test_config_cases config_cases.tsv (at least 250 rows)\n");
		return 1;
	}
	return _cmocka_run_group_tests("config_cases", tests, n, make_files, remove_files);
}
