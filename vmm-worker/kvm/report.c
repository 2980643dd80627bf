/* What a guest was doing when its machine ended. */
#include "machine.h"

#include <string.h>
#include <sys/ioctl.h>

/* As many bytes at the linear address as the guest's page tables and its RAM give. */
static uint8_t read_code(struct vcpu *v, uint64_t linear, uint8_t *to)
{
	uint8_t n = 0;

	while (n < END_INSN_MAX) {
		struct kvm_translation tr = {.linear_address = linear + n};
		uint64_t in_page = GUEST_PAGE - ((linear + n) & (GUEST_PAGE - 1));
		size_t want = END_INSN_MAX - n;

		if (want > in_page)
			want = (size_t)in_page;
		if (ioctl(v->fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid ||
		    gm_read(&v->m->gm, gpa(tr.physical_address), to + n, want) < 0)
			break;
		n = (uint8_t)(n + want);
	}
	return n;
}

void vcpu_report_regs(struct vcpu *v, struct end_report *end)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	end->vcpu = v->id;
	if (ioctl(v->fd, KVM_GET_REGS, &r) < 0 || ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return;
	end->has_regs = true;
	end->rax = r.rax;
	end->rbx = r.rbx;
	end->rcx = r.rcx;
	end->rdx = r.rdx;
	end->rsi = r.rsi;
	end->rdi = r.rdi;
	end->rsp = r.rsp;
	end->rbp = r.rbp;
	end->r8 = r.r8;
	end->r9 = r.r9;
	end->r10 = r.r10;
	end->r11 = r.r11;
	end->r12 = r.r12;
	end->r13 = r.r13;
	end->r14 = r.r14;
	end->r15 = r.r15;
	end->rip = r.rip;
	end->rflags = r.rflags;
	end->cr0 = s.cr0;
	end->cr2 = s.cr2;
	end->cr3 = s.cr3;
	end->cr4 = s.cr4;
	end->efer = s.efer;
	end->cs = s.cs.selector;
	end->ss = s.ss.selector;
	if (end->n_insn == 0)
		end->n_insn = read_code(v, (s.cs.l ? 0 : s.cs.base) + r.rip, end->insn);
}
