/* Reads /proc: process tree and smaps. Needs the right to look into other users' processes; run as root. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pss.h"

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512], *p;
	int parent = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f) && (p = strrchr(line, ')')) != NULL && sscanf(p + 1, " %*c %d", &parent) != 1)
		parent = -1;
	fclose(f);
	return parent;
}

static void name_of(pid_t pid, char *buf, size_t cap)
{
	char path[64], argv0[256] = "", *base;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	f = fopen(path, "re");
	if (f) {
		size_t n = fread(argv0, 1, sizeof(argv0) - 1, f);

		argv0[n] = 0;
		fclose(f);
	}
	base = strrchr(argv0, '/');
	snprintf(buf, cap, "%.31s", base ? base + 1 : argv0);
}

static int read_smaps(struct pss_proc *p, uint64_t ram_min)
{
	bool is_ram = false, is_anon = false;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", p->pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		unsigned long long start, end, inode, kib;
		char perms[8];

		if (sscanf(line, "%llx-%llx %7s %*x %*s %llu", &start, &end, perms, &inode) == 4) {
			is_ram = end - start >= ram_min && perms[1] == 'w';
			is_anon = inode == 0;
		} else if (sscanf(line, "Pss: %llu kB", &kib) == 1) {
			if (is_ram)
				p->ram_kib += kib;
			else
				p->kib += kib;
			if (is_anon && !is_ram)
				p->anon_kib += kib;
		}
	}
	fclose(f);
	return 0;
}

static bool descends(pid_t pid, const pid_t *roots, size_t n)
{
	for (unsigned depth = 0; pid > 1 && depth < 64; depth++) {
		for (size_t i = 0; i < n; i++)
			if (pid == roots[i])
				return true;
		pid = parent_of(pid);
	}
	return false;
}

int pss_collect(const pid_t *roots, size_t n, uint64_t ram_min, struct pss_proc procs[PSS_PROCS_MAX])
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	int found = 0;

	if (!d)
		return -1;
	while (found < PSS_PROCS_MAX && (de = readdir(d)) != NULL) {
		pid_t pid = isdigit((unsigned char)de->d_name[0]) ? atoi(de->d_name) : 0;
		struct pss_proc p = {.pid = pid};

		if (!pid || !descends(pid, roots, n))
			continue;
		name_of(pid, p.name, sizeof(p.name));
		if (read_smaps(&p, ram_min) < 0) {
			int err = errno;

			if (err == ENOENT || err == ESRCH)
				continue;
			closedir(d);
			errno = err;
			return -1;
		}
		procs[found++] = p;
	}
	closedir(d);
	return found;
}
