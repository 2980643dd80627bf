/* The modern PCI transport, driven as a guest's driver does it, by the example of virtio-rng. */
#include "virtio_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_features(void **state)
{
	uint64_t offered;

	probe(RNG);
	assert_int_equal(rd(cfg(0), 4), 0x10441af4);
	wr(drv.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	offered = common(VIRTIO_PCI_COMMON_DF, 4) << 32;
	wr(drv.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	offered |= common(VIRTIO_PCI_COMMON_DF, 4);
	wr(drv.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(common(VIRTIO_PCI_COMMON_DF, 4), 0);
	assert_int_equal(offered, UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_F_RING_RESET |
				      1u << VIRTIO_RING_F_INDIRECT_DESC | 1u << VIRTIO_RING_F_EVENT_IDX);
	/* without VERSION_1, and with something that was not offered */
	for (unsigned i = 0; i < 2; i++) {
		set_status(0);
		set_status(3);
		accept_features(i ? UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 : 0);
		set_status(3 | VIRTIO_CONFIG_S_FEATURES_OK);
		assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 3);
		set_status(3 | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
		assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 3);
	}
	negotiate();
	accept_features(0); /* too late */
	assert_int_equal(common(VIRTIO_PCI_COMMON_GF, 4), 1);
}

static void test_registers(void **state)
{
	probe(RNG);
	negotiate();
	assert_int_equal(common(VIRTIO_PCI_COMMON_NUMQ, 2), 1);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 1); /* there is no such queue */
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	set_queue(0, AT_DESC, AT_AVAIL, AT_USED);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_DESCLO, 8), AT_DESC);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0); /* an enabled queue stays where it is */
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_DESCLO, 8), AT_DESC);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_MSIX, 2), MSIX_NO_VECTOR);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_RESET, 2, 1); /* not negotiated */
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	set_status(0);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 0);
}

