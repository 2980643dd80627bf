/* SGX EPC sections: memory of the processor's own, which the kernel hands out by mappings of /dev/sgx_vepc. This process maps it
 * for KVM and never looks at it: outside of an enclave it reads as all ones and writes go nowhere (Intel SDM 3D, 37.3). */
#include "guestmem/map.h"

#include <errno.h>
#include <sys/mman.h>

#define EPC_MAP_ALIGN (2 * MiB)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int map_section(const struct mem_plan *plan, size_t i, int fd, uint8_t **ret_at, struct err *e)
{
	gspan_t at = plan->epc[i].at;
	uint8_t *host = NULL;
	int r = gm_reserve(at.len.v, EPC_MAP_ALIGN, at.start.v, &host);

	if (r < 0)
		return err_sys(e, r, "EPC section %s: no room for %llu KiB in the worker's address space", plan->epc[i].id,
			       (unsigned long long)(at.len.v / KiB));
	/* Whole and at its beginning: what the kernel gives belongs to this mapping, every open of the device is another section.
	 */
	if (mmap(host, (size_t)at.len.v, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, fd, 0) == MAP_FAILED)
		return err_sys(e, -errno, "EPC section %s: cannot map %llu KiB", plan->epc[i].id,
			       (unsigned long long)(at.len.v / KiB));
	if (madvise(host, (size_t)at.len.v, MADV_DONTDUMP) < 0 || madvise(host, (size_t)at.len.v, MADV_DONTFORK) < 0)
		return err_sys(e, -errno, "EPC section %s: madvise", plan->epc[i].id);
	*ret_at = host;
	return 0;
}

/* The device's mappings are of a kind that MADV_POPULATE_WRITE refuses (EINVAL: VM_PFNMAP); there a page comes by reading a byte
 * of it. None left is a SIGBUS then, which sigbus.c makes a report of. */
static int populate(const struct gm_epc *s, const char *id, struct err *e)
{
	if (madvise(s->host, (size_t)s->at.len.v, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return err_sys(e, -errno, "EPC section %s: the host cannot give all of its pages now", id);
	for (uint64_t at = 0; at < s->at.len.v; at += GUEST_PAGE)
		(void)*(const volatile uint8_t *)(s->host + at);
	return 0;
}

int epc_map(struct guestmem *gm, const int *fds, struct err *e)
{
	const struct mem_plan *plan = gm->plan;

	gm->n_epc = 0;
	for (size_t i = 0; i < plan->n_epc; i++) {
		struct gm_epc s = {.at = plan->epc[i].at};
		int r = map_section(plan, i, fds[i], &s.host, e);

		if (r < 0 || !s.host)
			return r;
		gm->epc[gm->n_epc++] = s;
		if (plan->epc[i].prefault)
			r = populate(&s, plan->epc[i].id, e);
		if (r < 0)
			return r;
	}
	return 0;
}

const char *epc_id_at(const struct guestmem *gm, const void *host)
{
	for (size_t i = 0; i < gm->n_epc; i++) {
		const struct gm_epc *s = &gm->epc[i];

		if ((const uint8_t *)host >= s->host && (uint64_t)((const uint8_t *)host - s->host) < s->at.len.v)
			return gm->plan->epc[i].id;
	}
	return NULL;
}
