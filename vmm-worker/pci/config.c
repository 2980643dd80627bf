#include "pci/config.h"

#include <assert.h>
#include <linux/pci_regs.h>
#include <string.h>

#define HEADER_END 0x40u

void pci_config_init(struct pci_config *c, const struct pci_id *id)
{
	*c = (struct pci_config){.caps_end = HEADER_END};
	pci_config_set(c, PCI_VENDOR_ID, 2, id->vendor);
	pci_config_set(c, PCI_DEVICE_ID, 2, id->device);
	pci_config_set(c, PCI_CLASS_REVISION, 4, id->class_code << 8 | id->revision);
	pci_config_set(c, PCI_SUBSYSTEM_VENDOR_ID, 2, id->subsystem_vendor);
	pci_config_set(c, PCI_SUBSYSTEM_ID, 2, id->subsystem);
	/* No I/O space, no INTx: those bits of the command register stay 0, but for "interrupt disable", which costs nothing. */
	c->writable[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	c->writable[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	c->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	c->writable[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_config_bar64(struct pci_config *c, unsigned bar, uint64_t size, uint64_t addr)
{
	unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t mask = ~(size - 1);

	assert(bar + 1 < PCI_BARS && is_pow2(size) && size >= 16 && is_aligned(addr, size));
	c->bar_size[bar] = size;
	pci_config_set(c, at, 4, (uint32_t)addr | PCI_BASE_ADDRESS_MEM_TYPE_64);
	pci_config_set(c, at + 4, 4, (uint32_t)(addr >> 32));
	/* It has its address, and so it answers, as after firmware. */
	c->byte[PCI_COMMAND] |= PCI_COMMAND_MEMORY;
	memcpy(&c->writable[at], &mask, sizeof(mask));
}

unsigned pci_config_cap(struct pci_config *c, uint8_t id, unsigned len)
{
	unsigned at = c->caps_end;

	assert(len >= 2 && len <= PCI_CONFIG_LEN - at);
	c->byte[at] = id;
	if (c->last_cap)
		c->byte[c->last_cap + 1] = (uint8_t)at;
	else
		c->byte[PCI_CAPABILITY_LIST] = (uint8_t)at;
	c->byte[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	c->last_cap = at;
	c->caps_end = (at + len + 3u) & ~3u;
	return at;
}

void pci_config_set(struct pci_config *c, unsigned offset, unsigned len, uint32_t value)
{
	assert(len <= sizeof(value) && offset + len <= PCI_CONFIG_LEN);
	memcpy(&c->byte[offset], &value, len);
}

uint32_t pci_config_get(const struct pci_config *c, unsigned offset, unsigned len)
{
	uint32_t value = 0;

	assert(len <= sizeof(value) && offset + len <= PCI_CONFIG_LEN);
	memcpy(&value, &c->byte[offset], len);
	return value;
}

static bool sane(uint64_t offset, unsigned len)
{
	return (len == 1 || len == 2 || len == 4) && offset < PCI_CONFIG_LEN && (offset & 3) + len <= 4;
}

void pci_config_read(const struct pci_config *c, uint64_t offset, uint8_t *data, unsigned len)
{
	memset(data, 0xff, len);
	if (sane(offset, len))
		memcpy(data, &c->byte[offset], len);
}

unsigned pci_config_write(struct pci_config *c, uint64_t offset, const uint8_t *data, unsigned len)
{
	unsigned changed = 0;

	if (!sane(offset, len))
		return 0;
	for (unsigned i = 0; i < len; i++) {
		unsigned at = (unsigned)offset + i;
		uint8_t old = c->byte[at], now = (uint8_t)((old & ~c->writable[at]) | (data[i] & c->writable[at]));

		c->byte[at] = now;
		if (now == old)
			continue;
		if (at >= HEADER_END)
			changed |= PCI_CHANGED_CAPS;
		else if (at >= PCI_BASE_ADDRESS_0 && at < PCI_BASE_ADDRESS_0 + 4 * PCI_BARS)
			changed |= PCI_CHANGED_DECODE;
		else if (at == PCI_COMMAND)
			changed |= ((old ^ now) & PCI_COMMAND_MEMORY ? PCI_CHANGED_DECODE : 0u) |
				   ((old ^ now) & PCI_COMMAND_MASTER ? PCI_CHANGED_MASTER : 0u);
	}
	return changed;
}

bool pci_config_bar_at(const struct pci_config *c, unsigned bar, uint64_t *ret_addr)
{
	unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;

	if (bar >= PCI_BARS || c->bar_size[bar] == 0 || !(c->byte[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return false;
	*ret_addr = (uint64_t)pci_config_get(c, at + 4, 4) << 32 | (pci_config_get(c, at, 4) & ~0xfu);
	return true;
}

bool pci_config_is_master(const struct pci_config *c)
{
	return c->byte[PCI_COMMAND] & PCI_COMMAND_MASTER;
}