static void test_queue_reset(void **state)
{
	start_resettable(RNG, 0);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	set_queue(0, AT_DESC, AT_AVAIL, AT_USED);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static bool all_zero(uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (guest[at + i])
			return false;
	return true;
}

static void test_rng(void **state)
{
	start(RNG, 0);
	guest_desc(AT_DESC, 0, 0x5000, 64, VRING_DESC_F_WRITE, 0);
	guest_desc(AT_DESC, 1, ZONE_BORDER - 32, 0x2000, VRING_DESC_F_WRITE, 0);
	guest_desc(AT_DESC, 2, 0x5000, 64, 0, 0); /* nothing to write to */
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(guest_used()->ring[0].len, 64);
	assert_false(all_zero(0x5000, 64));
	assert_true(all_zero(0x5040, 64));
	assert_int_equal(messages, 1);
	assert_int_equal(rd(drv.isr, 1), 1);
	assert_int_equal(rd(drv.isr, 1), 0);
	guest_offer(1);
	guest_offer(2);
	notify(0);
	assert_int_equal(guest_used()->idx, 3);
	assert_int_equal(guest_used()->ring[1].len, 4096);
	assert_int_equal(guest_used()->ring[2].len, 0);
	assert_true(all_zero(ZONE_BORDER + 4096 - 32, 4096));
	/* what was offered before the driver was ready is found then */
	negotiate();
	guest_avail()->idx = guest_used()->idx = 0;
	guest_offer(0);
	set_queue(0, AT_DESC, AT_AVAIL, AT_USED);
	driver_ok();
	run_main();
	assert_int_equal(guest_used()->idx, 1);
}

static void test_not_master(void **state)
{
	start(RNG, 0);
	guest_desc(AT_DESC, 0, 0x5000, 64, VRING_DESC_F_WRITE, 0);
	wr(cfg(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 0);
	wr(cfg(PCI_COMMAND), 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	run_main();
	assert_int_equal(guest_used()->idx, 1);
}

static void test_broken_driver(void **state)
{
	start(RNG, 0);
	wr(drv.common + VIRTIO_PCI_COMMON_MSIX, 2, 0);
	guest_desc(AT_DESC, 0, GUEST_LEN, 64, VRING_DESC_F_WRITE, 0);
	guest_offer(0);
	notify(0);
	assert_true(common(VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(messages, 1);
	assert_int_equal(rd(drv.isr, 1), 2);
	guest_desc(AT_DESC, 0, 0x5000, 64, VRING_DESC_F_WRITE, 0);
	notify(0);
	assert_int_equal(guest_used()->idx, 0);
	guest_avail()->idx = 0;
	negotiate();
	set_queue(0, AT_DESC, AT_AVAIL, AT_USED);
	driver_ok();
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 1);
	/* a queue that is not in memory */
	negotiate();
	set_queue(0, GUEST_LEN, AT_AVAIL, AT_USED);
	assert_true(common(VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* 4.1.4.9 */
static void test_pci_cfg(void **state)
{
	unsigned cap;

	probe(RNG);
	cap = drv.cfg_cap;
	set_status(1);
	wr(cfg(cap + VIRTIO_PCI_CAP_BAR), 1, 0);
	wr(cfg(cap + VIRTIO_PCI_CAP_OFFSET), 4, VIRTIO_PCI_COMMON_STATUS);
	wr(cfg(cap + VIRTIO_PCI_CAP_LENGTH), 4, 1);
	assert_int_equal(rd(cfg(cap + 16), 1), 1);
	wr(cfg(cap + 16), 1, 3);
	assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 3);
	wr(cfg(cap + VIRTIO_PCI_CAP_LENGTH), 4, 3);
	wr(cfg(cap + 16), 4, 0);
	wr(cfg(cap + VIRTIO_PCI_CAP_LENGTH), 4, 4);
	wr(cfg(cap + VIRTIO_PCI_CAP_OFFSET), 4, 0x7ffe);
	wr(cfg(cap + 16), 4, 0);
	wr(cfg(cap + VIRTIO_PCI_CAP_OFFSET), 4, 0xfffffffc);
	wr(cfg(cap + 16), 4, 0);
	assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 3);
}

/* A device whose guest waits: the main thread is kicked by whoever rang, once that has given the lock back. */
static void test_awaited(void **state)
{
	struct virtio_dev *d = &virtio.dev[0];

	start(RNG, 0);
	for (unsigned i = 0; i < 3; i++) {
		uint16_t done = guest_used()->idx;

		virtio_pci_await(d, true);
		guest_desc(AT_DESC, 0, 0x5000, 64, VRING_DESC_F_WRITE, 0);
		guest_offer(0);
		wr(drv.notify, 4, 0);
		run_main();
		assert_int_equal(guest_used()->idx, done);
		assert_true(virtio_rang(&virtio));
		assert_false(virtio_rang(&virtio));
		virtio_kick(&virtio);
		run_main();
		assert_int_equal(guest_used()->idx, done + 1);
		/* Nobody waits for another device, or for none. */
		wr(drv.notify + 4 * drv.notify_multiplier, 4, 0);
		assert_false(virtio_rang(&virtio));
		virtio_pci_await(d, false);
		notify(0);
		assert_false(virtio_rang(&virtio));
	}
	/* It stays so over a reset. */
	virtio_pci_await(d, true);
	start(RNG, 0);
	wr(drv.notify, 4, 0);
	assert_true(virtio_rang(&virtio));
}

static void test_no_console(void **state)
{
	struct virtio_config config = {.console = NULL};

	close(virtio.kick_fd);
	virtio_machine(&config);
	assert_int_equal(virtio.n, 1);
}

/* A driver without any sense; the other rooms' tests would notice a byte outside the guest. */
static void test_anything(void **state)
{
	unsigned answers = 0;

	srandom(99);
	for (unsigned round = 0; round < 3000; round++) {
		start(RNG, 0);
		for (unsigned i = 0; i < 40; i++) {
			unsigned len = 1u << ((unsigned)random() % 4);
			uint64_t v = random() % 2 ? (uint64_t)random() % 16 : (uint64_t)random() << 33 ^ (uint64_t)random();

			if (random() % 2)
				wr(drv.common + (unsigned)random() % 0x5000, len, v);
			else
				wr(cfg(0x40 + (unsigned)random() % 0xc0), len, v);
			rd(drv.common + (unsigned)random() % 0x5000, len);
			if (random() % 4 == 0)
				guest_desc(AT_DESC, (unsigned)random() % Q_SIZE, (uint64_t)random() % (GUEST_LEN + 64),
					   (uint32_t)random() % 512, (uint16_t)(random() % 8), (uint16_t)(random() % Q_SIZE));
			guest_offer((uint16_t)(random() % Q_SIZE));
			notify(0);
		}
		answers += guest_used()->idx;
		guest_avail()->idx = guest_used()->idx = 0;
	}
	assert_true(answers > 100);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, virtio_setup, virtio_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_features),      T(test_registers), T(test_queue_reset), T(test_rng),      T(test_not_master),
	    T(test_broken_driver), T(test_pci_cfg),   T(test_no_console),  T(test_anything), T(test_awaited),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
