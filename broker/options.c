#include "options.h"

#include "listen.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bulkhead-broker [OPTIONS]\n"
    "\n"
    "Creates and supervises virtual machines for the clients of one socket. Started by systemd, by hand, or by\n"
    "`bulkhead run`, which starts a private one where none is running.\n"
    "\n"
    "  --socket PATH             where to listen [default: " BROKER_SOCKET "]; not with systemd's socket\n"
    "  --group GID               group of the socket, as a number\n"
    "  --socket-mode MODE        octal [default: 0660]\n"
    "  --allow-dir DIR           kernels, initramfs and memory files must lie below; may be repeated [default: anywhere]\n"
    "  --dev-kvm PATH            [default: /dev/kvm]\n"
    "  --dev-sgx-vepc PATH       [default: /dev/sgx_vepc]; a regular file named here stands in for it, for tests\n"
    "  --cgroup DIR              of cgroup v2, for the broker and one below for each back-end [default: its own, if\n"
    "                            systemd has delegated it]\n"
    "  --max-vms N               at the same time [default: 256, which is the most]\n"
    "  --max-vms-per-user N      for users other than root [default: 16]\n"
    "  --private                 serve one client on descriptor 3 and end with it\n"
    "  --backends                with --private: be ready to start back-ends of devices\n"
    "  --version, --help\n";

static int number(const char *option, const char *text, int base, unsigned long max, unsigned long *ret, struct err *e)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, base);
	if (errno || end == text || *end || text[0] < '0' || text[0] > '9' || v > max)
		return err_set(e, -EINVAL, "--%s %s: a number up to %lu is needed", option, text, max);
	*ret = v;
	return 0;
}

static int allow_dir(struct options *o, const char *dir, struct err *e)
{
	if (dir[0] != '/' || strlen(dir) > LIM_PATH)
		return err_set(e, -EINVAL, "--allow-dir %s: an absolute path is needed", dir);
	if (o->n_allow == BROKER_ALLOW_DIRS)
		return err_set(e, -EINVAL, "--allow-dir: at most %u directories", BROKER_ALLOW_DIRS);
	o->allow[o->n_allow++] = dir;
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret, struct err *e)
{
	static const struct option names[] = {
	    {"socket", required_argument, NULL, 's'},
	    {"group", required_argument, NULL, 'g'},
	    {"socket-mode", required_argument, NULL, 'm'},
	    {"allow-dir", required_argument, NULL, 'a'},
	    {"dev-kvm", required_argument, NULL, 'k'},
	    {"dev-sgx-vepc", required_argument, NULL, 'e'},
	    {"cgroup", required_argument, NULL, 'c'},
	    {"max-vms", required_argument, NULL, 'n'},
	    {"max-vms-per-user", required_argument, NULL, 'u'},
	    {"private", no_argument, NULL, 'p'},
	    {"backends", no_argument, NULL, 'b'},
	    {"version", no_argument, NULL, 'v'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	struct options o = {.socket = BROKER_SOCKET,
			    .group = LISTEN_GROUP_NONE,
			    .mode = 0660,
			    .kvm = "/dev/kvm",
			    .vepc = "/dev/sgx_vepc",
			    .max_vms = LIM_VMS,
			    .max_vms_per_user = BROKER_VMS_PER_USER};
	unsigned long v = 0;
	int c, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			o.socket = optarg;
			break;
		case 'g':
			r = number("group", optarg, 10, UINT32_MAX - 1, &v, e);
			o.group = (gid_t)v;
			break;
		case 'm':
			r = number("socket-mode", optarg, 8, 0777, &v, e);
			o.mode = (mode_t)v;
			break;
		case 'a':
			r = allow_dir(&o, optarg, e);
			break;
		case 'k':
			o.kvm = optarg;
			break;
		case 'e':
			o.vepc = optarg;
			o.vepc_named = true;
			break;
		case 'c':
			o.cgroup = optarg;
			if (optarg[0] != '/')
				r = err_set(e, -EINVAL, "--cgroup %s: an absolute path is needed, below /sys/fs/cgroup", optarg);
			break;
		case 'n':
			r = number("max-vms", optarg, 10, LIM_VMS, &v, e);
			o.max_vms = (uint32_t)v;
			break;
		case 'u':
			r = number("max-vms-per-user", optarg, 10, LIM_VMS, &v, e);
			o.max_vms_per_user = (uint32_t)v;
			break;
		case 'p':
			o.private_fd = true;
			break;
		case 'b':
			o.backends = true;
			break;
		case 'v':
			puts("bulkhead-broker " BULKHEAD_VERSION);
			return 1;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			return err_set(e, -EINVAL, "the command line is wrong; try --help");
		}
	}
	if (r == 0 && optind < argc)
		return err_set(e, -EINVAL, "%s: this program takes no arguments; try --help", argv[optind]);
	if (r == 0)
		*ret = o;
	return r;
}
