#include "place/text.h"

#include <inttypes.h>
#include <stdio.h>

const char *place_size_text(char *buf, size_t cap, uint64_t bytes)
{
	static const struct {
		uint64_t unit;
		const char *name;
	} units[] = {{TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		uint64_t whole = bytes / units[i].unit, rest = bytes % units[i].unit;

		if (whole == 0)
			continue;
		/* 1030 MiB of 1032 MiB says more than 1.0 GiB of 1.0 GiB. */
		if (rest && whole < 10 && i + 1 < ARRAY_LEN(units) && bytes % units[i + 1].unit == 0)
			continue;
		if (rest == 0)
			snprintf(buf, cap, "%" PRIu64 " %s", whole, units[i].name);
		else
			snprintf(buf, cap, "%" PRIu64 ".%u %s", whole, (unsigned)(rest * 10 / units[i].unit), units[i].name);
		return buf;
	}
	snprintf(buf, cap, "%" PRIu64 " bytes", bytes);
	return buf;
}

const char *place_nodes_text(char *buf, size_t cap, const struct nodeset *nodes)
{
	size_t used;

	if (cap)
		buf[0] = '\0';
	if (nodeset_empty(nodes))
		return buf;
	used = (size_t)snprintf(buf, cap, nodeset_count(nodes) == 1 ? " on host node " : " on host nodes ");
	for (int i = nodeset_next(nodes, 0), first = i; i >= 0;) {
		int last = i;

		while (nodeset_has(nodes, (uint32_t)last + 1))
			last++;
		if (used + 16 >= cap) {
			snprintf(buf + used, cap - used, "...");
			break;
		}
		used += (size_t)snprintf(buf + used, cap - used, last > i ? "%s%d-%d" : "%s%d", i == first ? "" : ",", i, last);
		i = nodeset_next(nodes, last + 1);
	}
	return buf;
}
