/* The names a policy may use. Values come from the kernel's and the C library's headers, never from memory. */
#include "gen.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

struct name {
	const char *name;
	uint64_t value;
};

/* Signed constants (AT_FDCWD) keep their 64-bit form; negative ioctl numbers do not exist in the kernel's type. */
#define N(x)                                                                                                                     \
	{                                                                                                                        \
#x, (uint64_t)(x)                                                                                                \
	}

/* One name a line would make 400 lines of it. */
/* clang-format off */
static const struct name names[] = {
	N(PROT_NONE), N(PROT_READ), N(PROT_WRITE), N(PROT_EXEC), N(MAP_SHARED), N(MAP_PRIVATE), N(MAP_SHARED_VALIDATE),
	N(MAP_TYPE), N(MAP_FIXED), N(MAP_ANONYMOUS), N(MAP_NORESERVE), N(MAP_POPULATE), N(MAP_LOCKED), N(MAP_HUGETLB),
	N(MAP_STACK), N(MAP_GROWSDOWN), N(MAP_FIXED_NOREPLACE), N(MAP_DENYWRITE), N(MREMAP_MAYMOVE), N(MREMAP_FIXED),
	N(MADV_NORMAL), N(MADV_RANDOM), N(MADV_SEQUENTIAL), N(MADV_WILLNEED), N(MADV_DONTNEED), N(MADV_FREE), N(MADV_REMOVE),
	N(MADV_DONTFORK), N(MADV_DOFORK), N(MADV_MERGEABLE), N(MADV_UNMERGEABLE), N(MADV_HUGEPAGE), N(MADV_NOHUGEPAGE),
	N(MADV_DONTDUMP), N(MADV_DODUMP), N(MADV_COLD), N(MADV_PAGEOUT), N(MADV_POPULATE_READ), N(MADV_POPULATE_WRITE),
	N(MFD_CLOEXEC), N(MFD_ALLOW_SEALING), N(MFD_HUGETLB), N(MFD_HUGE_2MB), N(MFD_HUGE_1GB), N(F_DUPFD),
	N(F_DUPFD_CLOEXEC), N(F_GETFD), N(F_SETFD), N(F_GETFL), N(F_SETFL), N(F_ADD_SEALS), N(F_GET_SEALS), N(F_GETLK),
	N(F_SETLK), N(F_OFD_SETLK), N(F_OFD_GETLK), N(F_OFD_SETLKW), N(F_SETSIG), N(F_SETOWN), N(FD_CLOEXEC), N(F_SEAL_SEAL),
	N(F_SEAL_SHRINK), N(F_SEAL_GROW), N(F_SEAL_WRITE), N(F_SEAL_FUTURE_WRITE), N(O_RDONLY), N(O_WRONLY), N(O_RDWR),
	N(O_ACCMODE), N(O_CREAT), N(O_EXCL), N(O_NOCTTY), N(O_TRUNC), N(O_APPEND), N(O_NONBLOCK), N(O_CLOEXEC),
	N(O_DIRECTORY), N(O_NOFOLLOW), N(O_PATH), N(O_TMPFILE), N(OPEN_TREE_CLONE), N(OPEN_TREE_CLOEXEC), N(S_IFMT), N(S_IFREG),
	N(S_IFIFO), N(S_IFSOCK), N(S_ISUID), N(S_ISGID), N(AT_FDCWD), N(AT_EMPTY_PATH), N(AT_REMOVEDIR), N(AT_STATX_DONT_SYNC),
	N(AT_SYMLINK_NOFOLLOW),
	N(FALLOC_FL_KEEP_SIZE), N(FALLOC_FL_PUNCH_HOLE), N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE),
	N(EFD_CLOEXEC), N(EFD_NONBLOCK), N(EFD_SEMAPHORE), N(EPOLL_CLOEXEC), N(TFD_CLOEXEC), N(TFD_NONBLOCK), N(SFD_CLOEXEC),
	N(SFD_NONBLOCK), N(RWF_NOWAIT), N(RWF_HIPRI), N(POSIX_FADV_DONTNEED), N(POSIX_FADV_SEQUENTIAL), N(GRND_NONBLOCK),
	N(GRND_RANDOM), N(CLONE_VM), N(CLONE_FS), N(CLONE_FILES), N(CLONE_SIGHAND), N(CLONE_PTRACE), N(CLONE_VFORK),
	N(CLONE_PARENT), N(CLONE_THREAD), N(CLONE_NEWNS), N(CLONE_SYSVSEM), N(CLONE_SETTLS), N(CLONE_PARENT_SETTID),
	N(CLONE_CHILD_CLEARTID), N(CLONE_CHILD_SETTID), N(CLONE_DETACHED), N(CLONE_UNTRACED), N(CLONE_PIDFD),
	N(CLONE_NEWCGROUP), N(CLONE_NEWUTS), N(CLONE_NEWIPC), N(CLONE_NEWUSER), N(CLONE_NEWPID), N(CLONE_NEWNET), N(CLONE_IO),
	N(SCHED_BATCH), N(SCHED_IDLE), N(SCHED_FIFO), N(SCHED_RR), N(PR_SET_PDEATHSIG), N(PR_GET_PDEATHSIG),
	N(PR_GET_DUMPABLE), N(PR_SET_DUMPABLE), N(PR_SET_NAME), N(PR_GET_NAME), N(PR_GET_SECCOMP), N(PR_SET_SECCOMP),
	N(PR_CAPBSET_READ), N(PR_CAPBSET_DROP), N(PR_GET_SECUREBITS), N(PR_SET_SECUREBITS), N(PR_SET_NO_NEW_PRIVS),
	N(PR_GET_NO_NEW_PRIVS), N(PR_CAP_AMBIENT), N(PR_CAP_AMBIENT_IS_SET), N(PR_CAP_AMBIENT_CLEAR_ALL),
	N(PR_SET_TIMERSLACK), N(PR_SET_IO_FLUSHER), N(PR_SET_VMA), N(PR_SET_VMA_ANON_NAME), N(PR_SET_THP_DISABLE), N(PR_GET_THP_DISABLE),
	N(PR_SET_MM), N(PR_GET_SPECULATION_CTRL), N(PR_MCE_KILL), N(PR_MCE_KILL_EARLY), N(SECCOMP_SET_MODE_FILTER),
	N(SECCOMP_FILTER_FLAG_TSYNC), N(SECCOMP_GET_ACTION_AVAIL), N(ARCH_SET_FS), N(ARCH_GET_FS), N(AF_UNIX), N(AF_INET),
	N(AF_INET6), N(AF_NETLINK), N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_SEQPACKET), N(SOCK_CLOEXEC), N(SOCK_NONBLOCK),
	N(SOL_SOCKET), N(SO_PEERCRED), N(SO_PEERSEC), N(SO_PASSCRED), N(SO_SNDBUF), N(SO_RCVBUF), N(SO_RCVTIMEO),
	N(SO_SNDTIMEO), N(SO_TYPE), N(SO_DOMAIN), N(SO_ACCEPTCONN), N(SO_ERROR), N(SO_LINGER), N(MSG_NOSIGNAL), N(MSG_DONTWAIT),
	N(MSG_CMSG_CLOEXEC), N(MSG_PEEK), N(MSG_TRUNC), N(SHUT_RD), N(SHUT_WR), N(SHUT_RDWR), N(FUTEX_WAIT), N(FUTEX_WAKE),
	N(FUTEX_REQUEUE), N(FUTEX_CMP_REQUEUE), N(FUTEX_WAKE_OP), N(FUTEX_LOCK_PI), N(FUTEX_UNLOCK_PI), N(FUTEX_WAIT_BITSET),
	N(FUTEX_WAKE_BITSET), N(FUTEX_PRIVATE_FLAG), N(FUTEX_CLOCK_REALTIME), N(FUTEX_CMD_MASK), N(SIGHUP), N(SIGINT),
	N(SIGQUIT), N(SIGKILL), N(SIGUSR1), N(SIGUSR2), N(SIGTERM), N(SIGCHLD), N(SIGPIPE), N(SIGALRM), N(SIGSYS), N(SIGBUS), N(SIGXFSZ),
	N(SIGSEGV), N(SIGABRT), N(SIG_BLOCK), N(SIG_UNBLOCK), N(SIG_SETMASK), N(WNOHANG), N(WEXITED), N(P_ALL), N(P_PID),
	N(P_PIDFD), N(CLOCK_REALTIME), N(CLOCK_MONOTONIC), N(CLOCK_MONOTONIC_RAW), N(CLOCK_BOOTTIME), N(TIMER_ABSTIME),
	N(MS_RDONLY), N(MS_NOSUID), N(MS_NODEV), N(MS_NOEXEC), N(MS_BIND), N(MS_REC), N(MS_PRIVATE), N(MNT_DETACH),
	N(UMOUNT_NOFOLLOW), N(MPOL_DEFAULT), N(MPOL_PREFERRED), N(MPOL_BIND), N(MPOL_INTERLEAVE), N(MPOL_LOCAL),
	N(MPOL_PREFERRED_MANY), N(MPOL_F_STATIC_NODES), N(MPOL_MF_STRICT), N(MPOL_MF_MOVE), N(MPOL_F_NODE), N(MPOL_F_ADDR),
	N(MPOL_F_MEMS_ALLOWED), N(MPOL_MF_MOVE_ALL), N(FIONREAD), N(FIONBIO), N(FIOCLEX), N(TCGETS), N(TCSETS), N(TIOCGWINSZ),
	N(TIOCSTI), N(BLKGETSIZE64), N(BLKSSZGET), N(BLKDISCARD), N(FICLONE), N(RLIMIT_NOFILE), N(RLIMIT_CORE),
	N(RLIMIT_MEMLOCK), N(RLIMIT_STACK), N(RLIMIT_NPROC), N(RLIMIT_AS), N(RLIMIT_DATA), N(VFIO_GET_API_VERSION),
	N(VFIO_CHECK_EXTENSION), N(VFIO_SET_IOMMU), N(VFIO_GROUP_GET_STATUS), N(VFIO_GROUP_SET_CONTAINER),
	N(VFIO_GROUP_UNSET_CONTAINER), N(VFIO_GROUP_GET_DEVICE_FD), N(VFIO_DEVICE_GET_INFO), N(VFIO_DEVICE_GET_REGION_INFO),
	N(VFIO_DEVICE_GET_IRQ_INFO), N(VFIO_DEVICE_SET_IRQS), N(VFIO_DEVICE_RESET), N(VFIO_IOMMU_GET_INFO),
	N(VFIO_IOMMU_MAP_DMA), N(VFIO_IOMMU_UNMAP_DMA), N(UFFDIO_API), N(UFFDIO_REGISTER), N(UFFDIO_UNREGISTER),
	N(UFFDIO_WAKE), N(UFFDIO_COPY), N(UFFDIO_ZEROPAGE), N(UFFDIO_WRITEPROTECT), N(UFFDIO_CONTINUE),
	N(UFFD_USER_MODE_ONLY), N(KVM_GET_API_VERSION), N(KVM_CREATE_VM), N(KVM_GET_MSR_INDEX_LIST), N(KVM_CHECK_EXTENSION),
	N(KVM_GET_VCPU_MMAP_SIZE), N(KVM_GET_SUPPORTED_CPUID), N(KVM_GET_MSR_FEATURE_INDEX_LIST), N(KVM_CREATE_VCPU),
	N(KVM_GET_DIRTY_LOG), N(KVM_SET_USER_MEMORY_REGION), N(KVM_SET_TSS_ADDR), N(KVM_SET_IDENTITY_MAP_ADDR),
	N(KVM_CREATE_IRQCHIP), N(KVM_IRQ_LINE), N(KVM_GET_IRQCHIP), N(KVM_SET_IRQCHIP), N(KVM_SET_GSI_ROUTING),
	N(KVM_IOEVENTFD), N(KVM_IRQFD), N(KVM_SET_BOOT_CPU_ID), N(KVM_IOEVENTFD), N(KVM_SET_CLOCK), N(KVM_GET_CLOCK),
	N(KVM_CREATE_PIT2), N(KVM_GET_PIT2), N(KVM_SET_PIT2), N(KVM_SET_TSC_KHZ), N(KVM_GET_TSC_KHZ), N(KVM_SIGNAL_MSI),
	N(KVM_RUN), N(KVM_GET_REGS), N(KVM_SET_REGS), N(KVM_GET_SREGS), N(KVM_SET_SREGS), N(KVM_TRANSLATE), N(KVM_INTERRUPT),
	N(KVM_GET_MSRS), N(KVM_SET_MSRS), N(KVM_SET_SIGNAL_MASK), N(KVM_GET_FPU), N(KVM_SET_FPU), N(KVM_GET_LAPIC),
	N(KVM_SET_LAPIC), N(KVM_SET_CPUID2), N(KVM_GET_CPUID2), N(KVM_GET_MP_STATE), N(KVM_SET_MP_STATE), N(KVM_NMI),
	N(KVM_SET_GUEST_DEBUG), N(KVM_GET_VCPU_EVENTS), N(KVM_SET_VCPU_EVENTS), N(KVM_GET_DEBUGREGS), N(KVM_SET_DEBUGREGS),
	N(KVM_ENABLE_CAP), N(KVM_SMI), N(KVM_CLEAR_DIRTY_LOG), N(KVM_GET_SREGS2), N(KVM_SET_SREGS2), N(KVM_GET_STATS_FD),
	N(KVM_GET_XSAVE), N(KVM_GET_XSAVE2), N(KVM_SET_XSAVE), N(KVM_GET_XCRS), N(KVM_SET_XCRS), N(KVM_KVMCLOCK_CTRL),
	N(KVM_CREATE_DEVICE), N(KVM_SET_DEVICE_ATTR), N(KVM_GET_DEVICE_ATTR), N(KVM_HAS_DEVICE_ATTR),
	N(KVM_SET_PMU_EVENT_FILTER), N(KVM_X86_SETUP_MCE), N(KVM_X86_GET_MCE_CAP_SUPPORTED), N(KVM_X86_SET_MCE),
	N(KVM_X86_SET_MSR_FILTER), N(KVM_RESET_DIRTY_RINGS),
};
/* clang-format on */

