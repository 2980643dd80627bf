#include "dev/dimm.h"

#include "bulkhead/abi/platform.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ACPI 6.5, 6.3.5: the first argument of _OST is what it is about (a notification's value, or an ejection that began in the
 * guest), the second is how that went. */
enum {
	OST_INSERTION = 0x01,
	OST_EJECTION = 0x03,
	OST_OWN_EJECTION = 0x103,
};
enum {
	OST_SUCCESS = 0x00,
	OST_INSERTION_IN_PROGRESS = 0x80, /* of an insertion */
	OST_EJECTION_IN_PROGRESS = 0x84,  /* of an ejection */
};

static const struct {
	uint32_t status;
	const char *of_insertion, *of_ejection;
} meaning[] = {
    {0x01, "failure without a reason", "failure without a reason"},
    {0x02, "unknown notification", "unknown notification"},
    {0x80, "in progress", "ejection is not supported"},
    {0x81, "no driver could be loaded", "in use by an application"},
    {0x82, "insertion is not supported", "busy"},
    {0x83, "unknown", "something that depends on it is busy"},
    {0x84, "unknown", "in progress"},
};

void dimms_init(struct dimms *d, uint64_t start, uint64_t block, uint32_t node)
{
	*d = (struct dimms){.start = start, .block = block, .node = node};
}

static bool visible(const struct dimm *s)
{
	return s->state == DIMM_PRESENT || s->state == DIMM_ASKED;
}

/* --- what the guest does --- */

static void eject(struct dimms *d, struct dimm *s)
{
	if (!visible(s)) {
		d->nonsense++;
		return;
	}
	if (s->state == DIMM_PRESENT) {
		uint64_t given = dimms_given(d);

		/* Nobody puts it back. What is being added or asked for beside it goes on. */
		d->own_ejects += s->n;
		if (given <= d->wanted)
			d->wanted -= s->n;
		else if (given - s->n < d->wanted)
			d->wanted = given - s->n;
	}
	s->state = DIMM_LEAVING;
	s->insert_event = s->remove_event = false;
	d->notify = d->changed = true;
}

static void seen(struct dimms *d, bool *event)
{
	if (!*event)
		d->nonsense++;
	*event = false;
}

static void control(struct dimms *d, struct dimm *s, uint8_t bits)
{
	if (bits & PLAT_DIMM_INSERTED)
		seen(d, &s->insert_event);
	if (bits & PLAT_DIMM_REMOVE)
		seen(d, &s->remove_event);
	if (bits & PLAT_DIMM_EJECT)
		eject(d, s);
	if (!bits || bits & ~(PLAT_DIMM_INSERTED | PLAT_DIMM_REMOVE | PLAT_DIMM_EJECT))
		d->nonsense++;
}

/* Guests report at will, also about slots that have become empty. A slot is changed only by what it waits for. */
static void report(struct dimms *d, struct dimm *s, uint32_t event, uint32_t status)
{
	d->ost_reports++;
	s->event = event;
	s->status = status;
	if (event == OST_INSERTION && visible(s) && !s->answered && status != OST_INSERTION_IN_PROGRESS) {
		s->answered = true;
		s->taken = status == OST_SUCCESS;
		d->notify = d->changed = true;
	}
	/* It says yes by ejecting. */
	if ((event == OST_EJECTION || event == OST_OWN_EJECTION) && s->state == DIMM_ASKED && status != OST_SUCCESS &&
	    status != OST_EJECTION_IN_PROGRESS) {
		s->state = DIMM_PRESENT;
		s->remove_event = false;
		s->kept = true;
		d->notify = d->changed = true;
	}
}

static uint32_t next(struct dimms *d)
{
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		if (d->slot[i].insert_event || d->slot[i].remove_event) {
			d->select = i;
			return i;
		}
	}
	return UINT32_MAX;
}

static uint8_t status(const struct dimm *s)
{
	return (uint8_t)((visible(s) ? PLAT_DIMM_ENABLED : 0) | (s->insert_event ? PLAT_DIMM_INSERTED : 0) |
			 (s->remove_event ? PLAT_DIMM_REMOVE : 0));
}

/* A guest that asks how long a slot is before it has seen that it came has found it on its own, while it booted. To tell it then
 * would be wrong: it would answer that it cannot have it twice. */
static void found(struct dimms *d, struct dimm *s)
{
	if (!s->insert_event)
		return;
	s->insert_event = false;
	s->taken = s->answered = true;
	d->notify = d->changed = true;
}

