#include "sigbus.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Signal handlers take no argument, so this is the one place with state at file scope. Written before any thread exists, but for
 * up. */
static struct {
	struct machine *m;
	struct link *l;
	int main_tid;
	atomic_bool up;
} ctx;

/* The fault is synchronous: it came from a copy to or from guest memory, so no lock of the codec or of malloc is held and the
 * report can be made right here. Anything else is our own mistake: the process ends, and the broker says that the worker died. */
static void on_sigbus(int sig, siginfo_t *si, void *ucontext)
{
	struct end_report end = {.cause = END_HOST_MEMORY};
	bool main_thread = (int)syscall(SYS_gettid) == ctx.main_tid;

	if (si->si_code <= 0 || !guestmem_owns(&ctx.m->gm, si->si_addr))
		_exit(2);
	if (epc_id_at(&ctx.m->gm, si->si_addr))
		snprintf(end.detail, sizeof(end.detail), "EPC section %s: the host has no EPC page left for all of it",
			 epc_id_at(&ctx.m->gm, si->si_addr));
	else
		snprintf(end.detail, sizeof(end.detail), "the host has no page for guest memory: %s",
			 si->si_code == BUS_ADRERR ? "out of memory or huge pages, or the file behind a zone was cut"
						   : "the page is broken");
	if (!main_thread)
		runctl_end(&ctx.m->run, &end);
	if (atomic_load(&ctx.up)) {
		struct wk_msg m = {.op = WK_ENDED, .u.ended = end};

		link_send(ctx.l, &m, NULL);
	} else {
		struct err e = {0};

		err_set(&e, -ENOMEM, "%s", end.detail);
		link_failed(ctx.l, 0, &e);
	}
	_exit(1);
}

static void on_kick(int sig)
{
	/* Its arrival alone makes KVM_RUN return. */
}

int sigbus_install(struct machine *m, struct link *l, struct err *e)
{
	struct sigaction bus = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	struct sigaction kick = {.sa_handler = on_kick};
	struct sigaction full = {.sa_handler = SIG_IGN};

	ctx.m = m;
	ctx.l = l;
	ctx.main_tid = (int)syscall(SYS_gettid);
	/* The last: a file of the serial line or the console has reached the limit of this process; write() says so, too. */
	if (sigaction(SIGBUS, &bus, NULL) < 0 || sigaction(SIGUSR1, &kick, NULL) < 0 || sigaction(SIGXFSZ, &full, NULL) < 0)
		return err_sys(e, -errno, "signal handlers");
	return 0;
}

void sigbus_machine_is_up(void)
{
	atomic_store(&ctx.up, true);
}
