/* A virtio device whose queues are worked on by another process. Its registers are virtio/transport.c's; what a driver does there
 * is turned into messages here, always by the main thread and never while a vCPU waits. Under the machine's device lock. */
#pragma once
#include "guestmem/map.h"
#include "kvm/irq.h"
#include "model/device_plan.h"
#include "vhost/front.h"
#include "virtio/device.h"

/* Rings are named by "user addresses": guest addresses and this, so that no address of ours is told and 0 is none. */
#define VHOST_USER_BASE (UINT64_C(1) << 52)

/* What all devices of a machine share. */
struct vhost_host {
	struct irq *irq;
	const struct mem_plan *plan;
	const struct guestmem *gm; /* for what is plugged */
	const int *zone_fds;       /* of the granted zones; stay open */
};

enum vhost_drain {
	VHOST_BUSY,     /* requests come and go */
	VHOST_DRAINING, /* the guest has to stand still until all are answered */
	VHOST_DRAINED,  /* and until the rings are stopped */
};

struct vhost_dev {
	struct virtio_dev v;
	struct virtio_type type;
	const struct device_plan *plan;
	const struct vhost_host *host;
	struct vu_front front;
	struct vu_map map[VU_MAP_MAX];
	uint16_t queue_size[VIRTIO_QUEUES_MAX];
	int kick[DEVICE_QUEUES_MAX], call[DEVICE_QUEUES_MAX]; /* eventfds */
	uint32_t gsi[DEVICE_QUEUES_MAX];
	bool direct[DEVICE_QUEUES_MAX]; /* call is an irqfd: interrupts go past this process */
	uint64_t promised;              /* of the back-end's features: what the guest has been shown */
	bool greeted;                   /* the present connection has been looked at */
	bool trying;  /* a connection was given to it, and nobody has been told yet what became of that */
	bool fresh;                     /* the driver has reset the device since it was started */
	bool stopping;                  /* the driver waits for the end of its reset */
	bool restart;                   /* stop and start again: rings were switched on or off */
	bool bases;                     /* where the rings have stopped is known from the back-end */
	bool refused;                   /* the driver's rings cannot be used; until its reset */
	uint16_t pairs;                 /* network: in use */
	uint64_t losses;
	struct { /* memory that came or went, of which the back-end does not know yet */
		bool there, plug;
		const struct gm_hot *h;
		struct mem_range range;
	} changed;
	enum vhost_drain drain;
	bool nudged; /* the back-end has been told to look at its rings once more */
	/* For the broker. */
	bool told_up, tell;
	char text[200];
};

/* Fills in everything but the connection. Main thread, while the machine is built. */
int vhost_init(struct vhost_dev *d, const struct device_plan *plan, const struct vhost_host *host, struct err *e);

/* Takes over three descriptors. greet: waits, at most VU_ANSWER_MS, until the back-end has said what it can; while the machine is
 * built only. */
void vhost_connect(struct vhost_dev *d, int sock, int request_sock, int request_peer);
int vhost_greet(struct vhost_dev *d, struct err *e);

/* Puts it into PCI, showing the guest what the back-end offers. */
int vhost_add(struct vhost_dev *d, const struct virtio_host *host, struct pci *pci, uint8_t slot, struct err *e);

/* Brings the connection to where the driver wants it. */
void vhost_sync(struct vhost_dev *d);
void vhost_poll(const struct vhost_dev *d, struct pollfd p[VU_FRONT_POLL]);
void vhost_work(struct vhost_dev *d, const struct pollfd p[VU_FRONT_POLL], uint64_t now);

uint64_t vhost_now(void); /* ms */

/* --- memory.c: one change after the other --- */

/* The table of all that the back-end may know, in as few regions as possible. */
void vhost_memory_all(struct vhost_dev *d);

/* Before a change of blocks: whether the back-end takes that many regions as there are then, and how many that is. */
bool vhost_memory_takes(const struct vhost_dev *d, const struct gm_hot *h, struct mem_range r, bool plug, unsigned *ret_regions);

/* After it. The back-end has followed, or is gone, when vhost_memory_is_told; give_up ends the connection of one that takes too
 * long. */
void vhost_memory_changed(struct vhost_dev *d, const struct gm_hot *h, struct mem_range r, bool plug);
bool vhost_memory_is_told(const struct vhost_dev *d);
void vhost_memory_give_up(struct vhost_dev *d);

/* Meanwhile: the guest must make no requests for a moment. vhost_drain, with the vCPUs held, looks whether all are answered. */
bool vhost_drains(const struct vhost_dev *d);
void vhost_drain(struct vhost_dev *d);

/* For vhost_sync: does what can be done at once. true: the rings have to be stopped, and the start after that tells it all. */
bool vhost_memory_tell(struct vhost_dev *d);

/* Tells the back-end that there may be requests, in every ring. */
void vhost_kick(struct vhost_dev *d);

/* kinds.c: what differs by kind of device */
void vhost_kind_init(struct vhost_dev *d);
/* What the guest is shown, after the greeting; features without those of all devices. */
uint64_t vhost_kind_features(const struct vhost_dev *d);
/* Bytes of configuration space, written to config. */
uint32_t vhost_kind_config(const struct vhost_dev *d, uint8_t *config);
/* The queue that is worked on here: of a network device with several pairs. -1: none. */
int vhost_kind_own_queue(const struct vhost_dev *d);
void vhost_kind_process(struct vhost_dev *d, unsigned queue);
