/* MSI-X (PCI 3.0, 6.8.2): the table and the pending bits as the guest sees them in a BAR, and which message a vector's interrupt
 * is. PURE: messages leave by a function of the owner's. */
#pragma once
#include "bulkhead/base.h"

#define MSIX_VECTORS_MAX 64u
#define MSIX_NO_VECTOR   0xffffu
#define MSIX_ENTRY_LEN   16u

typedef void msix_send_fn(void *arg, uint64_t addr, uint32_t data);

struct msix_entry {
	uint64_t addr;
	uint32_t data;
	uint32_t masked; /* vector control: bit 0, the others read as 0 */
};
_Static_assert(sizeof(struct msix_entry) == MSIX_ENTRY_LEN, "PCI 3.0, 6.8.2: the layout in the BAR");

struct msix {
	msix_send_fn *send;
	void *arg;
	unsigned n;
	bool enabled, function_masked, master;
	struct msix_entry entry[MSIX_VECTORS_MAX];
	uint64_t pending; /* bit by vector */
	/* For a device whose interrupts go past msix_trigger; NULL: none. rerouted: whether this vector's messages may leave, or
	 * which, may have changed. collect: before pending bits are read, msix_trigger what has been held back. */
	void (*rerouted)(void *owner, unsigned vector);
	void (*collect)(void *owner);
	void *owner;
};

void msix_init(struct msix *m, unsigned n, msix_send_fn *send, void *arg);

/* The message control register or bus mastering has changed. */
void msix_set_state(struct msix *m, bool enabled, bool function_masked, bool master);

/* An access inside table or pending bit array, offset from its start. */
void msix_table_access(struct msix *m, uint64_t offset, uint8_t *data, unsigned len, bool write);
void msix_pba_access(const struct msix *m, uint64_t offset, uint8_t *data, unsigned len, bool write);

/* true: messages of this vector leave at once. */
bool msix_is_open(const struct msix *m, unsigned vector);

/* The device wants the guest's attention. Vectors that do not exist (MSIX_NO_VECTOR) and disabled MSI-X: nothing happens. */
void msix_trigger(struct msix *m, unsigned vector);
