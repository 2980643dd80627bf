/* Requests of a type of device, beyond the harmless one. */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <string.h>

#define SECTOR   512u
#define DATA_MAX (64 * KiB)
/* In the third region's stead: a table of two regions leaves the second half of region 1 free. */
#define HEAD_AT   (MEM_REGION + 0x200000)
#define STATUS_AT (HEAD_AT + 0x100)
#define DATA_AT   (HEAD_AT + 0x10000)

static bool offers(const struct session *s, unsigned bit)
{
	return s->offered & BIT(bit);
}

static uint8_t *data_of(struct session *s)
{
	return s->mem.map + DATA_AT;
}

/* One request of a disk; returns its status, or a negative errno. */
static int blk(struct run *r, struct session *s, uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_blk_outhdr h = {.type = type, .sector = sector};
	struct buf b[3] = {{memory_gpa(&s->mem, HEAD_AT), sizeof(h), false}};
	unsigned n = 1;

	memcpy(s->mem.map + HEAD_AT, &h, sizeof(h));
	s->mem.map[STATUS_AT] = 0xee;
	if (len)
		b[n++] = (struct buf){memory_gpa(&s->mem, DATA_AT), len, type != VIRTIO_BLK_T_OUT};
	b[n++] = (struct buf){memory_gpa(&s->mem, STATUS_AT), 1, true};
	ring_add(session_io_ring(s), b, n, 0);
	ring_kick(session_io_ring(s));
	if (ring_wait(session_io_ring(s), 1, r->ms, &r->e) < 0)
		return r->e.code;
	if (s->mem.map[STATUS_AT] == 0xee)
		return err_set(&r->e, -EPROTO, "a request of type %u came back without a status", type);
	return s->mem.map[STATUS_AT];
}

static int capacity(struct run *r, struct session *s, uint64_t *ret)
{
	struct vu_msg m, answer;
	uint8_t data[VU_CONFIG_MAX];

	vu_put_get_config(&m, 60);
	if (link_ask(&s->l, &m, &answer, &r->e) < 0)
		return r->e.code;
	if (vu_get_config(&answer, data) < 8)
		return err_set(&r->e, -EPROTO, "it has no configuration");
	memcpy(ret, data, sizeof(*ret));
	return 0;
}

static enum verdict read_twice(struct run *r)
{
	CLEANUP(session_close) struct session s;
	static uint8_t first[DATA_MAX];
	uint64_t sectors = 0;
	uint32_t len;

	if (open_session(r, &s, NULL) < 0 || capacity(r, &s, &sectors) < 0)
		return broke(r, "setting the device up");
	if (sectors == 0)
		return not_applicable(r, "the disk has no sectors");
	len = sectors < DATA_MAX / SECTOR ? (uint32_t)sectors * SECTOR : (uint32_t)DATA_MAX;
	for (unsigned i = 0; i < 2; i++) {
		memset(data_of(&s), i ? 0xaa : 0x55, DATA_MAX);
		if (blk(r, &s, VIRTIO_BLK_T_IN, 0, len) != VIRTIO_BLK_S_OK)
			return fail(r, "a read of %u bytes: status %u %s", len, s.mem.map[STATUS_AT], r->e.text);
		if (i && memcmp(first, data_of(&s), len) != 0)
			return fail(r, "two reads of the first %u bytes differ", len);
		memcpy(first, data_of(&s), len);
		if (len < DATA_MAX && data_of(&s)[len] != (i ? 0xaa : 0x55))
			return fail(r, "wrote beyond the end of a request's buffer");
	}
	return pass(r, "%u bytes, the same twice", len);
}

static enum verdict beyond(struct run *r)
{
	CLEANUP(session_close) struct session s;
	uint64_t sectors = 0;
	int st;

