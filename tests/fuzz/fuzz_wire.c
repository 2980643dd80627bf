/* Fuzz target: one input is one received message; the first byte of the input is the number of fds that came with it.
 *
 *	meson setup build/fuzz -Dfuzz=true && ninja -C build/fuzz tests/fuzz/fuzz_wire      (clang: libFuzzer; gcc: reads files)
 *	build/fuzz/tests/fuzz/fuzz_wire --seeds corpus && build/fuzz/tests/fuzz/fuzz_wire corpus
 *
 * Without libFuzzer it runs the files named on its command line once each, which is enough to look at a finding. */
#include "fuzz.h"

#include "codec_samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(16) uint8_t mem[512 * KiB];
	struct chan_msg *m;
	size_t len;

	if (size < 1 || size - 1 > CHAN_MSG_MAX)
		return 0;
	len = size - 1;
	m = malloc(offsetof(struct chan_msg, data) + len); /* exact, so that one byte too far is seen */
	if (!m)
		abort();
	m->len = len;
	m->nfds = data[0] % (CHAN_FDS_MAX + 1);
	for (size_t i = 0; i < m->nfds; i++)
		m->fds[i] = -1;
	memcpy((uint8_t *)m + offsetof(struct chan_msg, data), data + 1, len);
	decode_with_all(m, mem, sizeof(mem));
	free(m);
	return 0;
}

static int write_seeds(const char *dir)
{
	static struct chan_msg m;

	for (unsigned k = 0; k < SAMPLE_KINDS; k++) {
		char path[4096];
		uint8_t nfds;
		FILE *f;

		sample_message(k, &m);
		nfds = (uint8_t)m.nfds;
		snprintf(path, sizeof(path), "%s/seed-%02u", dir, k);
		f = fopen(path, "w");
		if (!f || fwrite(&nfds, 1, 1, f) != 1 || fwrite(m.data, 1, m.len, f) != m.len || fclose(f) != 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (*argc == 3 && strcmp((*argv)[1], "--seeds") == 0)
		exit(write_seeds((*argv)[2]));
	return 0;
}
