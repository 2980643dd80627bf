/* The broker's event loop: what was seen of a source that an earlier handler has removed is not told to what took its place. */
#include "../../broker/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop loop;
static struct source notice, channel; /* a helper's exit, and its channel */
static int peer_notice, peer_channel;
static unsigned told;	  /* how often channel's handler was called */
static uint32_t told_last; /* and with what */
static bool replace;

static void on_channel(struct source *s, uint32_t events)
{
	assert_ptr_equal(s, &channel);
	told++;
	told_last = events;
}

static void listen_on(struct source *s, int *peer, source_fn *fn)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(loop_add(&loop, s, pair[0], EPOLLIN, fn, NULL), 0);
	*peer = pair[1];
}

/* As the broker does when a worker is gone whose guest has reset itself: the next worker's channel takes the place of its own. */
static void on_notice(struct source *s, uint32_t events)
{
	char c;

	(void)events;
	assert_int_equal(read(s->fd, &c, 1), 1);
	loop_drop(&loop, &channel);
	if (replace)
		listen_on(&channel, &peer_channel, on_channel);
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(loop_init(&loop, NULL), 0);
	listen_on(&notice, &peer_notice, on_notice);
	listen_on(&channel, &peer_channel, on_channel);
	told = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_drop(&loop, &notice);
	loop_drop(&loop, &channel);
	close(peer_notice);
	close(peer_channel);
	close(loop.epfd);
	return 0;
}

/* Both are ready in one wait, the notice first: epoll tells in the order of what happened. */
static void end_helper(void)
{
	assert_int_equal(write(peer_notice, "x", 1), 1);
	close(peer_channel);
	peer_channel = -1;
}

static void test_told(void **state)
{
	(void)state;
	close(peer_channel);
	peer_channel = -1;
	assert_int_equal(loop_once(&loop, 0), 0);
	assert_int_equal(told, 1);
	assert_true(told_last & EPOLLHUP);
}

static void test_removed(void **state)
{
	(void)state;
	replace = false;
	end_helper();
	assert_int_equal(loop_once(&loop, 0), 0);
	assert_null(channel.fn);
	assert_int_equal(told, 0);
}

static void test_replaced(void **state)
{
	(void)state;
	replace = true;
	end_helper();
	assert_int_equal(loop_once(&loop, 0), 0);
	assert_non_null(channel.fn);
	assert_int_equal(told, 0); /* the end of the old channel is not the new one's */
	assert_int_equal(loop_once(&loop, 0), 0);
	assert_int_equal(told, 0);
	assert_int_equal(write(peer_channel, "y", 1), 1);
	assert_int_equal(loop_once(&loop, 0), 0);
	assert_int_equal(told, 1);
	assert_int_equal(told_last, EPOLLIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
