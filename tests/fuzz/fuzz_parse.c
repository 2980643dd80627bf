/* Fuzz target: one input is a command line (words end at a newline) or, when it starts with '{', a --config file. Whatever it is,
 *the parser and spec_check must come to a verdict, and a description without errors must survive being judged again.
 *
 *	meson setup build/fuzz -Dfuzz=true && ninja -C build/fuzz tests/fuzz/fuzz_parse
 *	build/fuzz/tests/fuzz/fuzz_parse corpus                                     clang: libFuzzer
 *	build/fuzz/tests/fuzz/fuzz_parse 1000000 tests/unit/config_cases.tsv [SEED]  gcc: so many mutations of the test rows
 */
#include "fuzz.h"

#include "../../broker/ctl/config_json.h"
#include "model/mem_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void judge(const struct vm_spec *s, int parsed, struct diags *ds)
{
	int first = spec_check(s, NULL, ds);
	static struct diags again;

	memset(&again, 0, sizeof(again));
	if (first != spec_check(s, NULL, &again))
		abort(); /* not a function of the description */
	spec_check_supported(s, &again);
	if (parsed < 0 && ds->n_errors == 0)
		abort(); /* failed without a word */
	for (size_t i = 0; i < ds->n; i++)
		if (!memchr(ds->d[i].text, 0, sizeof(ds->d[i].text)) || !ds->d[i].reason[0])
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t mem[PARSE_ARENA];
	static struct vm_spec s;
	static struct diags ds;
	struct arena a = arena_over(mem, sizeof(mem));
	char *text = malloc(size + 1), *words[64], *at;
	struct parse_extra x;
	int n = 0, r;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	memset(&s, 0, sizeof(s));
	memset(&ds, 0, sizeof(ds));
	if (text[0] == '{') {
		r = config_parse(text, size, &a, &s, &ds);
	} else {
		at = text;
		while (at && n < (int)ARRAY_LEN(words))
			words[n++] = strsep(&at, "\n");
		r = parse_args(n, words, NULL, 0, &a, &s, &x, &ds);
	}
	judge(&s, r, &ds);
	free(text);
	return 0;
}

#ifndef FUZZ_LIBFUZZER
#define SEEDS     2048
#define INPUT_MAX 4096

static char *seeds[SEEDS];
static size_t n_seeds;

static const char json_seed[] =
    "{\"cpus\":{\"boot_vcpus\":2,\"affinity\":[{\"vcpu\":0,\"host_cpus\":[0,1]}]},\"memory\":{\"size\":0,\"hotplug_method\":"
    "\"VirtioMem\","
    "\"zones\":[{\"id\":\"m0\",\"size\":1073741824,\"hugepages\":true,\"host_numa_node\":1}]},\"numa\":[{\"guest_numa_id\":0,"
    "\"cpus\":[0,1],\"distances\":[{\"destination\":1,\"distance\":15}],\"memory_zones\":[\"m0\"]}],\"serial\":{\"mode\":\"Tty\"}"
    "}";

static void load(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[16384];

	if (!f) {
		perror(path);
		exit(1);
	}
	while (n_seeds < SEEDS - 1 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\t\n")] = 0;
		if (!line[0] || line[0] == '#' || strlen(line) > INPUT_MAX / 2)
			continue;
		for (char *c = line; *c; c++)
			if (*c == ' ')
				*c = '\n';
		seeds[n_seeds++] = strdup(line);
	}
	fclose(f);
	seeds[n_seeds++] = strdup(json_seed);
}

static unsigned seed;

static size_t below(size_t n)
{
	return n ? (size_t)rand_r(&seed) % n : 0;
}

static size_t mutate(char *buf)
{
	static const char interesting[] = "[],@-=\"{}:0918GKTM\n._\\'";
	const char *from = seeds[below(n_seeds)], *other = seeds[below(n_seeds)];
	size_t n = strlen(from), len, at;

	memcpy(buf, from, n);
	for (size_t rounds = 1 + below(6); rounds; rounds--) {
		at = below(n + 1);
		switch (below(5)) {
		case 0: /* another character */
			if (at < n)
				buf[at] = below(4) ? interesting[below(sizeof(interesting) - 1)] : (char)below(256);
			break;
		case 1: /* one more */
			if (n < INPUT_MAX) {
				memmove(buf + at + 1, buf + at, n - at);
				buf[at] = interesting[below(sizeof(interesting) - 1)];
				n++;
			}
			break;
		case 2: /* a piece less */
			len = below(n - at + 1) % 9;
			memmove(buf + at, buf + at + len, n - at - len);
			n -= len;
			break;
		case 3: /* a piece of another row */
			len = strlen(other);
			if (n + len < INPUT_MAX) {
				memmove(buf + at + len, buf + at, n - at);
				memcpy(buf + at, other, len);
				n += len;
			}
			break;
		case 4: /* a piece twice */
			len = below(n - at + 1);
			if (n + len < INPUT_MAX) {
				memmove(buf + at + len, buf + at, n - at);
				n += len;
			}
			break;
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	static char buf[INPUT_MAX + 1];
	unsigned long rounds = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;

	if (!rounds) {
		fprintf(stderr, "usage: fuzz_parse ROUNDS config_cases.tsv [SEED]\n");
		return 2;
	}
	load(argv[2]);
	seed = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
	for (unsigned long i = 0; i < rounds; i++) {
		size_t n = mutate(buf);

		LLVMFuzzerTestOneInput((const uint8_t *)buf, n);
	}
	printf("%lu inputs from %zu seeds\n", rounds, n_seeds);
	return 0;
}
#endif
