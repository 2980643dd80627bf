/* Memory: told anew, added, taken away under a running device, and described wrongly. */
#include "run.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define THIRD (2 * MEM_REGION) /* where the third region begins in the mapping */

static int add_or_remove(struct session *s, uint32_t request, const struct vu_region *g, int fd, struct err *e)
{
	struct vu_msg m;

	vu_put_mem_reg(&m, request, g, fd);
	return link_tell(&s->l, &m, e);
}

static enum verdict again(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct vu_msg m;
	int fds[MEM_REGIONS];

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	for (unsigned i = 0; i < MEM_REGIONS; i++)
		fds[i] = s.mem.fd;
	for (unsigned round = 0; round < 6; round++) {
		unsigned n = round % 2 ? 2 : 3;

		vu_put_mem_table(&m, s.mem.region, fds, n);
		if (link_tell(&s.l, &m, &r->e) < 0 || link_barrier(&s.l, &r->e) < 0)
			return broke(r, "SET_MEM_TABLE while rings run");
		s.slots = n == 3 ? THIRD : MEM_REGION;
		if (r->kind && session_io(&s, 4, false, &r->e) < 0)
			return broke(r, n == 3 ? "requests in the new region" : "requests after the region was taken away");
	}
	return pass(r, "with and without a third region, six times");
}

static enum verdict add_remove(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	for (unsigned round = 0; round < 20; round++) {
		if (add_or_remove(&s, VU_ADD_MEM_REG, &s.mem.region[2], s.mem.fd, &r->e) < 0 || link_barrier(&s.l, &r->e) < 0)
			return broke(r, "ADD_MEM_REG while rings run");
		s.slots = THIRD;
		if (r->kind && session_io(&s, 4, false, &r->e) < 0)
			return broke(r, "requests in the region that was added");
		s.slots = MEM_REGION;
		/* The descriptor comes along for some front-ends and not for others. */
		if (add_or_remove(&s, VU_REM_MEM_REG, &s.mem.region[2], round % 2 ? s.mem.fd : -1, &r->e) < 0 ||
		    link_barrier(&s.l, &r->e) < 0)
			return broke(r, round % 2 ? "REM_MEM_REG with a descriptor" : "REM_MEM_REG without a descriptor");
		if (r->kind && session_io(&s, 4, false, &r->e) < 0)
			return broke(r, "requests in the other regions after REM_MEM_REG");
	}
	return pass(r, "20 times under requests");
}

static enum verdict removed_is_gone(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct buf b[REQUEST_BUFS];
	unsigned n;

	if (open_session(r, &s, NULL) < 0 || add_or_remove(&s, VU_ADD_MEM_REG, &s.mem.region[2], s.mem.fd, &r->e) < 0 ||
	    add_or_remove(&s, VU_REM_MEM_REG, &s.mem.region[2], -1, &r->e) < 0 || link_barrier(&s.l, &r->e) < 0)
		return broke(r, "ADD_MEM_REG and REM_MEM_REG");
	s.slots = THIRD;
	n = r->kind->request(&s, 0, b);
	if (!b[n - 1].write)
		return not_applicable(r, "a request of this type writes nothing into memory");
	ring_add(session_io_ring(&s), b, n, 0);
	memset(session_slot(&s, 0) + 0x1000, 0xee, 64);
	ring_kick(session_io_ring(&s));
	ring_wait(session_io_ring(&s), 1, 300, &r->e);
	for (unsigned i = 0; i < 64; i++)
		if (session_slot(&s, 0)[0x1000 + i] != 0xee)
			return fail(r, "wrote into a region after it was removed and that was acknowledged");
	return pass(r, "not touched any more");
}

