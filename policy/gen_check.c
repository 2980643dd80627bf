/* Runs a generated filter against the rules it was made of: for every system call number, with arguments at, beside and around
 * every value that a rule mentions, the filter must say what the text says. libseccomp's optimiser is trusted only as far as
 * this. */
#include "gen.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>

#define CALLS_MAX    512u
#define RANDOM_TRIES 400u
#define X32_BIT      0x40000000u

static uint32_t run(const struct sock_filter *code, size_t len, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < len; pc++) {
		const struct sock_filter *i = &code[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)d + i->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			die((struct place){"filter", (unsigned)pc}, "unexpected instruction %#x", i->code);
		}
	}
	die((struct place){"filter", (unsigned)len}, "runs off its end");
}

static bool holds(const struct cmp *c, const uint64_t args[6])
{
	uint64_t a = args[c->arg];

	switch (c->op) {
	case CMP_EQ:
		return (a & c->mask) == c->value;
	case CMP_NE:
		return a != c->value;
	case CMP_LT:
		return a < c->value;
	case CMP_LE:
		return a <= c->value;
	case CMP_GT:
		return a > c->value;
	case CMP_GE:
		return a >= c->value;
	}
	return false;
}

static uint32_t expected(const struct rule *r, const uint64_t args[6])
{
	if (!r)
		return SECCOMP_RET_KILL_PROCESS;
	if (r->errnum)
		return SECCOMP_RET_ERRNO | (uint32_t)r->errnum;
	if (r->always)
		return SECCOMP_RET_ALLOW;
	for (size_t i = 0; i < r->n; i++) {
		bool all = true;

		for (size_t j = 0; j < r->conj[i].n; j++)
			all = all && holds(&r->conj[i].cmp[j], args);
		if (all)
			return SECCOMP_RET_ALLOW;
	}
	return SECCOMP_RET_KILL_PROCESS;
}

bool allows_all_ones(const struct rule *r)
{
	uint64_t args[6];

	memset(args, 0xff, sizeof(args));
	return expected(r, args) == SECCOMP_RET_ALLOW;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A value near what the rules mention, or none of it. */
static uint64_t pick(const struct rule *r, unsigned arg, uint64_t *state)
{
	uint64_t dice = next_random(state);
	const struct conj *k = &r->conj[dice % r->n];
	const struct cmp *c = NULL;

	for (size_t j = 0; j < k->n; j++)
		if (k->cmp[j].arg == arg)
			c = &k->cmp[j];
	if (!c)
		return (dice >> 20) % 2 ? next_random(state) : 0;
	switch ((dice >> 24) % 8) {
	case 0:
		return c->value ^ UINT64_C(1) << (dice >> 32) % 64;
	case 1:
		return c->value + 1;
	case 2:
		return c->value - 1;
	case 3:
		return c->mask & next_random(state);
	case 4:
		return next_random(state);
	default:
		return c->value | (next_random(state) & ~c->mask);
	}
}

static void compare(const struct policy *p, const struct sock_filter *code, size_t len, const struct rule *r,
		    const struct seccomp_data *d)
{
	uint64_t args[6];
	uint32_t is, should;

	memcpy(args, d->args, sizeof(args));
	is = run(code, len, d);
	should = expected(r, args);
	if (is != should)
		die((struct place){r ? r->file : p->path, r ? r->line : 0},
		    "generated filter is wrong: call %d (%#llx %#llx %#llx %#llx %#llx %#llx) gives %#x, the text says %#x",
		    d->nr, d->args[0], d->args[1], d->args[2], d->args[3], d->args[4], d->args[5], is, should);
}

static void check_call(const struct policy *p, const struct sock_filter *code, size_t len, int nr)
{
	const struct rule *r = NULL;
	struct seccomp_data d = {.nr = nr, .arch = AUDIT_ARCH_X86_64};
	uint64_t state = UINT64_C(88172645463325252) + (unsigned)nr;

	for (size_t i = 0; i < p->n; i++)
		if (p->rules[i]->nr == nr)
			r = p->rules[i];
	compare(p, code, len, r, &d);
	memset(d.args, 0xff, sizeof(d.args));
	compare(p, code, len, r, &d);
	if (!r || r->always)
		return;
	for (unsigned t = 0; t < RANDOM_TRIES * r->n; t++) {
		for (unsigned a = 0; a < 6; a++)
			d.args[a] = pick(r, a, &state);
		compare(p, code, len, r, &d);
	}
	/* Every alternative by itself, with everything else of the arguments zero and all ones. */
	for (size_t i = 0; i < r->n; i++)
		for (unsigned fill = 0; fill < 2; fill++) {
			memset(d.args, fill ? 0xff : 0, sizeof(d.args));
			for (size_t j = 0; j < r->conj[i].n; j++)
				d.args[r->conj[i].cmp[j].arg] = r->conj[i].cmp[j].value;
			compare(p, code, len, r, &d);
		}
}

void filter_check(const struct policy *p, const struct sock_filter *code, size_t len)
{
	struct seccomp_data d = {.arch = AUDIT_ARCH_I386};

	for (int nr = 0; nr < (int)CALLS_MAX; nr++) {
		check_call(p, code, len, nr);
		d.arch = AUDIT_ARCH_I386;
		d.nr = nr;
		if (run(code, len, &d) != SECCOMP_RET_KILL_PROCESS)
			die((struct place){p->path, 0}, "the generated filter lets 32-bit call %d through", nr);
		d.arch = AUDIT_ARCH_X86_64;
		d.nr = (int)(X32_BIT | (unsigned)nr);
		if (run(code, len, &d) != SECCOMP_RET_KILL_PROCESS)
			die((struct place){p->path, 0}, "the generated filter lets x32 call %d through", nr);
	}
	check_call(p, code, len, -1);
}
