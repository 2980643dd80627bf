/* What a virtio device is to its transport, and the transport to it. A device is one file that defines a struct virtio_type, and
 * one row in devices.c. Section numbers in this folder: virtio 1.2. */
#pragma once
#include "pci/pci.h"
#include "virtio/queue.h"

#define VIRTIO_QUEUES_MAX 33u
#define VIRTIO_STATE_MAX  64u
#define VIRTIO_NO_ADDRESS UINT64_MAX

struct virtio_dev;

struct virtio_config; /* devices.h */

struct virtio_type {
	const char *name;
	uint16_t id;         /* chapter 5 */
	uint32_t class_code; /* PCI */
	uint16_t n_queues, queue_size;
	const uint16_t *queue_sizes; /* one for each queue; NULL: queue_size for all */
	uint64_t features;           /* beside those that the transport has for all */
	uint32_t config_len;
	/* All of them under the device lock; NULL: nothing to do. */
	bool (*wanted)(const struct virtio_config *config); /* is there one in this machine */
	void (*init)(struct virtio_dev *d, const struct virtio_config *config);
	void (*reset)(struct virtio_dev *d);
	void (*config_read)(struct virtio_dev *d, uint8_t *config); /* fills config_len bytes */
	void (*config_write)(struct virtio_dev *d, unsigned offset, const uint8_t *data, unsigned len); /* within config_len */
	void (*process)(struct virtio_dev *d, unsigned queue);      /* main thread: the driver may have put requests there */
	int (*wait_for)(struct virtio_dev *d, short *events);       /* main thread: a descriptor to poll, or -1 */
	void (*ready)(struct virtio_dev *d, short events);          /* main thread: it is */
	/* For devices whose queues are worked on by somebody else. */
	int (*doorbell)(struct virtio_dev *d, unsigned queue); /* the eventfd to ring, -1: the main thread's */
	void (*vector_changed)(struct virtio_dev *d, unsigned queue);
	bool (*stopping)(const struct virtio_dev *d); /* after a reset: not done yet, the driver has to wait */
};

/* The machine around the devices. */
struct virtio_host {
	struct virtq_memory memory;
	void (*kick)(void *arg);                                         /* any thread: the main thread shall call virtio_work */
	int (*ioeventfd)(void *arg, uint64_t addr, int fd, bool assign); /* main thread: writes to addr ring fd (-1: become
									    kicks); negative errno */
	void (*await)(void *arg);                                        /* vCPU threads: the same kick, once this one has given the
									    device lock back; then it waits */
	void (*ring)(int fd);                                            /* any thread: writes an eventfd */
	void *arg;
};

struct virtio_dev {
	const struct virtio_type *type;
	const struct virtio_host *host;
	struct pci_device pci;
	uint64_t offered, accepted; /* features */
	uint32_t offered_select, accepted_select;
	uint8_t status, isr, config_generation;
	uint16_t config_vector, queue_select;
	unsigned pci_cfg_cap;
	bool awaited;       /* whoever rings waits: its doorbells come as accesses, and are no ioeventfds */
	uint64_t doorbells; /* address for which ioeventfds exist; VIRTIO_NO_ADDRESS: none */
	struct virtq queue[VIRTIO_QUEUES_MAX];
	uint16_t queue_vector[VIRTIO_QUEUES_MAX];
	_Alignas(16) uint8_t state[VIRTIO_STATE_MAX]; /* the type's own */
};

/* For devices. True while queues may be worked on. */
bool virtio_is_live(const struct virtio_dev *d);

/* virtq_pop that declares the device broken when the queue is. true: *ret is a request. */
bool virtio_pop(struct virtio_dev *d, unsigned queue, struct virtq_chain *ret);
void virtio_push(struct virtio_dev *d, unsigned queue, uint16_t head, uint32_t written);

/* At the end of process(): interrupts the driver if it wants that, and asks it to notify again. false: requests are there
 * already. */
bool virtio_done(struct virtio_dev *d, unsigned queue);

/* The configuration that config_read returns has changed. */
void virtio_config_changed(struct virtio_dev *d);

/* The device cannot go on until the driver resets it (2.1.1). */
void virtio_needs_reset(struct virtio_dev *d);

/* transport.c, for devices.c: puts a device into a PCI slot; brings doorbells into line with where the guest has them (main
 * thread). */
int virtio_pci_init(struct virtio_dev *d, const struct virtio_type *type, const struct virtio_host *host, struct pci *pci,
		    uint16_t segment, uint8_t slot, struct err *e);
void virtio_pci_wire(struct virtio_dev *d);

/* Main thread: from now on whoever rings waits, or does not. */
void virtio_pci_await(struct virtio_dev *d, bool awaited);
