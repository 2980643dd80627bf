#include "worker_harness.h"

#include <stdlib.h>

const char *worker_program;
static const char *guest_dir;

const char *tiny(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/tiny-%s.elf", guest_dir, name);
	return path;
}

void begin(struct peer *p, struct machine_wish w)
{
	w.guest = tiny(w.guest);
	peer_start(p, worker_program);
	peer_grant(p, &w);
	peer_expect(p, WK_READY);
}

void begin_running(struct peer *p, const char *guest)
{
	begin(p, (struct machine_wish){.guest = guest, .start = true});
	peer_expect(p, WK_STATE);
	assert_true(p->msg.u.state.running);
}

void ends(struct peer *p, enum end_cause cause, const char *said)
{
	char buf[256] = {0};
	size_t n;
	int status;

	peer_expect(p, WK_ENDED);
	if (p->msg.u.ended.cause != cause)
		print_message("# ended with %d: %s\n", (int)p->msg.u.ended.cause, p->msg.u.ended.detail);
	assert_int_equal(p->msg.u.ended.cause, cause);
	if (said) {
		n = peer_read(p, buf, sizeof(buf) - 1, 1000);
		assert_int_equal(n, strlen(said));
		assert_string_equal(buf, said);
	}
	status = peer_end(p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
	static struct CMUnitTest all[128];
	size_t n = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: worker_harness BULKHEAD-WORKER TINY-GUESTS\n");
		return 2;
	}
	worker_program = argv[1];
	guest_dir = argv[2];
	for (size_t i = 0; i < n_tests_ends; i++)
		all[n++] = tests_ends[i];
	for (size_t i = 0; i < n_tests_steer; i++)
		all[n++] = tests_steer[i];
	for (size_t i = 0; i < n_tests_wrong; i++)
		all[n++] = tests_wrong[i];
	/* The macro takes an array's size; the table's rest is empty. */
	return _cmocka_run_group_tests("worker", all, n, NULL, NULL);
}
