#include "print_vm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Order and words are part of the --json output: append only. */
static const struct {
	enum end_cause cause;
	const char *word;
	const char *sentence;
	int exit_code;
} causes[] = {
    {END_POWEROFF, "poweroff", "the guest switched itself off", EXIT_OK},
    {END_RESET, "reset", "the guest reset itself", EXIT_GUEST_FAULT},
    {END_STOPPED, "stopped", "it was stopped on request", EXIT_OK},
    {END_TRIPLE_FAULT, "triple-fault", "the guest's processor shut down after a triple fault", EXIT_GUEST_FAULT},
    {END_BAD_ACCESS, "bad-access", "the guest touched an address that belongs to nothing", EXIT_GUEST_FAULT},
    {END_KVM_INTERNAL, "kvm-internal", "KVM could not carry out an instruction of the guest", EXIT_GUEST_FAULT},
    {END_KVM_ERROR, "kvm-error", "KVM refused to run the guest", EXIT_HOST_FAULT},
    {END_HOST_MEMORY, "host-memory", "the host could not give the guest a page of its memory", EXIT_HOST_FAULT},
    {END_WORKER_DIED, "worker-died", "its worker process died", EXIT_HOST_FAULT},
    {END_MEMSRV_DIED, "memsrv-died", "its memory server died", EXIT_HOST_FAULT},
    {END_CLIENT_GONE, "client-gone", "the client that it was bound to went away", EXIT_HOST_FAULT},
    {END_BROKER_GONE, "broker-gone", "the broker went away", EXIT_HOST_FAULT},
};

static size_t find(enum end_cause cause)
{
	for (size_t i = 0; i < ARRAY_LEN(causes); i++)
		if (causes[i].cause == cause)
			return i;
	return ARRAY_LEN(causes) - 1;
}

const char *end_cause_word(enum end_cause cause)
{
	return causes[find(cause)].word;
}

int end_exit_code(enum end_cause cause)
{
	return causes[find(cause)].exit_code;
}

void print_end(FILE *f, const char *name, const struct end_report *r)
{
	const char *sentence = causes[find(r->cause)].sentence;
	const struct {
		const char *name;
		uint64_t v;
	} regs[] = {
	    {"rax", r->rax}, {"rbx", r->rbx}, {"rcx", r->rcx}, {"rdx", r->rdx}, {"rsi", r->rsi},   {"rdi", r->rdi},
	    {"rbp", r->rbp}, {"rsp", r->rsp}, {"r8", r->r8},   {"r9", r->r9},   {"r10", r->r10},   {"r11", r->r11},
	    {"r12", r->r12}, {"r13", r->r13}, {"r14", r->r14}, {"r15", r->r15}, {"rip", r->rip},   {"rfl", r->rflags},
	    {"cr0", r->cr0}, {"cr2", r->cr2}, {"cr3", r->cr3}, {"cr4", r->cr4}, {"efer", r->efer},
	};

	/* Details that say the same and more stand alone. */
	if (strncmp(r->detail, sentence, strlen(sentence)) == 0)
		fprintf(f, "bulkhead: VM %s ended: %s\n", name, r->detail);
	else
		fprintf(f, "bulkhead: VM %s ended: %s%s%s%s\n", name, sentence, r->detail[0] ? " (" : "", r->detail,
			r->detail[0] ? ")" : "");
	if (r->has_access)
		fprintf(f, "  access: %s of %" PRIu32 " bytes at %#" PRIx64 "\n", r->access_write ? "write" : "read",
			r->access_len, r->access_addr);
	if (!r->has_regs)
		return;
	fprintf(f, "  vCPU %" PRIu32 ", cs %04x, ss %04x\n", r->vcpu, r->cs, r->ss);
	for (size_t i = 0; i < ARRAY_LEN(regs); i++)
		fprintf(f, "  %-4s %016" PRIx64 "%s", regs[i].name, regs[i].v,
			i % 4 == 3 || i + 1 == ARRAY_LEN(regs) ? "\n" : "");
	if (r->n_insn) {
		fputs("  bytes at rip:", f);
		for (size_t i = 0; i < r->n_insn; i++)
			fprintf(f, " %02x", r->insn[i]);
		fputs("\n", f);
	}
}