static enum verdict rem_in_use(struct run *r)
{
	CLEANUP(session_close) struct session s;
	enum reaction a;
	struct vu_msg m;
	uint16_t base;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	for (unsigned i = 0; i < s.n_rings; i++)
		if (session_stop(&s, &s.ring[i], &base, &r->e) < 0)
			return broke(r, "GET_VRING_BASE");
	if (add_or_remove(&s, VU_REM_MEM_REG, &s.mem.region[0], -1, &r->e) < 0 || link_barrier(&s.l, &r->e) < 0)
		return broke(r, "removing the region with the rings while they are stopped");
	/* Now its addresses are in no region. */
	vu_put_vring_fd(&m, VU_SET_VRING_KICK, session_io_ring(&s)->queue, session_io_ring(&s)->kick);
	if (session_set_addr(&s, session_io_ring(&s), &r->e) == 0)
		a = provoke(r, &s, &m);
	else
		a = r->e.code == -EREMOTEIO ? REFUSED : CLOSED;
	ring_kick(session_io_ring(&s));
	if (a == ANSWERS && link_barrier(&s.l, &r->e) == 0 && s.l.acks)
		return warn(r, "removed; a ring in what was removed is acknowledged all the same");
	return pass(r, "removed; told to start a ring there it %s", reaction_word(a));
}

static enum verdict too_many(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct {
		struct vu_hdr h;
		uint32_t n, padding;
		struct vu_region g[64];
	} __attribute__((packed)) t = {.n = 64};
	int fds[64];
	int rc;

	if (greet(r, &s, NULL) < 0 || memory_make(&s.mem, &r->e) < 0)
		return broke(r, "greeting");
	for (unsigned i = 0; i < 64; i++) {
		t.g[i] = (struct vu_region){i * 16 * MiB, 64 * KiB, 0x700000000000 + i * 16 * MiB, 0};
		fds[i] = s.mem.fd;
	}
	t.h = (struct vu_hdr){VU_SET_MEM_TABLE, VU_VERSION | (s.l.acks ? VU_NEED_REPLY : 0), sizeof(t) - sizeof(t.h)};
	rc = link_send(&s.l, &t, sizeof(t), fds, 64, &r->e);
	if (rc == 0 && s.l.acks) {
		struct vu_msg m;

		rc = link_answer(&s.l, VU_SET_MEM_TABLE, &m, &r->e);
		if (rc == 0 && vu_get_u64(&m) == 0)
			return warn(r, "acknowledged a table of 64 regions");
	}
	return rc == -ETIMEDOUT ? fail(r, "a table of 64 regions: %s", r->e.text) : pass(r, "refused");
}

static enum verdict too_many_slots(struct run *r)
{
	CLEANUP(session_close) struct session s;
	uint64_t max;
	int rc = 0;

	if (greet(r, &s, NULL) < 0 || memory_make(&s.mem, &r->e) < 0 || link_ask_u64(&s.l, VU_GET_MAX_MEM_SLOTS, &max, &r->e) < 0)
		return broke(r, "greeting");
	if (max > 1024)
		return not_applicable(r, "%" PRIu64 " regions are too many to try", max);
	for (uint64_t i = 0; i <= max; i++) {
		struct vu_region g = {i * 16 * MiB, 64 * KiB, 0x700000000000 + i * 16 * MiB, 0};

		rc = add_or_remove(&s, VU_ADD_MEM_REG, &g, s.mem.fd, &r->e);
		if (rc == 0 && !s.l.acks)
			rc = link_barrier(&s.l, &r->e);
		if (rc < 0 && i < max)
			return fail(r, "GET_MAX_MEM_SLOTS says %" PRIu64 ", region %" PRIu64 " is not taken: %s", max, i + 1,
				    r->e.text);
	}
	if (rc == 0 && s.l.acks)
		return warn(r, "took %" PRIu64 " regions, GET_MAX_MEM_SLOTS says %" PRIu64, max + 1, max);
	return rc == -ETIMEDOUT ? broke(r, "one region too many") : pass(r, "takes %" PRIu64 ", refuses one more", max);
}

/* One wrong table for each row; the good region 0 is in all of them. */
static const struct wrong {
	const char *what;
	struct vu_region g;
	bool harmless; /* taking it is no fault */
} wrongs[] = {
    {"overlap of guest addresses", {MEM_REGION / 2, MEM_REGION, 0x600000000000, MEM_REGION}, false},
    {"overlap of user addresses", {4 * GiB, MEM_REGION, 0x700000000000 + MEM_REGION / 2, MEM_REGION}, false},
    {"guest addresses that wrap", {UINT64_MAX - 0xfff, MEM_REGION, 0x600000000000, MEM_REGION}, false},
    {"user addresses that wrap", {4 * GiB, MEM_REGION, UINT64_MAX - 0xfff, MEM_REGION}, false},
    {"an offset with which the size wraps", {4 * GiB, MEM_REGION, 0x600000000000, UINT64_MAX - 0xfff}, false},
    {"a size of 0", {4 * GiB, 0, 0x600000000000, MEM_REGION}, false},
    {"a size of 2^63", {4 * GiB, UINT64_C(1) << 63, 0x600000000000, MEM_REGION}, false},
    {"a size of no whole pages", {4 * GiB, 0x1801, 0x600000000000, MEM_REGION}, true},
    {"an offset of no whole pages", {4 * GiB, 0x10000, 0x600000000000, MEM_REGION + 0x200}, true},
};

