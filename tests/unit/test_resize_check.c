/* What a permitted resize becomes; the refusals are in config_cases.tsv. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/resize_check.h"

#include <errno.h>
#include <string.h>

static struct resizable m[2];
static struct resize_vm vm;
static struct diags ds;

static int acpi_vm(void **state)
{
	memset(&ds, 0, sizeof(ds));
	memset(m, 0, sizeof(m));
	m[0] = (struct resizable){
	    .boot_size = GiB, .hotplug_size = 2 * GiB, .current_size = GiB, .page_size = GUEST_PAGE, .guest_driver = true};
	vm = (struct resize_vm){.life = RESIZE_RUNNING, .method = HOTPLUG_ACPI, .n = 1, .m = m};
	return 0;
}

static struct resize_decision decide(uint64_t size, const char *zone)
{
	struct resize_request rq = {.of_zone = zone != NULL, .zone = zone, .size = size};
	struct resize_decision d = {.bytes = 77};

	assert_int_equal(resize_check(&vm, &rq, &d, &ds), 0);
	assert_int_equal(ds.n_errors, 0);
	return d;
}

static void acpi_grows_by_one_slot(void **state)
{
	struct resize_decision d = decide(2 * GiB, NULL);

	assert_int_equal(d.action, RESIZE_ADD_DIMM);
	assert_int_equal(d.bytes, GiB);
	assert_int_equal(d.plugged, GiB);
	vm.n_dimms = 1;
	vm.dimms[0] = 128 * MiB;
	m[0].current_size = GiB + 128 * MiB;
	d = decide(GiB + 512 * MiB, NULL);
	assert_int_equal(d.bytes, 384 * MiB);
	assert_int_equal(d.plugged, 512 * MiB);
}

static void acpi_ejects_newest_first(void **state)
{
	struct resize_decision d;

	vm.n_dimms = 3;
	vm.dimms[0] = 512 * MiB;
	vm.dimms[1] = 256 * MiB;
	vm.dimms[2] = 128 * MiB;
	m[0].current_size = GiB + 896 * MiB;
	d = decide(GiB + 512 * MiB, NULL);
	assert_int_equal(d.action, RESIZE_EJECT_DIMMS);
	assert_int_equal(d.dimms, 2);
	assert_int_equal(d.bytes, 384 * MiB);
	d = decide(GiB, NULL);
	assert_int_equal(d.dimms, 3);
}

static void same_size_is_success(void **state)
{
	assert_int_equal(decide(GiB, NULL).action, RESIZE_NOTHING);
	vm.n_dimms = LIM_DIMMS;
	assert_int_equal(decide(GiB, NULL).action, RESIZE_NOTHING);
	vm.life = RESIZE_PAUSED;
	assert_int_equal(decide(GiB, NULL).action, RESIZE_NOTHING);
}

static void zone_by_id(void **state)
{
	struct resize_decision d;

	m[0].id = "a";
	m[1] = m[0];
	m[1].id = "b";
	m[1].guest_driver = true;
	vm.n = 2;
	vm.method = HOTPLUG_VIRTIO_MEM;
	d = decide(GiB + 6 * MiB, "b");
	assert_int_equal(d.action, RESIZE_VIRTIO_MEM);
	assert_int_equal(d.index, 1);
	assert_int_equal(d.bytes, 6 * MiB);
}

static void failure_leaves_decision(void **state)
{
	struct resize_request rq = {.size = 512 * MiB};
	struct resize_decision d = {.bytes = 77, .index = 5};

	assert_int_equal(resize_check(&vm, &rq, &d, &ds), -EINVAL);
	assert_int_equal(d.bytes, 77);
	assert_int_equal(d.index, 5);
}

static void hostile_numbers(void **state)
{
	struct resize_request rq = {.size = UINT64_MAX};
	struct resize_decision d;

	m[0].boot_size = UINT64_MAX - 5;
	m[0].hotplug_size = UINT64_MAX;
	m[0].current_size = 3;
	vm.n_dimms = SIZE_MAX;
	assert_int_equal(resize_check(&vm, &rq, &d, &ds), -EINVAL);
	vm.n = 0;
	assert_int_equal(resize_check(&vm, &rq, &d, &ds), -EINVAL);
	rq.of_zone = true;
	assert_int_equal(resize_check(&vm, &rq, &d, &ds), -EINVAL);
}

static size_t balloon_errors(struct balloon_resize r)
{
	int code;

	memset(&ds, 0, sizeof(ds));
	code = balloon_resize_check(&r, &ds);
	assert_int_equal(code, ds.n_errors ? -EINVAL : 0);
	return ds.n_errors;
}

static void balloon(void **state)
{
	struct balloon_resize r = {.life = RESIZE_RUNNING, .there = true, .guest_driver = true, .memory = GiB, .size = 64 * MiB},
			      x;

	assert_int_equal(balloon_errors(r), 0);
	x = r, x.size = GiB;
	assert_int_equal(balloon_errors(x), 1);
	x = r, x.size = GiB - GUEST_PAGE;
	assert_int_equal(balloon_errors(x), 0);
	x = r, x.size = 5;
	assert_int_equal(balloon_errors(x), 1);
	x = r, x.size = UINT64_MAX;
	assert_int_equal(balloon_errors(x), 1);
	x = r, x.size = BALLOON_MAX + GUEST_PAGE, x.memory = UINT64_MAX;
	assert_int_equal(balloon_errors(x), 1);
	x = r, x.there = false;
	assert_int_equal(balloon_errors(x), 1);
	x = r, x.guest_driver = false;
	assert_int_equal(balloon_errors(x), 1);
	x.no_wait = true;
	assert_int_equal(balloon_errors(x), 0);
	x = r, x.guest_driver = false, x.current = x.size;
	assert_int_equal(balloon_errors(x), 0);
	x = r, x.life = RESIZE_PAUSED;
	assert_int_equal(balloon_errors(x), 1);
	x.no_wait = true;
	assert_int_equal(balloon_errors(x), 0);
	x.life = RESIZE_NOT_BOOTED;
	assert_int_equal(balloon_errors(x), 1);
	x = r, x.size = 0, x.memory = 0;
	assert_int_equal(balloon_errors(x), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(acpi_grows_by_one_slot, acpi_vm),
	    cmocka_unit_test_setup(acpi_ejects_newest_first, acpi_vm),
	    cmocka_unit_test_setup(same_size_is_success, acpi_vm),
	    cmocka_unit_test_setup(zone_by_id, acpi_vm),
	    cmocka_unit_test_setup(failure_leaves_decision, acpi_vm),
	    cmocka_unit_test_setup(hostile_numbers, acpi_vm),
	    cmocka_unit_test(balloon),
	};

	return cmocka_run_group_tests_name("resize_check", tests, NULL, NULL);
}
