/* Gives files, and the files of directories, to a fuzz target, as libFuzzer's own main would: for compilers that have none. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1u << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* The input has a place of its own size, so that a sanitizer sees one byte too far. */
static int run_file(const char *path)
{
	static uint8_t all[INPUT_MAX];
	FILE *f = fopen(path, "re");
	uint8_t *data;
	size_t n;

	if (!f) {
		perror(path);
		return 1;
	}
	n = fread(all, 1, sizeof(all), f);
	fclose(f);
	data = malloc(n ? n : 1);
	if (!data)
		abort();
	for (size_t i = 0; i < n; i++)
		data[i] = all[i];
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	int r = 0;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		struct dirent **names;
		int n = scandir(argv[i], &names, NULL, alphasort);

		if (n < 0) {
			r |= run_file(argv[i]);
			continue;
		}
		for (int j = 0; j < n; j++) {
			char path[4096];

			snprintf(path, sizeof(path), "%s/%s", argv[i], names[j]->d_name);
			if (names[j]->d_name[0] != '.')
				r |= run_file(path);
			free(names[j]);
		}
		free(names);
	}
	return r;
}