static enum verdict wrong_tables(struct run *r)
{
	char taken[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LEN(wrongs); i++)
		for (unsigned by_add = 0; by_add < (r->protocol & BIT(VU_PF_CONFIGURE_MEM_SLOTS) ? 2u : 1u); by_add++) {
			CLEANUP(session_close) struct session s;
			struct vu_region g[2];
			struct vu_msg m;
			enum reaction a;
			int fds[2];

			if (greet(r, &s, NULL) < 0 || memory_make(&s.mem, &r->e) < 0)
				return lost(r);
			trying(r, "%s%s", wrongs[i].what, by_add ? " by ADD_MEM_REG" : "");
			g[0] = s.mem.region[0];
			g[1] = wrongs[i].g;
			fds[0] = fds[1] = s.mem.fd;
			if (by_add) {
				vu_put_mem_table(&m, g, fds, 1);
				if (link_tell(&s.l, &m, &r->e) < 0)
					return broke(r, "SET_MEM_TABLE of one region");
				vu_put_mem_reg(&m, VU_ADD_MEM_REG, &g[1], s.mem.fd);
			} else {
				vu_put_mem_table(&m, g, fds, 2);
			}
			a = provoke(r, &s, &m);
			if (a == SILENT)
				return fail(r, "%s: went silent", wrongs[i].what);
			if (a == ANSWERS && s.l.acks && !wrongs[i].harmless && used < sizeof(taken) - 40)
				used += (size_t)snprintf(taken + used, sizeof(taken) - used, "%s%s%s", used ? ", " : "",
							 wrongs[i].what, by_add ? " (added)" : "");
		}
	if (used)
		return warn(r, "acknowledged: %s", taken);
	return pass(r, "%zu tables: none that makes no sense was taken", ARRAY_LEN(wrongs));
}

static enum verdict short_fd(struct run *r)
{
	CLEANUP(session_close) struct session s;
	CLEANUP(fd_cleanup) int fd = memfd_create("backend-test-short", MFD_CLOEXEC);
	struct vu_region g[2];
	struct vu_msg m;
	int fds[2], rc;

	if (fd < 0 || ftruncate(fd, 0x1000) < 0)
		return not_applicable(r, "no memfd: %s", strerror(errno));
	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	g[0] = s.mem.region[0];
	g[1] = (struct vu_region){s.mem.region[1].guest_addr, MEM_REGION, s.mem.region[1].user_addr, 0};
	fds[0] = s.mem.fd;
	fds[1] = fd;
	vu_put_mem_table(&m, g, fds, 2);
	rc = link_tell(&s.l, &m, &r->e);
	if (rc == 0)
		rc = link_barrier(&s.l, &r->e);
	if (rc < 0)
		return rc == -ETIMEDOUT ? broke(r, "SET_MEM_TABLE") : pass(r, "refused at once");
	/* Buffers beyond the file's end: whoever touches them gets SIGBUS. */
	s.slots = MEM_REGION + 0x100000;
	session_submit(&s, 2, false);
	ring_wait(session_io_ring(&s), 2, 500, &r->e);
	rc = link_barrier(&s.l, &r->e);
	return rc == -ETIMEDOUT ? broke(r, "buffers beyond the end of a region's file")
				: pass(r, "took the table and survived requests in it");
}

