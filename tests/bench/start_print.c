/* What was measured, for people and for programs. */
#include <stdio.h>
#include "start.h"

static double median(const double *sorted, unsigned runs)
{
	return runs % 2 ? sorted[runs / 2] : (sorted[runs / 2 - 1] + sorted[runs / 2]) / 2;
}

static uint64_t total_kib(const struct way *w)
{
	uint64_t sum = 0;

	for (int i = 0; i < w->n_procs; i++)
		sum += w->procs[i].kib;
	return sum;
}

void print_table(const struct way ways[WAYS], const struct start_conf *conf)
{
	printf("first serial byte, %u interleaved runs, %u MiB of guest memory; QEMU with -cpu %s\n\n", conf->runs,
	       conf->memory_mib, conf->qemu_cpu ? conf->qemu_cpu : "-");
	printf("%-20s %9s %9s %9s %8s %8s %14s\n", "", "min ms", "median", "max", "x bare", "x qemu", "to exit, med.");
	for (unsigned i = 0; i < WAYS; i++) {
		const struct way *w = &ways[i];
		double m = median(w->first, conf->runs);

		if (w->off)
			continue;
		if (w->why[0]) {
			printf("%-20s not measured: %s\n", w->name, w->why);
			continue;
		}
		printf("%-20s %9.2f %9.2f %9.2f", w->name, w->first[0], m, w->first[conf->runs - 1]);
		printf(way_good(&ways[BARE]) ? " %8.2f" : "        -", m / median(ways[BARE].first, conf->runs));
		printf(way_good(&ways[QEMU]) ? " %8.3f" : "        -", m / median(ways[QEMU].first, conf->runs));
		printf(" %14.2f\n", median(w->whole, conf->runs));
	}
	printf("\nproportional memory of an idle VM, KiB, guest RAM not counted\n\n");
	printf("%-20s %-24s %10s %10s %12s\n", "", "process", "PSS", "anonymous", "guest RAM");
	for (unsigned i = 0; i < WAYS; i++) {
		const struct way *w = &ways[i];

		if (!way_good(&ways[i]))
			continue;
		printf("%-20s %-24s %10llu\n", w->name, "all", (unsigned long long)total_kib(w));
		for (int j = 0; j < w->n_procs; j++)
			printf("%-20s %-24s %10llu %10llu %12llu\n", "", w->procs[j].name, (unsigned long long)w->procs[j].kib,
			       (unsigned long long)w->procs[j].anon_kib, (unsigned long long)w->procs[j].ram_kib);
	}
}

void print_json(const struct way ways[WAYS], const struct start_conf *conf)
{
	const char *sep = "";

	printf("{\"runs\":%u,\"memory_mib\":%u,\"ways\":[", conf->runs, conf->memory_mib);
	for (unsigned i = 0; i < WAYS; i++) {
		const struct way *w = &ways[i];

		if (w->off)
			continue;
		printf("%s{\"name\":\"%s\",", sep, w->name);
		sep = ",";
		if (w->why[0]) {
			printf("\"error\":\"%s\"}", w->why);
			continue;
		}
		printf(
		    "\"min_ms\":%.3f,\"median_ms\":%.3f,\"max_ms\":%.3f,\"exit_median_ms\":%.3f,\"pss_kib\":%llu,\"processes\":[",
		    w->first[0], median(w->first, conf->runs), w->first[conf->runs - 1], median(w->whole, conf->runs),
		    (unsigned long long)total_kib(w));
		for (int j = 0; j < w->n_procs; j++)
			printf("%s{\"name\":\"%s\",\"pss_kib\":%llu,\"anon_kib\":%llu,\"ram_kib\":%llu}", j ? "," : "",
			       w->procs[j].name, (unsigned long long)w->procs[j].kib, (unsigned long long)w->procs[j].anon_kib,
			       (unsigned long long)w->procs[j].ram_kib);
		printf("]}");
	}
	printf("]}\n");
}
