#!/bin/sh
# Is the emulated host what its topology says? Runs on it; TAP.
n=0
bad=0
check() { # WHAT EXPECTED FOUND
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		echo "# expected: $2"
		echo "# found:    $3"
		bad=1
	fi
}
here=$(dirname "$0")
conf=$here/topologies/$LAB_TOPOLOGY.conf
nodes=$(sed 's/#.*//' "$conf" | awk '$1 == "node" { print $2 }')
sys=/sys/devices/system/node

check "nodes" "$(echo $nodes | tr ' ' ',')" "$(numactl -H | awk '$1 == "node" && $3 == "size:" { print $2 }' | paste -sd,)"
for i in $nodes; do
	set -- $(sed 's/#.*//' "$conf" | awk -v i="$i" '$1 == "node" && $2 == i')
	cpus=$3
	[ "$cpus" != - ] || cpus=
	check "node $i: CPUs" "$cpus" "$(cat $sys/node"$i"/cpulist)"
	# The kernel keeps some memory for itself, most of it on node 0; less than a tenth.
	check "node $i: memory" yes "$(awk -v want="$4" '
		function mib(t) { return t ~ /G$/ ? t * 1024 : t + 0 }
		/MemTotal/ { have = $4 / 1024; print (have <= mib(want) && have > mib(want) * 0.9) ? "yes" : have " MiB of " want }
		' $sys/node"$i"/meminfo)"
	for size in 2M:2048 1G:1048576; do
		want=0
		for pool in "$@"; do
			[ "${pool%%=*}" != "${size%%:*}" ] || want=${pool#*=}
		done
		check "node $i: ${size%%:*} pool" "$want" "$(cat $sys/node"$i"/hugepages/hugepages-"${size#*:}"kB/free_hugepages)"
	done
	check "node $i: distances" "$(python3 -B - "$here" "$LAB_TOPOLOGY" "$i" <<'P'
import sys
sys.path.insert(0, sys.argv[1])
import topology
t = topology.load(sys.argv[2])
print(*(t.distances[int(sys.argv[3]), n.number] for n in t.nodes))
P
)" "$(cat $sys/node"$i"/distance)"
done

check "/dev/kvm makes a VM" "" "$(python3 -B "$here/../lib/kvm.py" 2>&1)"
for i in $nodes; do
	# dd's buffer is bound memory; numa_maps of the process itself says where its pages are.
	check "memory bound to node $i lies there" "bind:$i N$i" "$(numactl --membind="$i" python3 -B - <<'P'
import ctypes, mmap, re
m = mmap.mmap(-1, 8 << 20)
address = ctypes.addressof(ctypes.c_char.from_buffer(m))
m[:] = b'x' * len(m)
for line in open('/proc/self/numa_maps'):
    words = line.split()
    if words[0] == '%x' % address:
        print(*[w for w in words if w.startswith('bind')] + [w.split('=')[0] for w in words if re.match(r'N\d+=', w)])
P
)"
done
check "KSM" yes "$([ -w /sys/kernel/mm/ksm/run ] && echo yes)"
check "userfaultfd" yes "$([ -e /proc/sys/vm/unprivileged_userfaultfd ] && echo yes)"
check "cgroup v2" "cpuset cpu io memory hugetlb pids rdma misc" "$(cat /sys/fs/cgroup/cgroup.controllers)"
check "the root directory's own disk cannot be written" yes "$(touch /run/job/.writable 2>/dev/null && [ "$(stat -f -c %T /)" = overlayfs ] && echo yes)"
# A second or more after boot the kernel is done with measuring it, and takes longer where it is disturbed at that.
clock() {
	for _ in $(seq 2400); do
		now=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
		[ "$now" = tsc-early ] || break
		sleep 0.1
	done
	echo "$now"
}
check "clock" tsc "$(clock)"
echo "1..$n"
exit $bad
