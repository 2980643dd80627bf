/* What guests can do to themselves, and how the report tells it. */
#include "worker_harness.h"

static struct peer p;

static void says_and_powers_off(void **state)
{
	begin_running(&p, "hello");
	ends(&p, END_POWEROFF, "hi");
}

static void resets(void **state)
{
	begin_running(&p, "reset");
	ends(&p, END_RESET, "");
	begin_running(&p, "kbdreset");
	ends(&p, END_RESET, "");
}

static void triple_fault(void **state)
{
	begin_running(&p, "triple");
	peer_expect(&p, WK_ENDED);
	assert_int_equal(p.msg.u.ended.cause, END_TRIPLE_FAULT);
	assert_true(p.msg.u.ended.has_regs);
	peer_end(&p);
}

static void access_to_nothing(void **state)
{
	begin_running(&p, "badaccess");
	peer_expect(&p, WK_ENDED);
	assert_int_equal(p.msg.u.ended.cause, END_BAD_ACCESS);
	assert_true(p.msg.u.ended.has_access);
	assert_int_equal(p.msg.u.ended.access_addr, 0x90000010);
	assert_int_equal(p.msg.u.ended.access_len, 4);
	assert_true(p.msg.u.ended.access_write);
	assert_true(p.msg.u.ended.has_regs);
	assert_int_equal(p.msg.u.ended.rbx, 0x90000010);
	assert_non_null(strstr(p.msg.u.ended.detail, "0x90000010"));
	peer_end(&p);
}

static void instruction_from_nowhere(void **state)
{
	begin_running(&p, "noemu");
	peer_expect(&p, WK_ENDED);
	assert_int_equal(p.msg.u.ended.cause, END_KVM_INTERNAL);
	assert_int_equal(p.msg.u.ended.rip, 0xc0000000);
	peer_end(&p);
}

static void windows_read_as_ones(void **state)
{
	begin_running(&p, "window");
	ends(&p, END_POWEROFF, "ok");
}

static void clock_is_plausible(void **state)
{
	char buf[3] = {0};

	begin_running(&p, "rtc");
	assert_int_equal(peer_read(&p, buf, 3, PEER_ANSWER_MS), 3);
	assert_int_equal((uint8_t)buf[0], 0x20); /* the century, BCD */
	assert_int_equal((uint8_t)buf[1], 0x26);
	assert_int_equal((uint8_t)buf[2], 0x80);
	ends(&p, END_POWEROFF, NULL);
}

static void boot_information(void **state)
{
	begin(&p, (struct machine_wish){.guest = "bootinfo", .cmdline = "one two=3", .start = true});
	peer_expect(&p, WK_STATE);
	ends(&p, END_POWEROFF, "one two=3");
	begin(&p, (struct machine_wish){.guest = "bootinfo", .cmdline = "x", .initramfs = "/proc/self/exe", .start = true});
	peer_expect(&p, WK_STATE);
	ends(&p, END_POWEROFF, "x\177ELF");
}

static void second_cpu(void **state)
{
	begin(&p, (struct machine_wish){.guest = "smp", .vcpus = 2, .start = true});
	peer_expect(&p, WK_STATE);
	ends(&p, END_POWEROFF, "BA");
}

const struct CMUnitTest tests_ends[] = {
    cmocka_unit_test(says_and_powers_off),
    cmocka_unit_test(resets),
    cmocka_unit_test(triple_fault),
    cmocka_unit_test(access_to_nothing),
    cmocka_unit_test(instruction_from_nowhere),
    cmocka_unit_test(windows_read_as_ones),
    cmocka_unit_test(clock_is_plausible),
    cmocka_unit_test(boot_information),
    cmocka_unit_test(second_cpu),
};
const size_t n_tests_ends = ARRAY_LEN(tests_ends);
