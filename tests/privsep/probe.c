/* Stands where bulkhead-worker and bulkhead-memsrv stand, started by the real spawner through the real door; does on command what
 * a captured worker would try. One message, one command; the answer is one message. Nothing here is installed. */
#include "chan/chan.h"
#include "policy/lockdown.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHANNEL 3

static void say(const char *text)
{
	if (chan_send(CHANNEL, text, strlen(text), NULL, 0) < 0)
		_exit(2);
}

static const struct filter *filter_named(const char *name)
{
	static const struct filter *const all[] = {FILTER_WORKER_MAIN, FILTER_WORKER_VCPU, FILTER_MEMSRV_MAIN};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

/* "call NR A B C D E F": the answer is the return value, if there is still somebody to give it. */
static void do_call(char *args)
{
	long v[7] = {0};
	char answer[64];
	long r;

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = (long)strtoul(args, &args, 0);
	r = syscall(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
	snprintf(answer, sizeof(answer), "%ld", r < 0 ? -errno : r);
	say(answer);
}

static void do_filter(const char *name)
{
	const struct filter *f = filter_named(name);
	struct err e = {0};

	say(f && lockdown_filter(f, &e) == 0 ? "ok" : e.text);
}

int main(int argc, char **argv)
{
	static struct chan_msg m;
	struct err e = {0};

	if (lockdown_enter(strstr(argv[0], "memsrv") ? PROCESS_MEMSRV : PROCESS_WORKER, &e) < 0) {
		say(e.text);
		return 3;
	}
	say("entered");
	while (chan_recv(CHANNEL, &m) > 0) {
		char *text = (char *)m.data;

		text[m.len < sizeof(m.data) ? m.len : sizeof(m.data) - 1] = 0;
		if (strncmp(text, "call ", 5) == 0)
			do_call(text + 5);
		else if (strncmp(text, "filter ", 7) == 0)
			do_filter(text + 7);
		else if (strcmp(text, "crash") == 0)
			__builtin_trap();
		else if (strcmp(text, "exit") == 0)
			return 7;
		else
			say("?");
		chan_msg_close(&m);
	}
	return 0;
}
