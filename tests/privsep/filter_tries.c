/* For every filter of the product and every system call number: a process with just that filter makes the call, with all
 * arguments all ones, and either dies of it (SIGSYS) or not, as the .policy says. Arguments are the business of the policy
 * compiler's own check. argv: the directory of the .calls files. */
#include "policy/lockdown.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBERS 512
#define X32_BIT 0x40000000
#define NOBODY  65534
#define SECONDS 20
/* uretprobe and uprobe: Linux from 6.14 on does not ask filters about them; called by hand they kill with SIGILL or fail. */
#define NOT_FILTERED(nr) ((nr) == 335 || (nr) == 336)

enum verdict {
	MUST_DIE,
	MUST_LIVE,
	MUST_FAIL, /* with errno */
};

struct expectation {
	enum verdict verdict;
	int errnum;
};

static void read_calls(const char *dir, const char *name, struct expectation *x)
{
	char path[512], call[64], kind[16], detail[16];
	FILE *f;
	int nr;

	memset(x, 0, NUMBERS * sizeof(*x));
	snprintf(path, sizeof(path), "%s/%s.calls", dir, name);
	f = fopen(path, "re");
	if (!f) {
		printf("Bail out! cannot read %s\n", path);
		exit(1);
	}
	while (fscanf(f, "%d %63s %15s %15s", &nr, call, kind, detail) == 4) {
		if (nr < 0 || nr >= NUMBERS)
			continue;
		if (strcmp(kind, "errno") == 0)
			x[nr] = (struct expectation){MUST_FAIL, atoi(detail)};
		else if (strcmp(detail, "ones") == 0)
			x[nr].verdict = MUST_LIVE;
	}
	fclose(f);
}

/* In the child. Not as root: should a filter be wrong, what it lets through shall do no harm. */
_Noreturn static void attempt(const struct filter *f, long nr)
{
	const struct rlimit no_core = {0, 0};
	struct err e = {0};
	long r;

	setrlimit(RLIMIT_CORE, &no_core);
	if (geteuid() == 0 && (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		_exit(99);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	alarm(SECONDS);
	if (lockdown_filter(f, &e) < 0)
		raise(SIGABRT);
	r = syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
	/* The answer without a system call that the filter might not allow: a trap if it failed with a known errno, else another.
	 */
	if (r < 0 && errno == ENOSYS)
		__builtin_trap();
	__asm__ volatile("hlt"); /* SIGSEGV */
	__builtin_unreachable();
}

static bool as_expected(const struct filter *f, long nr, struct expectation x, char *why, size_t len)
{
	pid_t pid = fork();
	int status, sig;

	if (pid == 0)
		attempt(f, nr);
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		snprintf(why, len, "fork: %s", strerrordesc_np(errno));
		return false;
	}
	sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	snprintf(why, len, "%s: call %ld: status %#x", f->name, nr, (unsigned)status);
	switch (x.verdict) {
	case MUST_DIE:
		return sig == SIGSYS || (NOT_FILTERED(nr) && (sig == SIGILL || sig == SIGSEGV));
	case MUST_LIVE:
		return sig != SIGSYS && sig != SIGABRT && sig != SIGALRM && !(WIFEXITED(status) && WEXITSTATUS(status) == 99);
	case MUST_FAIL:
		return x.errnum == ENOSYS && sig == SIGILL;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct filter *const filters[] = {FILTER_BROKER,      FILTER_BROKER_CLOSER, FILTER_SPAWNER,      FILTER_CONNECTOR,
						       FILTER_MEMSRV_SETUP, FILTER_MEMSRV_MAIN, FILTER_WORKER_SETUP, FILTER_WORKER_MAIN,
						       FILTER_WORKER_VCPU};
	static struct expectation x[NUMBERS];
	const struct expectation die = {MUST_DIE, 0};
	int failed = 0, count = 0;

	if (argc != 2)
		return 2;
	printf("1..%zu\n", 2 * ARRAY_LEN(filters));
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		char why[128], first[128] = "";
		int bad = 0, allowed = 0;

		read_calls(argv[1], filters[i]->name, x);
		for (int nr = 0; nr < NUMBERS; nr++) {
			allowed += x[nr].verdict != MUST_DIE;
			if (!as_expected(filters[i], nr, x[nr], why, sizeof(why)) && bad++ == 0)
				memcpy(first, why, sizeof(first));
		}
		if (allowed == 0)
			bad++;
		printf("%sok %d - %s: each of %d calls by number as the policy says\n", bad ? "not " : "", ++count,
		       filters[i]->name, NUMBERS);
		if (bad)
			printf("# %d wrong, first: %s\n", bad, first);
		failed += bad != 0;
		bad = !as_expected(filters[i], X32_BIT | SYS_getpid, die, why, sizeof(why)) +
		      !as_expected(filters[i], 100000, die, why, sizeof(why));
		printf("%sok %d - %s: x32 and unknown numbers kill\n", bad ? "not " : "", ++count, filters[i]->name);
		failed += bad != 0;
		fflush(stdout);
	}
	return failed != 0;
}
