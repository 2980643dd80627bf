/* virtio-console, driven as a guest's driver does it. */
#include "virtio_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_console_out(void **state)
{
	char buf[64];

	start(CONSOLE, 1);
	assert_int_equal(rd(cfg(0), 4), 0x10431af4);
	memcpy(guest + 0x5000, "hello, ", 7);
	memcpy(guest + 0x5100, "world\n", 6);
	guest_desc(AT_DESC, 0, 0x5000, 7, VRING_DESC_F_NEXT, 1);
	guest_desc(AT_DESC, 1, 0x5100, 6, 0, 0);
	guest_offer(0);
	notify(1);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(read(console[0], buf, sizeof(buf)), 13);
	assert_memory_equal(buf, "hello, world\n", 13);
}

/* A reader that does not read costs what is older than the backlog, and never holds the guest up: Linux spins until a line is
 * taken. */
static void test_console_stuck(void **state)
{
	const size_t len = 0x3000 - 0x3000 % 251;
	uint8_t buf[4096], last = 0;
	size_t got = 0;

	start(CONSOLE, 1);
	for (unsigned i = 0; i < 0x3000; i++)
		guest[0x5000 + i] = (uint8_t)(i % 251);
	guest_desc(AT_DESC, 0, 0x5000, (uint32_t)len, 0, 0);
	for (unsigned i = 1; i <= 200; i++) {
		guest_offer(0);
		notify(1);
		assert_int_equal(guest_used()->idx, i);
	}
	assert_true(term.stuck);
	for (ssize_t n; (n = read(console[0], buf, sizeof(buf))) > 0; run_main()) {
		got += (size_t)n;
		last = buf[n - 1];
	}
	assert_true(got >= TERM_BACKLOG && got < 200 * len);
	assert_int_equal(last, 250);
	assert_false(term.stuck);
}

/* Where the console's output goes from now on. */
static int console_to_file(void)
{
	char path[] = "/tmp/console-XXXXXX";
	int file = mkostemp(path, O_APPEND);

	assert_true(file >= 0);
	assert_int_equal(unlink(path), 0);
	term.mode = SERIAL_FILE;
	term.file_fd = file;
	return file;
}

enum { PIECE = 0xb000, PIECES = 5 };

/* A buffer longer than what is taken at once, and its first part. */
static void first_turn(int file)
{
	struct pollfd p[VIRTIO_POLL_MAX];
	size_t n;

	for (uint16_t i = 0; i < PIECES; i++)
		guest_desc(AT_DESC, i, 0x5000, PIECE, i + 1 < PIECES ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1));
	guest_offer(0);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	wr(drv.notify + common(VIRTIO_PCI_COMMON_Q_NOFF, 2) * drv.notify_multiplier, 2, 1);
	n = virtio_poll(&virtio, p);
	assert_true(poll(p, n, 0) > 0);
	virtio_ready(&virtio, p, n);
	assert_int_equal(guest_used()->idx, 0);
	assert_int_equal(lseek(file, 0, SEEK_END), TERM_BACKLOG);
}

/* A buffer longer than what is taken at once: others have their turn in between, and nothing is left out or said twice. */
static void test_console_long(void **state)
{
	int file = console_to_file();
	uint8_t byte = 0;

	start(CONSOLE, 1);
	for (unsigned i = 0; i < PIECE; i++)
		guest[0x5000 + i] = (uint8_t)(i % 253);
	first_turn(file);
	run_main();
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(lseek(file, 0, SEEK_END), PIECE * PIECES);
	for (unsigned i = 0; i < PIECE * PIECES; i++) {
		assert_int_equal(pread(file, &byte, 1, (off_t)i), 1);
		assert_int_equal(byte, i % PIECE % 253);
	}
	close(file);
}

/* What of a buffer went out before its queue was reset says nothing of the next one. */
static void test_console_queue_reset(void **state)
{
	int file = console_to_file();
	char last[6];

	start_resettable(CONSOLE, 1);
	first_turn(file);

	wr(drv.common + VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	guest_avail()->idx = 0;
	memcpy(guest + 0x5000, "hello", 5);
	guest_desc(AT_DESC, 0, 0x5000, 5, 0, 0);
	set_queue(1, AT_DESC, AT_AVAIL, AT_USED);
	guest_offer(0);
	notify(1);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(pread(file, last, sizeof(last), TERM_BACKLOG), 5);
	assert_memory_equal(last, "hello", 5);
	close(file);
}

static void test_console_in(void **state)
{
	start(CONSOLE, 0);
	assert_int_equal(write(console[0], "abcdef", 6), 6);
	run_main(); /* no buffers yet */
	assert_int_equal(guest_used()->idx, 0);
	guest_desc(AT_DESC, 0, 0x5000, 4, VRING_DESC_F_WRITE, 0);
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(guest_used()->ring[0].len, 4);
	assert_memory_equal(guest + 0x5000, "abcd", 4);
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->ring[1].len, 2);
	close(console[0]);
	console[0] = -1;
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, virtio_setup, virtio_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_console_out), T(test_console_stuck), T(test_console_long), T(test_console_queue_reset), T(test_console_in),
	};

	return cmocka_run_group_tests_name("virtio_console", tests, NULL, NULL);
}