static enum verdict missing_fds(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct vu_msg m;
	enum reaction a;
	int fds[2];

	for (unsigned n = 0; n < 2; n++) {
		if (greet(r, &s, NULL) < 0 || memory_make(&s.mem, &r->e) < 0)
			return broke(r, "greeting");
		fds[0] = fds[1] = s.mem.fd;
		vu_put_mem_table(&m, s.mem.region, fds, 2);
		m.n_fds = n;
		a = provoke(r, &s, &m);
		if (a == SILENT)
			return fail(r, "a table of 2 regions with %u descriptors: went silent", n);
		if (a == ANSWERS && s.l.acks)
			return fail(r, "acknowledged a table of 2 regions with %u descriptors", n);
		session_close(&s);
	}
	return pass(r, "%s", reaction_word(a));
}

static enum verdict rem_unknown(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct vu_msg m;
	enum reaction a;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	vu_put_mem_reg(&m, VU_REM_MEM_REG, &s.mem.region[2], -1);
	a = provoke(r, &s, &m);
	if (a == SILENT)
		return fail(r, "went silent");
	if (a == ANSWERS && s.l.acks)
		return warn(r, "acknowledged");
	return pass(r, "%s", reaction_word(a));
}

#define TABLE_SPEC "vhost-user, SET_MEM_TABLE; Memory regions description"
#define SLOTS_SPEC "vhost-user, ADD_MEM_REG; REM_MEM_REG"
#define SANE                                                                                                                     \
	"A region is guest address, size, user address and the offset in its descriptor; a reader must be able to trust none."

static const struct test table[] = {
    {"memory.again", 0, "SET_MEM_TABLE with and without a third region while rings run and requests are done", TABLE_SPEC,
     "SET_MEM_TABLE may be sent at any time; the back-end maps the new table and forgets the old.",
     "sends a table once per connection without CONFIGURE_MEM_SLOTS, again when memory grows", again},
    {"memory.add_remove", NEED_SLOTS, "ADD_MEM_REG and REM_MEM_REG 20 times while rings run and requests are done", SLOTS_SPEC,
     "The region added becomes usable at once; REM_MEM_REG names it by addresses and size, a descriptor that comes along is "
     "closed.",
     "adds memory that grows and removes what shrinks", add_remove},
    {"memory.removed_is_gone", NEED_SLOTS | NEED_IO | NEED_ACK | THEN_IO, "a request into a region that was removed", SLOTS_SPEC,
     "The back-end must unmap the region.", "gives removed pages back to the host, somebody else may have them next",
     removed_is_gone},
    {"memory.rem_in_use", NEED_SLOTS | THEN_IO, "REM_MEM_REG of the region with the stopped rings, then a start", SLOTS_SPEC,
     "The front-end removes only what no ring uses; a ring's addresses must be in a region when it starts.",
     "never starts a ring outside of memory", rem_in_use},
    {"memory.rem_unknown", NEED_SLOTS | THEN_IO, "REM_MEM_REG of a region that is not there", SLOTS_SPEC,
     "With REPLY_ACK an operation that failed is answered with non-zero.", "never does that", rem_unknown},
    {"memory.too_many", THEN_IO, "SET_MEM_TABLE with 64 regions and 64 descriptors", TABLE_SPEC,
     "At most 8 regions (VHOST_MEMORY_BASELINE_NREGIONS) in a table.", "sends 8 at most", too_many},
    {"memory.too_many_slots", NEED_SLOTS | THEN_IO, "one ADD_MEM_REG more than GET_MAX_MEM_SLOTS",
     "vhost-user, GET_MAX_MEM_SLOTS", "The front-end must not add more than that.",
     "never does that; a daemon that takes fewer than it says is lost when memory grows", too_many_slots},
    {"memory.wrong", THEN_IO, "regions that overlap, wrap, are empty or of no whole pages", TABLE_SPEC, SANE,
     "never sends such regions; a daemon that takes them can be made to read its own memory by another front-end", wrong_tables},
    {"memory.short_fd", NEED_IO | THEN_IO, "a region longer than its file, and buffers beyond the file's end", TABLE_SPEC, SANE,
     "never does that: zones are sealed; a daemon that several guests share is ended by one of them (SIGBUS)", short_fd},
    {"memory.missing_fds", THEN_IO, "SET_MEM_TABLE with fewer descriptors than regions", TABLE_SPEC,
     "For each region a descriptor is in the ancillary data.", "never does that", missing_fds},
};
const struct tests memory_tests = {table, ARRAY_LEN(table)};
