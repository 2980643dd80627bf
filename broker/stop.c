#include "broker.h"
#include "log.h"
#include "notify.h"

#define PATIENCE_MS 8000u /* for VMs to end when the broker ends; longer than every step of a take-down that works */

void broker_stop(struct broker *b, const char *why)
{
	if (b->stopping)
		return;
	if (why && !b->opt.private_fd)
		log_line("ending: %s", why);
	b->stopping = true;
	if (!b->stop_by)
		b->stop_by = now_ms() + PATIENCE_MS;
	notify_say(b->notify, "STOPPING=1");
}