static void read_register(struct dimms *d, struct dimm *s, uint64_t offset, uint8_t *data, unsigned len)
{
	uint64_t base = visible(s) ? d->start + s->first * d->block : 0, bytes = visible(s) ? s->n * d->block : 0;
	uint32_t v;

	if (offset == PLAT_DIMM_STATUS && len == 1) {
		data[0] = status(s);
		return;
	}
	if (len != 4) {
		d->nonsense++;
		return;
	}
	switch (offset) {
	case PLAT_DIMM_BASE:
		v = (uint32_t)base;
		break;
	case PLAT_DIMM_BASE + 4:
		v = (uint32_t)(base >> 32);
		break;
	case PLAT_DIMM_LENGTH:
		found(d, s);
		v = (uint32_t)bytes;
		break;
	case PLAT_DIMM_LENGTH + 4:
		v = (uint32_t)(bytes >> 32);
		break;
	case PLAT_DIMM_NODE:
		v = d->node;
		break;
	default:
		d->nonsense++;
		return;
	}
	memcpy(data, &v, sizeof(v));
}

static void write_register(struct dimms *d, struct dimm *s, uint64_t offset, const uint8_t *data, unsigned len)
{
	uint32_t v;

	if (offset == PLAT_DIMM_STATUS && len == 1) {
		control(d, s, data[0]);
		return;
	}
	if (len != 4) {
		d->nonsense++;
		return;
	}
	memcpy(&v, data, sizeof(v));
	switch (offset) {
	case PLAT_DIMM_OST_EVENT:
		d->ost_event = v;
		break;
	case PLAT_DIMM_OST_STATUS:
		report(d, s, d->ost_event, v);
		break;
	default:
		d->nonsense++;
		break;
	}
}

void dimms_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct dimms *d = dev;
	uint32_t v;

	if (!d->looked)
		d->looked = d->notify = d->changed = true;
	if (offset == PLAT_DIMM_SELECT && write && len == 4) {
		memcpy(&d->select, data, sizeof(d->select));
		return;
	}
	if (offset == PLAT_DIMM_NEXT && !write && len == 4) {
		v = next(d);
		memcpy(data, &v, sizeof(v));
		return;
	}
	/* Reads of a slot that does not exist are all ones, and show no enabled one. */
	if (d->select >= LIM_DIMMS) {
		d->nonsense++;
		if (!write && offset == PLAT_DIMM_STATUS)
			data[0] = 0;
		return;
	}
	if (write)
		write_register(d, &d->slot[d->select], offset, data, len);
	else
		read_register(d, &d->slot[d->select], offset, data, len);
}

/* --- what is wanted of it --- */

/* The newest present slot that is older than `below`. */
static struct dimm *newest(struct dimms *d, uint32_t below)
{
	struct dimm *found = NULL;

	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		struct dimm *s = &d->slot[i];

		if (visible(s) && s->order < below && (!found || s->order > found->order))
			found = s;
	}
	return found;
}

static bool ask_back(struct dimms *d, uint64_t blocks)
{
	uint32_t last = UINT32_MAX;
	uint64_t sum = 0;
	struct dimm *s;

	while (sum < blocks && (s = newest(d, last)) != NULL) {
		sum += s->n;
		last = s->order;
	}
	if (sum != blocks)
		return false;
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		s = &d->slot[i];
		if (!visible(s) || s->order < last)
			continue;
		s->state = DIMM_ASKED;
		s->remove_event = true; /* once more, if it was asked before and has not answered */
	}
	return true;
}

bool dimms_request(struct dimms *d, uint64_t wanted)
{
	uint64_t given;

	dimms_unstage(d);
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		struct dimm *s = &d->slot[i];

		s->kept = s->stuck = false;
		if (s->state == DIMM_ASKED && s->remove_event) {
			s->state = DIMM_PRESENT;
			s->remove_event = false;
		}
	}
	d->own_ejects = 0;
	d->wanted = wanted;
	d->changed = true;
	given = dimms_given(d);
	return wanted >= given || ask_back(d, given - wanted);
}

uint64_t dimms_given(const struct dimms *d)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < LIM_DIMMS; i++)
		if (d->slot[i].state == DIMM_STAGED || visible(&d->slot[i]))
			n += d->slot[i].n;
	return n;
}