	if (open_session(r, &s, NULL) < 0 || capacity(r, &s, &sectors) < 0)
		return broke(r, "setting the device up");
	for (unsigned i = 0; i < 3; i++) {
		static const uint64_t from[] = {0, UINT64_MAX / SECTOR, UINT64_MAX};

		st = blk(r, &s, VIRTIO_BLK_T_IN, from[i] ? from[i] : sectors, SECTOR);
		if (st < 0)
			return broke(r, "a read beyond the end");
		if (st == VIRTIO_BLK_S_OK)
			return fail(r, "a read beyond the end of the disk is answered as done");
	}
	st = blk(r, &s, VIRTIO_BLK_T_IN, 0, SECTOR + 1);
	if (st < 0)
		return broke(r, "a read of 513 bytes");
	if (st == VIRTIO_BLK_S_OK)
		return warn(r, "a read of 513 bytes is answered as done");
	return pass(r, "answered with status %d", st);
}

static enum verdict unknown(struct run *r)
{
	CLEANUP(session_close) struct session s;
	int st;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	st = blk(r, &s, 0x7fffffff, 0, 0);
	if (st < 0)
		return broke(r, "a request of type 0x7fffffff");
	if (st == VIRTIO_BLK_S_OK)
		return fail(r, "a request of type 0x7fffffff is answered as done");
	if (st != VIRTIO_BLK_S_UNSUPP)
		return warn(r, "status %d, UNSUPP (2) is meant for that", st);
	return session_io(&s, 1, false, &r->e) < 0 ? broke(r, "a read afterwards") : pass(r, "UNSUPP");
}

static enum verdict flush(struct run *r)
{
	CLEANUP(session_close) struct session s;
	int st;

	if (open_session(r, &s, &(struct want){.features = BIT(VIRTIO_BLK_F_FLUSH)}) < 0)
		return broke(r, "setting the device up");
	if (!offers(&s, VIRTIO_BLK_F_FLUSH))
		return not_applicable(r, "it does not offer FLUSH");
	st = blk(r, &s, VIRTIO_BLK_T_FLUSH, 0, 0);
	if (st < 0)
		return broke(r, "FLUSH");
	return st == VIRTIO_BLK_S_OK ? pass(r, "done") : fail(r, "offers FLUSH and answers it with status %d", st);
}

static enum verdict writes(struct run *r)
{
	CLEANUP(session_close) struct session s;
	static uint8_t saved[DATA_MAX], pattern[DATA_MAX];
	const uint32_t len = 8 * SECTOR;
	enum verdict v = PASS;
	uint64_t sectors = 0;

	if (open_session(r, &s, NULL) < 0 || capacity(r, &s, &sectors) < 0)
		return broke(r, "setting the device up");
	if (sectors < len / SECTOR)
		return not_applicable(r, "the disk has %" PRIu64 " sectors", sectors);
	if (blk(r, &s, VIRTIO_BLK_T_IN, 0, len) != VIRTIO_BLK_S_OK)
		return broke(r, "reading what is there");
	memcpy(saved, data_of(&s), len);
	for (uint32_t i = 0; i < len; i++)
		pattern[i] = data_of(&s)[i] = (uint8_t)(saved[i] ^ (i * 31 + 7));
	if (offers(&s, VIRTIO_BLK_F_RO)) {
		if (blk(r, &s, VIRTIO_BLK_T_OUT, 0, len) == VIRTIO_BLK_S_OK)
			v = fail(r, "a disk that says it is read-only takes a write");
		else
			return pass(r, "read-only: refused");
	} else if (blk(r, &s, VIRTIO_BLK_T_OUT, 0, len) != VIRTIO_BLK_S_OK) {
		return fail(r, "a write: status %u", s.mem.map[STATUS_AT]);
	}
	memset(data_of(&s), 0, len);
	if (blk(r, &s, VIRTIO_BLK_T_IN, 0, len) != VIRTIO_BLK_S_OK)
		v = broke(r, "reading what was written");
	else if (v == PASS && memcmp(pattern, data_of(&s), len) != 0)
		v = fail(r, "reads something else than was written");
	memcpy(data_of(&s), saved, len);
	if (blk(r, &s, VIRTIO_BLK_T_OUT, 0, len) != VIRTIO_BLK_S_OK)
		return broke(r, "putting back what was there");
	return v == PASS ? pass(r, "%u bytes written, read, put back", len) : v;
}

