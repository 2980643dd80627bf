/* Stands where bulkhead-worker and bulkhead-memsrv stand, started by the real spawner through the real door; does on command what
 * a captured worker would try. One message, one command; the answer is one message. Nothing here is installed. */
#include "chan/chan.h"
#include "policy/lockdown.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
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

/* The calls are made by a thread of their own once a filter is asked for, as vCPUs are: the first one goes on answering. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct filter *filter;
	struct err e;
	bool up, pending;
	long v[7], result;
} other = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static long make_call(const long v[7])
{
	long r = syscall(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);

	return r < 0 ? -errno : r;
}

static void *other_thread(void *arg)
{
	int r = lockdown_filter(other.filter, &other.e);
	long v[7], result;

	pthread_mutex_lock(&other.lock);
	other.up = true;
	pthread_cond_broadcast(&other.changed);
	while (r == 0) {
		while (!other.pending)
			pthread_cond_wait(&other.changed, &other.lock);
		memcpy(v, other.v, sizeof(v));
		pthread_mutex_unlock(&other.lock); /* the call may be the thread's last */
		result = make_call(v);
		pthread_mutex_lock(&other.lock);
		other.result = result;
		other.pending = false;
		pthread_cond_broadcast(&other.changed);
	}
	pthread_mutex_unlock(&other.lock);
	return NULL;
}

/* Waits while *flag is as given; false after two seconds. Lock held. */
static bool wait_while(const bool *flag, bool value)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	while (*flag == value)
		if (pthread_cond_timedwait(&other.changed, &other.lock, &until))
			return false;
	return true;
}

/* "call NR A B C D E F": the answer is the return value, if there is still somebody to give it. */
static void do_call(char *args)
{
	long v[7] = {0};
	char answer[64];

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = (long)strtoul(args, &args, 0);
	if (!other.up) {
		snprintf(answer, sizeof(answer), "%ld", make_call(v));
	} else {
		pthread_mutex_lock(&other.lock);
		memcpy(other.v, v, sizeof(v));
		other.pending = true;
		pthread_cond_broadcast(&other.changed);
		if (wait_while(&other.pending, true))
			snprintf(answer, sizeof(answer), "%ld", other.result);
		else
			snprintf(answer, sizeof(answer), "silent");
		pthread_mutex_unlock(&other.lock);
	}
	say(answer);
}

static void do_filter(const char *name)
{
	pthread_t thread;
	bool good;

	other.filter = filter_named(name);
	if (other.filter == FILTER_MEMSRV_MAIN) { /* memsrv puts it on its only thread */
		say(lockdown_filter(other.filter, &other.e) ? other.e.text : "ok");
		return;
	}
	if (!other.filter || pthread_create(&thread, NULL, other_thread, NULL)) {
		say("no such filter, or no thread");
		return;
	}
	pthread_mutex_lock(&other.lock);
	good = wait_while(&other.up, false);
	pthread_mutex_unlock(&other.lock);
	say(!good ? "no thread" : other.e.code ? other.e.text : "ok");
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
