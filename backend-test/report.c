/* For people, and for programs: stable JSON (keys are only ever added). What a daemon said is in there as numbers and as our own
 * words; its program's name is escaped. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 100

static const char *const words[N_VERDICTS] = {"pass", "FAIL", "warning", "n/a"};
static const char *const json_words[N_VERDICTS] = {"pass", "fail", "warning", "not-applicable"};

static const char *const protocol_names[] = {"MQ",
					     "LOG_SHMFD",
					     "RARP",
					     "REPLY_ACK",
					     "MTU",
					     "BACKEND_REQ",
					     "CROSS_ENDIAN",
					     "CRYPTO_SESSION",
					     "PAGEFAULT",
					     "CONFIG",
					     "BACKEND_SEND_FD",
					     "HOST_NOTIFIER",
					     "INFLIGHT_SHMFD",
					     "RESET_DEVICE",
					     "INBAND_NOTIFICATIONS",
					     "CONFIGURE_MEM_SLOTS",
					     "STATUS",
					     "XEN_MMAP",
					     "SHARED_OBJECT",
					     "DEVICE_STATE"};

void feature_names(uint64_t protocol, char *buf, size_t cap)
{
	size_t used = 0;

	snprintf(buf, cap, "none");
	for (unsigned i = 0; i < 64 && used + 24 < cap; i++) {
		if (!(protocol & BIT(i)))
			continue;
		if (i < ARRAY_LEN(protocol_names))
			used += (size_t)snprintf(buf + used, cap - used, "%s%s", used ? " " : "", protocol_names[i]);
		else
			used += (size_t)snprintf(buf + used, cap - used, "%sbit %u", used ? " " : "", i);
	}
}

static void put_string(const char *s)
{
	if (!s) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void put_key(const char *key, const char *value)
{
	printf(", \"%s\": ", key);
	put_string(value);
}

/* "  label  text", broken at words. */
static void put_wrapped(const char *label, const char *text)
{
	size_t column = 13;

	if (!text)
		return;
	printf("      %-7s", label);
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " ");

		if (column + n > COLUMNS && column > 13) {
			printf("\n             ");
			column = 13;
		}
		for (size_t i = 0; i < n; i++)
			putchar((unsigned char)p[i] < 0x20 || p[i] == 0x7f ? '?' : p[i]);
		column += n + 1;
		p += n;
		if (*p == ' ' && *++p && column + strcspn(p, " ") <= COLUMNS)
			putchar(' ');
	}
	putchar('\n');
}

static bool show_pid(const struct run *r)
{
	return r->d.pid > 0;
}

void report_begin(const struct run *r)
{
	char names[512];

	feature_names(r->protocol, names, sizeof(names));
	if (r->json) {
		printf("{\"format\": 1, \"program\": \"bulkhead backend-test " BULKHEAD_VERSION "\"");
		put_key("socket", r->path);
		put_key("type", r->kind ? r->kind->name : NULL);
		printf(",\n \"daemon\": {\"started_here\": %s, \"pid\": ", r->d.command ? "true" : "false");
		if (show_pid(r))
			printf("%d", r->d.pid);
		else
			fputs("null", stdout);
		put_key("name", r->name);
		printf(", \"one_connection\": %s, \"features\": \"%#" PRIx64 "\", \"protocol_features\": \"%#" PRIx64
		       "\", \"queues\": %" PRIu64 "},\n \"tests\": [",
		       r->d.one_shot ? "true" : "false", r->features, r->protocol, r->queues);
		return;
	}
	printf("%s: %s", r->path, r->name);
	if (show_pid(r))
		printf(" (pid %d)", r->d.pid);
	printf("%s\n", r->d.one_shot ? ", which ends with its connection" : "");
	printf("  tested as          %s\n", r->kind   ? r->kind->name
					    : r->type ? "a device of a type whose requests are not known here"
						      : "any device: --type blk, net or fs adds the tests with requests");
	printf("  features           %#" PRIx64 "\n  protocol features  %s\n  queues             %" PRIu64 "\n\n", r->features,
	       names, r->queues);
	fflush(stdout);
}

void report_test(const struct run *r, const struct result *x)
{
	static unsigned n;

	if (r->json) {
		printf("%s\n  {\"name\": ", n++ ? "," : "");
		put_string(x->t->name);
		put_key("verdict", json_words[x->verdict]);
		put_key("tried", x->t->tried);
		put_key("found", x->found);
		put_key("section", x->t->section);
		put_key("says", x->t->says);
		put_key("ours", x->t->ours);
		putchar('}');
	} else {
		bool bad = x->verdict == FAIL || x->verdict == WARNING;

		printf("%-8s %-25s%s%s\n", words[x->verdict], x->t->name, bad ? "" : " ", bad ? "" : x->found);
		if (bad) {
			put_wrapped("tried", x->t->tried);
			put_wrapped("found", x->found);
			put_wrapped("spec", x->t->section);
			put_wrapped("", x->t->says);
			put_wrapped("ours", x->t->ours);
		}
	}
	fflush(stdout);
}

void report_end(const struct run *r, const unsigned count[N_VERDICTS], int code)
{
	unsigned all = 0;

	for (unsigned i = 0; i < N_VERDICTS; i++)
		all += count[i];
	if (r->json) {
		printf(
		    "\n ],\n \"summary\": {\"pass\": %u, \"fail\": %u, \"warning\": %u, \"not_applicable\": %u}, \"exit\": %d}\n",
		    count[PASS], count[FAIL], count[WARNING], count[NOT_APPLICABLE], code);
		return;
	}
	printf("\n%u tests: %u passed, %u failed, %u with a warning, %u not applicable\n", all, count[PASS], count[FAIL],
	       count[WARNING], count[NOT_APPLICABLE]);
}
