/* What a command says when it cannot do what it was asked to: in words on stderr, and with --json also as an object on stdout, so
 * that a program that reads facts there finds the reason there as well. `run` leaves stdout to its guest: with --json all that it
 * says is objects on stderr, one after the other, and no words. */
#pragma once
#include "model/diag.h"

#include <stdbool.h>
#include <stdio.h>

struct json_object;

struct say {
	const char *verb;
	bool json;
	bool guest_has_stdout; /* run */
};

/* Writes o as it is meant by s->json, and puts it. */
void say_object(const struct say *s, struct json_object *o);

/* The command failed. ds: what is wrong with its words, or NULL; text: one sentence, or NULL. At least one of them.
 * {"error": text, "diagnostics": [...]}. */
void say_failure(const struct say *s, const struct diags *ds, const char *text);

/* Warnings and notices of a command that goes on. {"diagnostics": [...]}, with run only: other commands have one object to give.
 */
void say_diags(const struct say *s, const struct diags *ds);
