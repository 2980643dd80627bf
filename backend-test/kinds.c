#include "session.h"

#include <errno.h>
#include <linux/fuse.h>
#include <linux/virtio_blk.h>
#include <string.h>

/* --- blk: reads the first sector --- */

static unsigned blk_request(struct session *s, unsigned slot, struct buf *b)
{
	struct virtio_blk_outhdr h = {.type = VIRTIO_BLK_T_IN};
	uint64_t at = session_slot_gpa(s, slot);

	memcpy(session_slot(s, slot), &h, sizeof(h));
	session_slot(s, slot)[0x1000] = 0xee;
	b[0] = (struct buf){at, sizeof(h), false};
	b[1] = (struct buf){at + 0x200, 512, true};
	b[2] = (struct buf){at + 0x1000, 1, true};
	return 3;
}

static int blk_check(struct session *s, unsigned slot, struct err *e)
{
	uint8_t status = session_slot(s, slot)[0x1000];

	if (status == 0xee)
		return err_set(e, -EPROTO, "a read of the first sector came back without a status");
	if (status != VIRTIO_BLK_S_OK)
		return err_set(e, -EPROTO, "a read of the first sector came back with status %u", status);
	return 0;
}

/* --- net: sends a frame to all that nobody takes for something (ethertype for local experiments) --- */

static unsigned net_request(struct session *s, unsigned slot, struct buf *b)
{
	static const uint8_t frame[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5};
	uint64_t at = session_slot_gpa(s, slot);
	uint8_t *p = session_slot(s, slot);

	memset(p, 0, 12 + 60);
	memcpy(p + 12, frame, sizeof(frame));
	p[12 + 14] = (uint8_t)slot;
	b[0] = (struct buf){at, 12, false};
	b[1] = (struct buf){at + 12, 60, false};
	return 2;
}

static int net_check(struct session *s, unsigned slot, struct err *e)
{
	return 0; /* taken is all that can be seen */
}

/* --- fs: FUSE_INIT first, then FUSE_STATFS of the root --- */

static unsigned fuse_bufs(struct session *s, unsigned slot, uint32_t op, const void *arg, uint32_t len, uint32_t answer,
			  struct buf *b)
{
	struct fuse_in_header h = {.len = (uint32_t)sizeof(h) + len, .opcode = op, .unique = ++s->unique, .nodeid = FUSE_ROOT_ID};
	uint64_t at = session_slot_gpa(s, slot);
	uint8_t *p = session_slot(s, slot);

	memset(p, 0, SLOT_SIZE);
	memcpy(p, &h, sizeof(h));
	if (len)
		memcpy(p + sizeof(h), arg, len);
	b[0] = (struct buf){at, h.len, false};
	b[1] = (struct buf){at + 0x1000, (uint32_t)sizeof(struct fuse_out_header) + answer, true};
	return 2;
}

static unsigned fs_request(struct session *s, unsigned slot, struct buf *b)
{
	return fuse_bufs(s, slot, FUSE_STATFS, NULL, 0, sizeof(struct fuse_statfs_out), b);
}

static int fs_check(struct session *s, unsigned slot, struct err *e)
{
	struct fuse_in_header in;
	struct fuse_out_header out;

	memcpy(&in, session_slot(s, slot), sizeof(in));
	memcpy(&out, session_slot(s, slot) + 0x1000, sizeof(out));
	if (out.unique != in.unique)
		return err_set(e, -EPROTO, "FUSE request %llu was answered as %llu", (unsigned long long)in.unique,
			       (unsigned long long)out.unique);
	if (out.error)
		return err_set(e, -EPROTO, "FUSE request with opcode %u was answered with error %d", in.opcode, out.error);
	return 0;
}

static int fs_prepare(struct session *s, struct err *e)
{
	struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 0x20000};
	struct buf b[REQUEST_BUFS];
	struct fuse_init_out out;

	ring_add(session_io_ring(s), b, fuse_bufs(s, 0, FUSE_INIT, &in, 16, sizeof(out), b), 0);
	ring_kick(session_io_ring(s));
	if (ring_wait(session_io_ring(s), 1, s->l.ms, e) < 0 || fs_check(s, 0, e) < 0)
		return err_wrap(e, "FUSE_INIT");
	memcpy(&out, session_slot(s, 0) + 0x1000 + sizeof(struct fuse_out_header), sizeof(out));
	if (out.major != FUSE_KERNEL_VERSION)
		return err_set(e, -EPROTO, "FUSE_INIT with version %u.31 was answered with %u.%u", FUSE_KERNEL_VERSION, out.major,
			       out.minor);
	return 0;
}

const struct kind kinds[] = {
    {"net", 1, 2, 1, 2, "a frame sent", NULL, net_request, net_check},
    {"blk", 2, 1, 0, 1, "a read of the first sector", NULL, blk_request, blk_check},
    {"fs", 26, 2, 1, 1, "FUSE_STATFS of the root", fs_prepare, fs_request, fs_check},
};
const unsigned n_kinds = ARRAY_LEN(kinds);
