/* A worker or memsrv that has been captured: stands in for both programs beside a copy of the broker, and does to the broker what
 * the VM's creator chose: rude=N on the kernel command line for the worker, a zone called rude-N for memsrv. Started by the real
 * spawner. */
#include "wire/memsrv.h"
#include "wire/worker.h"

#include "bulkhead/fd.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANNEL 3

static struct chan_msg in;
static uint8_t out[CHAN_MSG_MAX];
static int kept = -1; /* of the first message's descriptors: a worker's console, a zone's file */

static int number_after(const char *what)
{
	const uint8_t *at = memmem(in.data, in.len, what, strlen(what));

	return at && at + strlen(what) < in.data + in.len ? atoi((const char *)at + strlen(what)) : 0;
}

static void say(const struct wk_msg *m, const int *fds, size_t n)
{
	size_t len;

	if (wk_encode(m, out, sizeof(out), &len, NULL) < 0 || chan_send(CHANNEL, out, len, fds, n) < 0)
		_exit(9);
}

static void say_op(enum wk_op op)
{
	say(&(struct wk_msg){.op = op}, NULL, 0);
}

static void garbage(size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(i * 151 + 7);
	if (chan_send(CHANNEL, out, len, NULL, 0) < 0)
		_exit(9);
}

static void be_polite(void)
{
	while (chan_recv(CHANNEL, &in) == 1) {
		struct wire_hdr h;

		chan_msg_close(&in);
		if (wire_peek(&in, &h) == 0 && h.op == WK_STOP)
			break;
	}
	_exit(0);
}

static enum wk_op heard(void)
{
	struct wire_hdr h;

	if (chan_recv(CHANNEL, &in) != 1 || wire_peek(&in, &h) < 0)
		_exit(0);
	chan_msg_close(&in);
	return h.op;
}

static void say_balloon(uint64_t wanted, uint64_t actual)
{
	say(&(struct wk_msg){.op = WK_BALLOON_STATE, .u.balloon_state = {.wanted = wanted, .actual = actual}}, NULL, 0);
}

static void many_fds(void)
{
	int fds[90];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = 0;
	say(&(struct wk_msg){.op = WK_READY}, fds, ARRAY_LEN(fds));
}

static void be_worker(int rude)
{
	static struct node_pages nodes[1000];
	struct zone_report report = {.page_size = 4096};
	struct wk_msg m = {0};

	switch (rude) {
	case 1:
		garbage(100);
		break;
	case 2:
		say_op(WK_READY);
		say_op(WK_READY);
		break;
	case 3: /* a guest that does nothing but reset */
		say_op(WK_READY);
		m.op = WK_ENDED;
		m.u.ended.cause = END_RESET;
		say(&m, NULL, 0);
		_exit(0);
	case 4:
		say_op(WK_READY);
		m.op = WK_STATE;
		say(&m, NULL, 0);
		break;
	case 5: /* for ever */
		m.op = WK_PROGRESS;
		m.u.progress = (struct wire_progress){0, 1, 2};
		for (;;)
			say(&m, NULL, 0);
	case 6:
		say_op(WK_READY);
		m.op = WK_STATS;
		m.u.reports = (struct wk_reports){1, &report};
		for (;;)
			say(&m, NULL, 0);
	case 7: /* what only the broker may say */
		say_op(WK_STOP);
		break;
	case 8:
		many_fds();
		break;
	case 9:
		say_op(WK_READY);
		close(CHANNEL);
		for (;;)
			poll(NULL, 0, -1);
	case 10:
		for (;;)
			garbage(CHAN_MSG_MAX);
	case 12:
		say_op(WK_READY);
		m.op = WK_ENDED;
		m.u.ended.cause = 99;
		say(&m, NULL, 0);
		break;
	case 13:
		m.op = WK_FAILED;
		m.u.failed = (struct wire_failed){-5, "something that has \033[31mbeen\n made up"};
		say(&m, NULL, 0);
		_exit(1);
	case 14:
		say_op(WK_READY);
		socket(AF_INET, SOCK_STREAM, 0);
		break;
	case 15:
		say_op(WK_READY);
		__builtin_trap();
	case 11: /* pages where no host has them */
		for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
			nodes[i] = (struct node_pages){(int32_t)i, UINT64_MAX};
		report.n = ARRAY_LEN(nodes);
		report.nodes = nodes;
		m.op = WK_READY;
		m.u.reports = (struct wk_reports){1, &report};
		say(&m, NULL, 0);
		break;
	case 16: /* says that it stopped, and does not */
		say_op(WK_READY);
		m.op = WK_ENDED;
		m.u.ended.cause = END_POWEROFF;
		memcpy(m.u.ended.detail, "\033]0;switched off\007", 18);
		say(&m, NULL, 0);
		for (;;)
			poll(NULL, 0, -1);
	case 19: /* too busy to listen */
		say_op(WK_READY);
		for (;;)
			poll(NULL, 0, -1);
	case 18: /* a guest that resets itself when it is asked to pause */
		say_op(WK_READY);
		if (chan_recv(CHANNEL, &in) != 1)
			_exit(0);
		m.op = WK_ENDED;
		m.u.ended.cause = END_RESET;
		say(&m, NULL, 0);
		_exit(0);
	case 20: /* a guest that resets itself once, with a byte on its console; whoever comes after that builds no machine */
		if (read(kept, out, 1) == 1) {
			say_op(WK_READY);
			m.op = WK_ENDED;
			m.u.ended.cause = END_RESET;
			say(&m, NULL, 0);
			_exit(0);
		}
		for (;;)
			poll(NULL, 0, -1);
	case 21: /* tells of its guest's balloon just before it reads what is wanted of it now */
		say_op(WK_READY);
		if (heard() != WK_BALLOON || heard() != WK_POWER_BUTTON)
			_exit(9);
		say_balloon(0, 0);
		say_balloon(32 * MiB, 0);
		if (heard() != WK_BALLOON)
			_exit(9);
		say_balloon(0, 4096);
		break;
	case 17: /* fails, and fails, and stays */
		m.op = WK_FAILED;
		m.u.failed = (struct wire_failed){-5, "something that has been made up"};
		for (;;) {
			say(&m, NULL, 0);
			poll(NULL, 0, 100);
		}
	default:
		say_op(WK_READY);
		break;
	}
	be_polite();
}

