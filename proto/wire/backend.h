/* Broker -> bulkhead-backend, or bulkhead-backend-fs: one request of fixed size, with the image or the directory; and its answer,
 * with the one connection to the program that it becomes next. What comes on that channel after the answer is that program's
 * words, for people. */
#pragma once
#include <stdint.h>

enum backend_flag {
	BACKEND_READONLY = 1 << 0,
	BACKEND_DIRECT = 1 << 1,  /* past the host's page cache */
	BACKEND_DISCARD = 1 << 2, /* what the guest discards is cut out of the image */
	BACKEND_QCOW2 = 1 << 3,   /* raw otherwise; nobody ever guesses by what is in an image */
};
#define BACKEND_FLAGS_ALL    0xfu
#define BACKEND_FLAGS_ALL_FS 0x1u /* of a directory: READONLY */

struct backend_start {
	uint32_t flags; /* enum backend_flag */
	uint32_t num_queues;
};

struct backend_up {
	uint32_t zero;
};

_Static_assert(sizeof(struct backend_start) == 8 && sizeof(struct backend_up) == 4, "no padding");

/* Descriptors of the program when it starts; 0 and 1 are /dev/null. */
#define BACKEND_FD_WORDS    2
#define BACKEND_FD_IMAGE    4
#define BACKEND_FD_LISTENER 5
#define BACKEND_IMAGE_PATH  "/image" /* what image.c takes for the image */

/* Of one that serves a directory: its own descriptors as files, which is all that it needs of /proc; the directory. */
#define BACKEND_FS_FD_SELF      4
#define BACKEND_FS_FD_DIRECTORY 5
#define BACKEND_FS_FD_LISTENER  6
#define BACKEND_FS_READONLY     "BACKEND_FS_READONLY" /* in its environment, for fs_preload.c */
#define BACKEND_FS_QUEUES       2u                    /* virtiofsd has one for what must not wait and one for requests */
