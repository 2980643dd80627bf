/* RAM as the tests go over it: the memory map's entries, cut where range= words of the command line or SRAT entries say that
 * another zone begins; and the pattern test over all of it. */
#include "probe.h"

struct area areas[RANGES_MAX];
unsigned n_areas;
static struct area named[32];
static unsigned n_named;
static uint64_t bad_words[RANGES_MAX], bad_addr[RANGES_MAX], tested[RANGES_MAX];

/* range=NAME:START+LEN */
static void read_named(void)
{
	char word[96];

	for (unsigned i = 0; n_named < ARRAY_LEN(named) && cmdline_word("range", i, word, sizeof(word)); i++) {
		struct area *a = &named[n_named];
		const char *p = word;
		size_t n = 0;
		uint64_t len;

		for (; *p && *p != ':'; p++)
			if (n < sizeof(a->name) - 1)
				a->name[n++] = *p;
		a->name[n] = 0;
		if (*p == ':' && parse_u64(p + 1, &p, &a->start) && *p == '+' && parse_u64(p + 1, &p, &len) && !*p &&
		    a->start + len > a->start) {
			a->end = a->start + len;
			n_named++;
		} else {
			print("# range=%s is not NAME:START+LEN, ignored\n", word);
		}
	}
}

static uint64_t cut(uint64_t at, uint64_t end, uint64_t bound)
{
	return bound > at && bound < end ? bound : end;
}

static void name_area(struct area *a)
{
	for (unsigned i = 0; i < n_named; i++)
		if (a->start >= named[i].start && a->start < named[i].end) {
			memcpy(a->name, named[i].name, sizeof(a->name));
			return;
		}
	memcpy(a->name, "ram", 4);
	for (unsigned i = 0; i < n_acpi_affinity; i++)
		if (a->start >= acpi_affinity[i].start && a->start < acpi_affinity[i].end) {
			char *p = a->name;
			unsigned node = acpi_affinity[i].type, div = 1;

			memcpy(p, "node", 4);
			while (node / div >= 10)
				div *= 10;
			for (p += 4; div; div /= 10)
				*p++ = (char)('0' + node / div % 10);
			*p = 0;
		}
}

void areas_build(void)
{
	read_named();
	for (unsigned i = 0; i < n_mem_map; i++) {
		uint64_t at = mem_map[i].start, end;

		if (mem_map[i].type != PVH_MEM_RAM)
			continue;
		for (; at < mem_map[i].end && n_areas < RANGES_MAX; at = end) {
			end = mem_map[i].end;
			for (unsigned j = 0; j < n_named; j++)
				end = cut(at, cut(at, end, named[j].end), named[j].start);
			for (unsigned j = 0; j < n_acpi_affinity; j++)
				end = cut(at, cut(at, end, acpi_affinity[j].end), acpi_affinity[j].start);
			areas[n_areas] = (struct area){.start = at, .end = end};
			name_area(&areas[n_areas++]);
		}
	}
}

static uint64_t pattern(uint64_t addr)
{
	return (addr ^ addr >> 21) * UINT64_C(0x9e3779b97f4a7c15);
}

/* One pass over all free pages of all areas: writing, or comparing. invert is 0 or all ones. */
static void pass(bool full, bool write, uint64_t invert)
{
	for (unsigned i = 0; i < n_areas; i++) {
		uint64_t at = areas[i].start, end;

		for (; area_next_free(&at, areas[i].end, &end); at = end) {
			uint64_t step = full ? 8 : PAGE;

			if (!mem_identity(at, end - at)) {
				if (!bad_words[i]++)
					bad_addr[i] = at;
				continue;
			}
			for (uint64_t a = at; a < end; a += step) {
				/* with one word per page, not the same one in each */
				uint64_t addr = full ? a : a + ((a >> 12) * 296 & 0xff8);
				volatile uint64_t *p = (volatile uint64_t *)addr;

				if (write)
					*p = pattern(addr) ^ invert;
				else if (*p != (pattern(addr) ^ invert) && !bad_words[i]++)
					bad_addr[i] = addr;
			}
			if (write && !invert)
				tested[i] += (end - at) / PAGE;
		}
	}
}

void verify_all(void)
{
	char mode[8] = "page";
	bool full;

	cmdline_word("verify", 0, mode, sizeof(mode));
	if (streq(mode, "off")) {
		print("# memory not verified: verify=off\n");
		return;
	}
	full = streq(mode, "full");
	/* everything is written before anything is compared: one page that appears at two addresses is found */
	pass(full, true, 0);
	pass(full, false, 0);
	pass(full, true, ~UINT64_C(0));
	pass(full, false, ~UINT64_C(0));
	for (unsigned i = 0; i < n_areas; i++) {
		const struct area *a = &areas[i];

		tap(!bad_words[i], "memory 0x%016lx-0x%016lx %s holds what was written, %lu pages, %s", a->start, a->end - 1,
		    a->name, tested[i], full ? "every word" : "a word each");
		if (bad_words[i])
			print("# %lu wrong words, the first at 0x%lx\n", bad_words[i], bad_addr[i]);
	}
}