static enum verdict fuse(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	if (session_io(&s, 16, false, &r->e) < 0)
		return broke(r, "16 FUSE_STATFS at once");
	return pass(r, "FUSE_INIT, then FUSE_STATFS 16 times at once");
}

static enum verdict loopback(struct run *r)
{
	CLEANUP(session_close) struct session s;
	struct ring *rx;
	struct buf b = {.len = 2048, .write = true};
	uint8_t *frame;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	rx = &s.ring[0];
	b.gpa = memory_gpa(&s.mem, DATA_AT);
	for (unsigned i = 0; i < 4; i++, b.gpa += 2048)
		ring_add(rx, &b, 1, 0);
	ring_kick(rx);
	if (session_io(&s, 4, false, &r->e) < 0)
		return broke(r, "sending");
	if (ring_wait(rx, 1, 1000, &r->e) < 0)
		return r->e.code == -ETIMEDOUT ? pass(r, "4 frames sent; none came back, so it is no loop")
					       : broke(r, "receiving");
	frame = data_of(&s) + 12;
	if (frame[12] != 0x88 || frame[13] != 0xb5)
		return warn(r, "a frame came that this program did not send");
	if (data_of(&s)[10] != 1)
		return fail(r, "num_buffers of a received frame is %u, it has to be 1", data_of(&s)[10]);
	return pass(r, "a frame went through and came back as it was");
}

static const struct test table[] = {
    {"io.blk_read", NEED_BLK | NEED_IO | NEED_CONFIG, "the first 64 KiB, read twice", "virtio 1.2, 5.2.6 Device Operation",
     "VIRTIO_BLK_T_IN", "does not look at data", read_twice},
    {"io.blk_beyond", NEED_BLK | NEED_IO | NEED_CONFIG | THEN_IO,
     "reads beyond the capacity, at sectors that wrap, and of 513 bytes", "virtio 1.2, 5.2.6.2",
     "A device must fail requests beyond its capacity with VIRTIO_BLK_S_IOERR.", "relies on it: the guest chooses the sector",
     beyond},
    {"io.blk_unknown", NEED_BLK | NEED_IO, "a request of a type that nobody knows", "virtio 1.2, 5.2.6",
     "VIRTIO_BLK_S_UNSUPP for a request that is not supported.", "relies on it: the guest chooses the type", unknown},
    {"io.blk_flush", NEED_BLK | NEED_IO, "FLUSH", "virtio 1.2, 5.2.6.2",
     "A device that offers FLUSH must complete it once all writes before it are stable.",
     "relies on it: the guest's file system does", flush},
    {"io.blk_write", NEED_BLK | NEED_IO | NEED_CONFIG | NEED_WRITE, "4 KiB written, read back and put back", "virtio 1.2, 5.2.6",
     "VIRTIO_BLK_T_OUT; a device with VIRTIO_BLK_F_RO fails it.", "does not look at data", writes},
    {"io.fuse", NEED_FS | NEED_IO, "FUSE_INIT and FUSE_STATFS", "virtio 1.2, 5.11.6 Device Operation",
     "FUSE requests and their replies, each with its own unique number.", "does not look at data", fuse},
    {"io.net_loop", NEED_NET | NEED_IO, "4 frames sent, buffers for receiving",
     "virtio 1.2, 5.1.6.4 Processing of Incoming Packets", "Without MRG_RXBUF num_buffers is 1.", "does not look at data",
     loopback},
};
const struct tests io_tests = {table, ARRAY_LEN(table)};
