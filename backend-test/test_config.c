/* Configuration space, read in every way. */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define HEAD offsetof(struct vu_config, data)

/* 1: *ret has the len bytes from offset; 0: it said no; negative: broken. Judged here: the codec knows offset 0 only. */
static int read_config(struct run *r, struct session *s, uint32_t offset, uint32_t len, uint8_t *ret)
{
	struct vu_msg m;
	struct vu_config c = {.offset = offset, .size = len};
	struct vu_msg answer;
	int rc;

	vu_put(&m, VU_GET_CONFIG, &c, HEAD + len);
	if (offset == 0) {
		rc = link_ask(&s->l, &m, &answer, &r->e);
		if (rc < 0)
			return rc;
	} else {
		/* As an answer to another request of that size would be read: header first. */
		rc = link_say(&s->l, &m, &r->e);
		if (rc == 0)
			rc = link_answer_raw(&s->l, &answer, &r->e);
		if (rc < 0)
			return rc;
		if (answer.hdr.request != VU_GET_CONFIG)
			return err_set(&r->e, -EPROTO, "GET_CONFIG was answered as request %u", answer.hdr.request);
	}
	if (answer.hdr.size < HEAD + len)
		return answer.hdr.size <= HEAD
			   ? 0
			   : err_set(&r->e, -EPROTO, "%u bytes of %u at %u came", answer.hdr.size - (uint32_t)HEAD, len, offset);
	memcpy(&c, answer.payload, HEAD);
	if (c.offset != offset || c.size != len)
		return err_set(&r->e, -EPROTO, "asked for %u bytes at %u it says it sends %u at %u", len, offset, c.size,
			       c.offset);
	memcpy(ret, answer.payload + HEAD, len);
	return 1;
}

/* What a driver of that type has to find there. */
static uint32_t wanted(const struct run *r)
{
	return r->kind && r->kind->id == 2 ? 60 : r->kind && r->kind->id == 26 ? 44 : r->kind ? 12 : 8;
}

static enum verdict whole(struct run *r)
{
	CLEANUP(session_close) struct session s;
	uint8_t data[VU_CONFIG_MAX];
	uint32_t len = wanted(r);
	uint64_t capacity;
	int rc;

	if (greet(r, &s, NULL) < 0)
		return broke(r, "greeting");
	rc = read_config(r, &s, 0, len, data);
	if (rc < 0)
		return broke(r, "GET_CONFIG");
	if (rc == 0 && !r->kind)
		return not_applicable(r, "it has no %u bytes of configuration", len);
	if (rc == 0)
		return fail(r, "offers CONFIG and has no %u bytes of configuration", len);
	memcpy(&capacity, data, sizeof(capacity));
	if (r->kind && r->kind->id == 2 && (capacity == 0 || capacity > INT64_MAX / 512))
		return warn(r, "a disk of %" PRIu64 " sectors", capacity);
	if (r->kind && r->kind->id == 2)
		return pass(r, "a disk of %" PRIu64 " sectors", capacity);
	return pass(r, "%u bytes", len);
}

static enum verdict sizes(struct run *r)
{
	static const uint32_t tries[] = {1, 2, 3, 5, 7, 8, 9, 24, 33, 60, 61, 64, 100, 255, 256};
	CLEANUP(session_close) struct session s;
	uint8_t first[VU_CONFIG_MAX], data[VU_CONFIG_MAX];
	uint32_t known = wanted(r), refused = 0, answered = 0;
	int rc;

	if (greet(r, &s, NULL) < 0)
		return broke(r, "greeting");
	rc = read_config(r, &s, 0, known, first);
	if (rc <= 0)
		return not_applicable(r, "it has no %u bytes of configuration", known);
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		uint32_t n = tries[i] < known ? tries[i] : known;

		rc = read_config(r, &s, 0, tries[i], data);
		if (rc < 0)
			return fail(r, "GET_CONFIG of %u bytes: %s", tries[i], r->e.text);
		if (rc && memcmp(data, first, n) != 0)
			return fail(r, "GET_CONFIG of %u bytes brings other bytes than one of %u", tries[i], known);
		refused += !rc;
		answered += !!rc;
	}
	return pass(r, "%u sizes answered, %u refused", answered, refused);
}

static enum verdict offsets(struct run *r)
{
	static const uint32_t tries[][2] = {{0, 8}, {8, 4}, {4, 8}, {1, 1}, {7, 5}};
	CLEANUP(session_close) struct session s;
	uint8_t first[VU_CONFIG_MAX], data[VU_CONFIG_MAX];
	int rc;

	if (greet(r, &s, NULL) < 0)
		return broke(r, "greeting");
	if (read_config(r, &s, 0, wanted(r), first) <= 0)
		return not_applicable(r, "it has no %u bytes of configuration", wanted(r));
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		rc = read_config(r, &s, tries[i][0], tries[i][1], data);
		if (rc < 0)
			return warn(r, "%u bytes from %u: %s", tries[i][1], tries[i][0], r->e.text);
		if (rc && tries[i][0] + tries[i][1] <= wanted(r) && memcmp(data, first + tries[i][0], tries[i][1]) != 0)
			return fail(r, "%u bytes from %u are not those of a whole read", tries[i][1], tries[i][0]);
	}
	return pass(r, "parts are parts of the whole, or refused");
}

static enum verdict beyond(struct run *r)
{
	static const uint32_t tries[][3] = {{250, 16, 16},      {0xffffffff, 1, 1}, {0xfffffff0, 32, 32},
					    {0, 0xffffffff, 8}, {0, 256, 0},        {0, 0, 0}};
	unsigned closed = 0;

	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		CLEANUP(session_close) struct session s;
		struct vu_config c = {.offset = tries[i][0], .size = tries[i][1]};
		struct vu_msg m;

		if (greet(r, &s, NULL) < 0)
			return broke(r, "greeting");
		vu_put(&m, VU_GET_CONFIG, &c, HEAD + tries[i][2]);
		if (link_say(&s.l, &m, &r->e) < 0)
			return broke(r, "GET_CONFIG");
		switch (link_answer_raw(&s.l, &m, &r->e)) {
		case -ETIMEDOUT:
			return fail(r, "GET_CONFIG of %u bytes from %u is not answered at all", tries[i][1], tries[i][0]);
		case 0:
			break;
		default:
			closed++;
		}
	}
	return pass(r, "%zu reads beyond the end: answered or refused, %u by closing", ARRAY_LEN(tries), closed);
}

static const struct test table[] = {
    {"config.read", NEED_CONFIG, "GET_CONFIG of what a driver reads", "vhost-user, GET_CONFIG",
     "The back-end replies with the contents of the virtio device's configuration space.",
     "refuses the device: the guest's driver would find zeroes", whole},
    {"config.sizes", NEED_CONFIG, "GET_CONFIG of 1 to 256 bytes", "vhost-user, GET_CONFIG",
     "Payload size of the reply must match the request's; a zero length of the payload says no.",
     "takes a shorter answer or one that contradicts itself for the end of the connection", sizes},
    {"config.offsets", NEED_CONFIG, "GET_CONFIG from the middle", "vhost-user, Virtio device config space",
     "offset and size say which part is meant.", "reads from 0 only", offsets},
    {"config.beyond", NEED_CONFIG, "GET_CONFIG beyond the end, with lengths that wrap or contradict the message",
     "vhost-user, GET_CONFIG", "Zero-length payload indicates an error to the front-end.", "never does that", beyond},
};
const struct tests config_tests = {table, ARRAY_LEN(table)};
