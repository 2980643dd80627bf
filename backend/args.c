#include "args.h"

#include "bulkhead/base.h"

#include <stdio.h>
#include <string.h>

#define STR_(x) #x
#define STR(x)  STR_(x)

static const char *on(const struct backend_start *s, uint32_t flag)
{
	return s->flags & flag ? "on" : "off";
}

static const char *discard(const struct backend_start *s)
{
	return s->flags & BACKEND_DISCARD ? "unmap" : "ignore";
}

void args_build(struct args *a, const struct backend_start *s)
{
	static char blockdev[] = "--blockdev", export[] = "--export";
	bool qcow2 = s->flags & BACKEND_QCOW2, readonly = s->flags & BACKEND_READONLY;
	char *const argv[] = {a->name, blockdev, a->file, blockdev, a->format, export, a->export, NULL};

	snprintf(a->name, sizeof(a->name), "qemu-storage-daemon");
	/* locking=on: two that write to one image are told so, whoever started them. */
	snprintf(a->file, sizeof(a->file),
		 "driver=file,node-name=file,filename=" BACKEND_IMAGE_PATH
		 ",locking=on,aio=threads,read-only=%s,discard=%s,cache.direct=%s",
		 on(s, BACKEND_READONLY), discard(s), on(s, BACKEND_DIRECT));
	snprintf(a->format, sizeof(a->format), "driver=%s,node-name=disk,file=file,read-only=%s,discard=%s,cache.direct=%s",
		 qcow2 ? "qcow2" : "raw", on(s, BACKEND_READONLY), discard(s), on(s, BACKEND_DIRECT));
	/* qcow2 keeps in memory where it has put things. When it is killed, writes that the guest believes in would be lost with
	 * that, so each is made to last before the guest hears of it. A raw image has no such memory. */
	snprintf(a->export, sizeof(a->export),
		 "type=vhost-user-blk,id=disk,node-name=disk,addr.type=fd,addr.str=" STR(
		     BACKEND_FD_LISTENER) ",num-queues=%u,writable=%s,writethrough=%s",
		 s->num_queues, readonly ? "off" : "on", qcow2 && !readonly ? "on" : "off");
	memcpy(a->argv, argv, sizeof(argv));
}
