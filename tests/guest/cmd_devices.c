/* Commands of the devices' drivers. */
#include "cmd.h"

static const char *cmd_vmem(void)
{
	return vmem_print();
}

static const char *cmd_plug(void)
{
	return vmem_request(cmd_arg[0], 0, cmd_arg[1], cmd_arg[2]);
}

static const char *cmd_unplug(void)
{
	return vmem_request(cmd_arg[0], 1, cmd_arg[1], cmd_arg[2]);
}

static const char *cmd_unplug_all(void)
{
	return vmem_request(cmd_arg[0], 2, 0, 0);
}

static const char *cmd_vstate(void)
{
	return vmem_request(cmd_arg[0], 3, cmd_arg[1], cmd_arg[2]);
}

static const char *cmd_vrequest(void)
{
	return vmem_request(cmd_arg[0], (unsigned)cmd_arg[1], cmd_arg[2], cmd_arg[3]);
}

static const char *cmd_vreset(void)
{
	return vmem_reset(cmd_arg[0]);
}

static const char *cmd_vcut(void)
{
	return vmem_cut(cmd_arg[0], (unsigned)cmd_arg[1], cmd_arg[2], cmd_arg[3]);
}

static const char *cmd_vrace(void)
{
	return vmem_race(cmd_arg[0], cmd_arg[1]);
}

static const char *cmd_follow(void)
{
	return vmem_follow(cmd_arg[0], cmd_n_args > 1 ? cmd_arg[1] : 64);
}

static const char *cmd_disk(void)
{
	return cmd_n_args ? disk_select(cmd_arg[0]) : disk_print();
}

static const char *cmd_ddma(void)
{
	return disk_dma(cmd_arg[0], cmd_n_args > 1 ? cmd_arg[1] : 2000);
}

static const char *cmd_dread(void)
{
	return disk_read(cmd_arg[0], cmd_arg[1]);
}

static const char *cmd_dwrite(void)
{
	return disk_write(cmd_arg[0], cmd_arg[1], cmd_arg[2]);
}

static const char *cmd_dverify(void)
{
	return disk_verify(cmd_arg[0], cmd_arg[1], cmd_arg[2]);
}

static const char *cmd_dflush(void)
{
	return disk_flush();
}

static const char *cmd_drun(void)
{
	return disk_run(cmd_text);
}

static const char *cmd_slots(void)
{
	return cmd_n_args ? dimm_serve(cmd_arg[0]) : dimm_print();
}

static const char *cmd_balloon(void)
{
	return balloon_print();
}

static const char *cmd_inflate(void)
{
	return balloon_pages(true, cmd_arg[0], cmd_arg[1], cmd_n_args > 2 ? cmd_arg[2] : 256);
}

static const char *cmd_deflate(void)
{
	return balloon_pages(false, cmd_arg[0], cmd_arg[1], cmd_n_args > 2 ? cmd_arg[2] : 256);
}

static const char *cmd_report(void)
{
	return balloon_report(cmd_arg[0], cmd_arg[1], cmd_n_args > 2 && cmd_arg[2] ? cmd_arg[2] : UINT64_C(0x400000));
}

static const char *cmd_bactual(void)
{
	return balloon_actual(cmd_arg[0]);
}

static const char *cmd_breset(void)
{
	return balloon_reset();
}

static const char *cmd_bstorm(void)
{
	return balloon_storm(cmd_arg[0], cmd_arg[1]);
}

const struct command device_commands[] = {
    {"vmem", "virtio-mem devices", 0, cmd_vmem},
    {"plug", "DEVICE GPA BLOCKS", 3, cmd_plug},
    {"unplug", "DEVICE GPA BLOCKS", 3, cmd_unplug},
    {"unplugall", "DEVICE", 1, cmd_unplug_all},
    {"vstate", "DEVICE GPA BLOCKS", 3, cmd_vstate},
    {"vrequest", "DEVICE TYPE GPA BLOCKS", 4, cmd_vrequest},
    {"vreset", "DEVICE: start its driver again", 1, cmd_vreset},
    {"vcut", "DEVICE TYPE GPA BLOCKS: a request, and a reset before its answer", 4, cmd_vcut},
    {"vrace", "DEVICE MS: two CPUs at one queue", 2, cmd_vrace},
    {"follow", "DEVICE [BLOCKS]: to the size that is asked for", 1, cmd_follow},
    {"disk", "[N]: tell of the virtio-blk devices, or choose one", 0, cmd_disk},
    {"ddma", "GPA [MS]: a page of the disk goes there, or not", 1, cmd_ddma},
    {"dread", "SECTOR COUNT: CRC-32", 2, cmd_dread},
    {"dwrite", "SECTOR COUNT PATTERN", 3, cmd_dwrite},
    {"dverify", "SECTOR COUNT PATTERN", 3, cmd_dverify},
    {"dflush", "", 0, cmd_dflush},
    {"drun", "op= depth= size= requests= seconds= queues= irq= blocks= from= last=", 0, cmd_drun, true},
    {"slots", "[HOW]: list memory slots, or answer all events: 1 take, 2 refuse, 4 eject, 8 keep", 0, cmd_slots},
    {"balloon", "", 0, cmd_balloon},
    {"inflate", "GPA LEN [PAGES AT ONCE]", 2, cmd_inflate},
    {"deflate", "GPA LEN [PAGES AT ONCE]", 2, cmd_deflate},
    {"report", "GPA LEN [BYTES AT ONCE]: a free range", 2, cmd_report},
    {"bactual", "PAGES: says that the balloon has so many", 1, cmd_bactual},
    {"breset", "start the balloon's driver again", 0, cmd_breset},
    {"bstorm", "GPA MS: requests without end, or until there is a key", 2, cmd_bstorm},
    {NULL},
};
