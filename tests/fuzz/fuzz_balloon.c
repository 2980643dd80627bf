/* Fuzz target: a guest's side of virtio-balloon. The input is how the device is steered, and then the guest's memory with rings
 *and page numbers in it. Only whole pages of that memory may ever be named.
 *
 *	meson setup build/fuzz -Dfuzz=true && ninja -C build/fuzz tests/fuzz/fuzz_balloon
 */
#include "fuzz.h"

#include "virtio/balloon.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#define GUEST_LEN 0x10000u
#define BORDER    0x8000u
#define STEPS_MAX 5000u /* rings that lie on each other ask for ever; the worker turns to others meanwhile */

extern const struct virtio_type virtio_balloon;
static uint8_t guest[GUEST_LEN] __attribute__((aligned(GUEST_PAGE)));

static void *chunk(const void *arg, uint64_t at, uint64_t *len)
{
	uint64_t end = at < BORDER ? BORDER : GUEST_LEN;

	if (at >= GUEST_LEN || *len == 0)
		return NULL;
	if (*len > end - at)
		*len = end - at;
	return guest + at;
}

static void kick(void *arg)
{
}

static void work(struct virtio_dev *d, bool give)
{
	struct virtq_seg piece;
	enum balloon_next next;
	unsigned steps = 0;

	while ((next = virtio_balloon_next(d, &piece)) != BALLOON_IDLE) {
		uintptr_t at = (uintptr_t)piece.at;

		if (++steps > STEPS_MAX)
			return;
		if (next != BALLOON_MEMORY)
			continue;
		if (at < (uintptr_t)guest || piece.len == 0 || piece.len > BALLOON_STEP || (at | piece.len) % GUEST_PAGE ||
		    at - (uintptr_t)guest + piece.len > GUEST_LEN)
			abort();
		if (give)
			memset(piece.at, 0, piece.len); /* as the worker does: rings and lists may go with it */
		virtio_balloon_done(d, piece.len, give);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct balloon_device b;
	static struct virtio_dev d;
	static const struct virtio_host host = {.memory = {chunk, NULL}, .kick = kick};
	uint8_t steer[8];

	if (size < sizeof(steer))
		return 0;
	memcpy(steer, data, sizeof(steer));
	memset(guest, 0, sizeof(guest));
	memcpy(guest, data + sizeof(steer), size - sizeof(steer) < GUEST_LEN ? size - sizeof(steer) : GUEST_LEN);
	memset(&d, 0, sizeof(d));
	memset(&b, 0, sizeof(b));
	b.free_page_reporting = steer[0] & 1;
	d.type = &virtio_balloon;
	d.host = &host;
	d.pci.config.byte[PCI_COMMAND] = PCI_COMMAND_MASTER;
	d.status = VIRTIO_CONFIG_S_DRIVER_OK;
	virtio_balloon_attach(&d, &b);
	d.accepted = steer[0] & 2 ? d.offered : 0;
	for (unsigned q = 0; q < virtio_balloon.n_queues; q++) {
		d.queue[q] =
		    (struct virtq){.size = 8, .desc = q * 0x1000u, .avail = q * 0x1000u + 0x400, .used = q * 0x1000u + 0x800};
		if (steer[1] >> q & 1)
			virtq_enable(&d.queue[q], &host.memory, steer[2] >> q & 1);
	}
	for (unsigned i = 3; i < sizeof(steer); i++) {
		unsigned q = steer[i] % virtio_balloon.n_queues;

		virtio_balloon.process(&d, q);
		work(&d, steer[i] & 0x80);
		if (steer[i] & 0x40)
			virtio_balloon.config_write(&d, steer[i] & 7, steer, 4);
		if (steer[i] & 0x20)
			virtio_balloon.reset(&d);
	}
	return 0;
}