static const struct name errnos[] = {
    N(ENOSYS), N(EPERM), N(EACCES), N(EINVAL), N(ENOTSUP), N(EOPNOTSUPP), N(ENODEV), N(ENOENT), N(ENOTTY), N(EROFS),
};

#define L(x)                                                                                                                     \
	{                                                                                                                        \
#x, RLIMIT_##x                                                                                                   \
	}
static const struct name rlimits[] = {
    L(NOFILE), L(CORE), L(MEMLOCK), L(MSGQUEUE), L(RTPRIO), L(NICE), L(STACK), L(NPROC), L(FSIZE), L(AS), L(DATA), L(SIGPENDING),
};

static const struct name caps[] = {
    {"setuid", CAP_SETUID}, {"setgid", CAP_SETGID},         {"sys_admin", CAP_SYS_ADMIN}, {"sys_chroot", CAP_SYS_CHROOT},
    {"kill", CAP_KILL},     {"sys_ptrace", CAP_SYS_PTRACE}, {"setpcap", CAP_SETPCAP},
    {"dac_override", CAP_DAC_OVERRIDE},
};

static const struct name namespaces[] = {
    {"mount", CLONE_NEWNS}, {"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET},
    {"ipc", CLONE_NEWIPC},  {"uts", CLONE_NEWUTS},   {"cgroup", CLONE_NEWCGROUP},
};

static bool lookup(const struct name *table, size_t n, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0) {
			*ret = table[i].value;
			return true;
		}
	return false;
}

static bool lookup_int(const struct name *table, size_t n, const char *name, int *ret)
{
	uint64_t v;

	if (!lookup(table, n, name, &v))
		return false;
	*ret = (int)v;
	return true;
}

bool name_value(const char *name, uint64_t *ret_value)
{
	return lookup(names, ARRAY_LEN(names), name, ret_value);
}

bool errno_value(const char *name, int *ret_errnum)
{
	return lookup_int(errnos, ARRAY_LEN(errnos), name, ret_errnum);
}

bool rlimit_value(const char *name, int *ret_resource)
{
	return lookup_int(rlimits, ARRAY_LEN(rlimits), name, ret_resource);
}

bool cap_value(const char *name, int *ret_cap)
{
	return lookup_int(caps, ARRAY_LEN(caps), name, ret_cap);
}

bool namespace_value(const char *name, uint64_t *ret_flag)
{
	return lookup(namespaces, ARRAY_LEN(namespaces), name, ret_flag);
}