uint64_t dimms_there(const struct dimms *d)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < LIM_DIMMS; i++)
		n += d->slot[i].there;
	return n;
}

uint64_t dimms_idle(const struct dimms *d)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < LIM_DIMMS; i++)
		if (d->slot[i].state == DIMM_STAGED || (visible(&d->slot[i]) && !d->slot[i].taken))
			n += d->slot[i].there;
	return n;
}

bool dimms_stage(struct dimms *d, uint64_t first, uint64_t n)
{
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		if (d->slot[i].state != DIMM_EMPTY)
			continue;
		d->slot[i] = (struct dimm){.state = DIMM_STAGED, .order = d->orders++, .first = first, .n = n};
		return true;
	}
	return false;
}

bool dimms_unfinished(const struct dimms *d, uint32_t *ret)
{
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		if (d->slot[i].state == DIMM_STAGED && d->slot[i].there < d->slot[i].n) {
			*ret = i;
			return true;
		}
	}
	return false;
}

void dimms_filled(struct dimms *d, uint32_t slot, uint64_t n)
{
	d->slot[slot].there += n;
	d->changed = true;
}

void dimms_unstage(struct dimms *d)
{
	for (uint32_t i = 0; i < LIM_DIMMS; i++)
		if (d->slot[i].state == DIMM_STAGED)
			d->slot[i].state = DIMM_LEAVING;
}

bool dimms_show(struct dimms *d)
{
	bool any = false;

	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		struct dimm *s = &d->slot[i];

		if (s->state != DIMM_STAGED)
			continue;
		s->state = DIMM_PRESENT;
		s->insert_event = d->looked;
		s->taken = s->answered = !d->looked;
		any = d->changed = true;
	}
	return any && d->looked;
}

bool dimms_leaving(const struct dimms *d, uint32_t *ret)
{
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		if (d->slot[i].state == DIMM_LEAVING && !d->slot[i].stuck) {
			*ret = i;
			return true;
		}
	}
	return false;
}

void dimms_left(struct dimms *d, uint32_t slot, bool gone)
{
	struct dimm *s = &d->slot[slot];

	/* What _OST has said stays: the last words about an ejection come after it. */
	if (gone)
		*s = (struct dimm){.event = s->event, .status = s->status};
	else
		s->stuck = true;
	d->changed = true;
}

bool dimms_pending(const struct dimms *d)
{
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		const struct dimm *s = &d->slot[i];

		if (s->state == DIMM_STAGED || s->state == DIMM_ASKED || (s->state == DIMM_LEAVING && !s->stuck) ||
		    (s->state == DIMM_PRESENT && !s->answered))
			return true;
	}
	return false;
}

static const char *word(uint32_t status, bool ejection)
{
	for (size_t i = 0; i < ARRAY_LEN(meaning); i++)
		if (meaning[i].status == status)
			return ejection ? meaning[i].of_ejection : meaning[i].of_insertion;
	return "unknown";
}

void dimms_explain(const struct dimms *d, char *text, size_t cap)
{
	uint32_t kept = 0, refused = 0, example = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < LIM_DIMMS; i++) {
		const struct dimm *s = &d->slot[i];
		bool no = visible(s) && s->answered && !s->taken;

		kept += s->kept;
		refused += no && !s->kept;
		if (s->kept || (no && !kept))
			example = i;
	}
	if (kept || refused)
		snprintf(text, cap, "the guest %s %u memory slot%s; of slot %" PRIu32 " it says: %s (_OST %#" PRIx32 ")",
			 kept ? "keeps" : "did not take", kept ? kept : refused, (kept ? kept : refused) > 1 ? "s" : "", example,
			 word(d->slot[example].status, kept), d->slot[example].status);
	else if (d->own_ejects)
		snprintf(text, cap, "the guest has ejected %" PRIu64 " MiB by itself", d->own_ejects * d->block / MiB);
}

size_t dimms_list(const struct dimms *d, uint32_t *ret_blocks)
{
	uint32_t last = 0;
	size_t n = 0;

	for (;;) {
		const struct dimm *found = NULL;

		for (uint32_t i = 0; i < LIM_DIMMS; i++) {
			const struct dimm *s = &d->slot[i];

			if (visible(s) && (n == 0 || s->order > last) && (!found || s->order < found->order))
				found = s;
		}
		if (!found)
			return n;
		last = found->order;
		ret_blocks[n++] = (uint32_t)found->n;
	}
}