static void answer(const struct ms_msg *m, const int *fds, size_t n)
{
	size_t len;

	if (ms_encode(m, out, sizeof(out), &len, NULL) < 0 || chan_send(CHANNEL, out, len, fds, n) < 0)
		_exit(9);
}

static void be_memsrv(int rude)
{
	static struct ms_msg m;
	struct stat st;
	int fds[2] = {0, 0};

	m.op = MS_ZONES;
	m.u.zones.n_tags = 1;
	m.u.zones.tags[0] = (struct fd_tag){FD_ROLE_ZONE, 0};
	switch (rude) {
	case 1:
		garbage(100);
		break;
	case 2: /* a zone short */
		m.u.zones.n_tags = 0;
		answer(&m, NULL, 0);
		break;
	case 3: /* one that does not exist */
		m.u.zones.tags[0].index = 63;
		answer(&m, fds, 1);
		break;
	case 4: /* one too many */
		m.u.zones.n_tags = 2;
		m.u.zones.tags[1] = (struct fd_tag){FD_ROLE_KVM, 0};
		answer(&m, fds, 2);
		break;
	case 5:
		m.op = MS_PROGRESS;
		m.u.progress = (struct wire_progress){63, 1, 2};
		answer(&m, NULL, 0);
		break;
	case 6:
		_exit(0);
	case 7:
		close(CHANNEL);
		for (;;)
			poll(NULL, 0, -1);
	case 8: /* twice */
		answer(&m, fds, 1);
		answer(&m, fds, 1);
		break;
	case 9:
		m.op = MS_PLAN;
		garbage(12);
		break;
	case 10: /* gives up later, and stays */
		answer(&m, fds, 1);
		heard();
		m.op = MS_FAILED;
		m.u.failed = (struct wire_failed){-5, "something that has been made up"};
		answer(&m, NULL, 0);
		for (;;)
			poll(NULL, 0, -1);
	case 11: /* never gets done, if the zone's file is a longer one than before */
		m.op = fstat(kept, &st) == 0 && st.st_size > (off_t)(64 * MiB) ? MS_PROGRESS : MS_ZONES;
		for (; m.op == MS_PROGRESS; poll(NULL, 0, 1000)) {
			m.u.progress = (struct wire_progress){0, 1, 2};
			answer(&m, NULL, 0);
		}
		answer(&m, fds, 1);
		break;
	default:
		answer(&m, fds, 1);
		break;
	}
	be_polite();
}

int main(int argc, char **argv)
{
	bool memsrv = argc > 0 && strstr(argv[0], "memsrv");
	size_t which = memsrv ? 0 : 2; /* a worker has /dev/kvm and a kernel before it */

	if (chan_recv(CHANNEL, &in) != 1)
		return 0;
	if (in.nfds > which)
		kept = fd_take(&in.fds[which]);
	chan_msg_close(&in);
	if (memsrv)
		be_memsrv(number_after("rude-"));
	else
		be_worker(number_after("rude="));
	return 0;
}
