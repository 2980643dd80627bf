/* policy-gen: turns policy text into C at build time.
 *
 *	policy-gen filter NAME.policy OUT.c OUT.calls    one filter; OUT.calls lists what it allows, for the tests
 *	policy-gen rights rights.table OUT.h OUT.c       the rights of the processes */
#include "gen.h"

#include <errno.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void die(struct place at, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%u: ", at.file, at.line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static struct scmp_arg_cmp arg_cmp(const struct cmp *c)
{
	static const enum scmp_compare ops[] = {
	    [CMP_EQ] = SCMP_CMP_EQ, [CMP_NE] = SCMP_CMP_NE, [CMP_LT] = SCMP_CMP_LT,
	    [CMP_LE] = SCMP_CMP_LE, [CMP_GT] = SCMP_CMP_GT, [CMP_GE] = SCMP_CMP_GE,
	};

	if (c->mask != ~UINT64_C(0))
		return (struct scmp_arg_cmp){c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value};
	return (struct scmp_arg_cmp){c->arg, ops[c->op], c->value, 0};
}

static void add_rule(scmp_filter_ctx ctx, const struct rule *r)
{
	struct place at = {r->file, r->line};
	uint32_t act = r->errnum ? SCMP_ACT_ERRNO((uint16_t)r->errnum) : SCMP_ACT_ALLOW;
	int rc = 0;

	if (r->always)
		rc = seccomp_rule_add_exact_array(ctx, act, r->nr, 0, NULL);
	for (size_t i = 0; rc == 0 && !r->always && i < r->n; i++) {
		struct scmp_arg_cmp args[MAX_AND];

		for (size_t j = 0; j < r->conj[i].n; j++)
			args[j] = arg_cmp(&r->conj[i].cmp[j]);
		rc = seccomp_rule_add_exact_array(ctx, act, r->nr, (unsigned)r->conj[i].n, args);
		if (rc == -EEXIST) /* the same alternative through two includes */
			rc = 0;
	}
	if (rc)
		die(at, "%s: libseccomp refuses the rule: %s", r->name, strerror(-rc));
}

static size_t compile(const struct policy *p, struct sock_filter *code, size_t max)
{
	struct place at = {p->path, 0};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	FILE *tmp = tmpfile();
	size_t n;

	/* 2: a binary tree. The kernel runs a new filter once per system call number to see which need no run at all. */
	if (!ctx || !tmp || seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2))
		die(at, "cannot start libseccomp");
	for (size_t i = 0; i < p->n; i++)
		add_rule(ctx, p->rules[i]);
	if (seccomp_export_bpf(ctx, fileno(tmp)) || fseek(tmp, 0, SEEK_SET))
		die(at, "cannot export the filter");
	n = fread(code, sizeof(code[0]), max, tmp);
	if (n == 0 || n == max || n > BPF_MAXINSNS)
		die(at, "the filter is too long (%zu instructions)", n);
	fclose(tmp);
	seccomp_release(ctx);
	return n;
}

static void base_name(const char *path, char *buf, size_t len, char dash)
{
	const char *slash = strrchr(path, '/');
	char *dot;

	snprintf(buf, len, "%s", slash ? slash + 1 : path);
	dot = strrchr(buf, '.');
	if (dot)
		*dot = 0;
	for (char *s = buf; *s; s++)
		if (*s == '-')
			*s = dash;
}

static void write_filter(const struct policy *p, const struct sock_filter *code, size_t n, const char *out)
{
	char name[128], symbol[128];
	FILE *f = fopen(out, "we");

	if (!f)
		die((struct place){out, 0}, "cannot write");
	base_name(p->path, name, sizeof(name), '-');
	base_name(p->path, symbol, sizeof(symbol), '_');
	fprintf(f,
		"/* From policy/%s.policy; do not edit. */\n#include \"policy/rights.gen.h\"\n\n"
		"static const struct sock_filter code[] = {\n",
		name);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "\t{0x%02x, %u, %u, 0x%08x},\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
	fprintf(f, "};\n\nconst struct filter filter_%s = {\"%s\", %zu, code};\n", symbol, name, n);
	if (fclose(f))
		die((struct place){out, 0}, "cannot write");
}

static void write_calls(const struct policy *p, const char *out)
{
	FILE *f = fopen(out, "we");

	if (!f)
		die((struct place){out, 0}, "cannot write");
	for (size_t i = 0; i < p->n; i++) {
		const struct rule *r = p->rules[i];

		fprintf(f, "%d %s ", r->nr, r->name);
		if (r->errnum)
			fprintf(f, "errno %d\n", r->errnum);
		else
			fprintf(f, "%s %s\n", r->always ? "always" : "if", allows_all_ones(r) ? "ones" : "-");
	}
	if (fclose(f))
		die((struct place){out, 0}, "cannot write");
}

int main(int argc, char **argv)
{
	static struct sock_filter code[BPF_MAXINSNS + 1];

	if (argc == 5 && strcmp(argv[1], "filter") == 0) {
		struct policy *p = policy_read(argv[2]);
		size_t n = compile(p, code, ARRAY_LEN(code));

		filter_check(p, code, n);
		write_filter(p, code, n, argv[3]);
		write_calls(p, argv[4]);
		return 0;
	}
	if (argc == 5 && strcmp(argv[1], "rights") == 0) {
		rights_write(argv[2], argv[3], argv[4]);
		return 0;
	}
	fprintf(stderr, "usage: policy-gen filter NAME.policy OUT.c OUT.calls | rights rights.table OUT.h OUT.c\n");
	return 2;
}
