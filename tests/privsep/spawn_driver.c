/* The real spawner, steered by lines on standard input, so that a script can look at its children from outside:
 *
 *	start                    -> "ok ISOLATION TEXT", "pid N" is the spawner's
 *	spawn KIND SLOT          -> "pid N"; KIND is worker or memsrv
 *	hear KIND SLOT           -> the next message of the child, or "gone"
 *	say KIND SLOT TEXT       -> what it answers, or "gone"
 *	kill KIND SLOT           -> "ok"
 *	end KIND SLOT            -> how it ended, in the spawner's words
 *	garbage                  -> "ok"; sends the spawner something that is no request
 *
 * Every failure is "error TEXT". */
#include "bulkhead/fd.h"
#include "chan/chan.h"
#include "spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 240000

struct state {
	struct spawner spawner;
	struct child children[CHILD_KINDS][SPAWN_SLOTS];
	struct spawn_exit exits[CHILD_KINDS][SPAWN_SLOTS];
	bool ended[CHILD_KINDS][SPAWN_SLOTS];
};

static struct chan_msg message;

static bool wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, PATIENCE_MS) == 1;
}

static void hear(const struct child *c)
{
	if (!wait_for(c->channel)) {
		puts("error silence");
	} else if (chan_recv(c->channel, &message) <= 0) {
		puts("gone");
	} else {
		printf("%.*s\n", (int)message.len, (const char *)message.data);
		chan_msg_close(&message);
	}
}

static void spawn(struct state *s, enum child_kind kind, uint32_t slot)
{
	struct child *c = &s->children[kind][slot];
	struct err e = {0};
	struct child made;

	if (spawner_spawn(&s->spawner, kind, slot, NULL, &made, &e) < 0) {
		printf("error %s\n", e.text);
		return;
	}
	if (c->pid)
		fd_cleanup(&c->channel);
	*c = made;
	s->ended[kind][slot] = false;
	printf("pid %d\n", c->pid);
}

static void tell_end(struct state *s, enum child_kind kind, uint32_t slot)
{
	char text[256];

	while (!s->ended[kind][slot]) {
		struct spawn_exit x;
		int r = wait_for(s->spawner.exits) ? spawner_next_exit(&s->spawner, &x) : -1;

		if (r < 0) {
			puts("error no notice");
			return;
		}
		if (r == 0)
			continue;
		s->exits[x.kind][x.slot] = x;
		s->ended[x.kind][x.slot] = true;
	}
	spawn_exit_text(&s->exits[kind][slot], text, sizeof(text));
	printf("%s\n", text);
}

static void child_line(struct state *s, char *line)
{
	const char *verb = strtok(line, " "), *kind_name = strtok(NULL, " "), *slot_text = strtok(NULL, " ");
	const char *text = strtok(NULL, "");
	enum child_kind kind;
	uint32_t slot;
	struct err e = {0};

	if (!slot_text) {
		puts("error what?");
		return;
	}
	kind = strcmp(kind_name, "worker") == 0 ? CHILD_WORKER : CHILD_MEMSRV;
	slot = (uint32_t)strtoul(slot_text, NULL, 10) % SPAWN_SLOTS;
	if (strcmp(verb, "spawn") == 0) {
		spawn(s, kind, slot);
	} else if (strcmp(verb, "hear") == 0) {
		hear(&s->children[kind][slot]);
	} else if (strcmp(verb, "say") == 0 && text) {
		if (chan_send(s->children[kind][slot].channel, text, strlen(text), NULL, 0) < 0)
			puts("gone");
		else
			hear(&s->children[kind][slot]);
	} else if (strcmp(verb, "kill") == 0) {
		puts(spawner_kill(&s->spawner, kind, slot, &e) < 0 ? "error" : "ok");
	} else if (strcmp(verb, "end") == 0) {
		tell_end(s, kind, slot);
	} else {
		puts("error what?");
	}
}

int main(void)
{
	static struct state s;
	char line[512];

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (strcmp(line, "start") == 0) {
			struct err e = {0};

			if (spawner_start(&s.spawner, SPAWN_VMS, NULL, &e) < 0)
				printf("error %s\n", e.text);
			else
				printf("ok %d %s\n", s.spawner.pid, spawner_isolation_text(&s.spawner));
		} else if (strcmp(line, "garbage") == 0) {
			puts(chan_send(s.spawner.requests, "garbage", 7, NULL, 0) < 0 ? "error" : "ok");
		} else {
			child_line(&s, line);
		}
	}
	return 0;
}
