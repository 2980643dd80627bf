#!/bin/sh
# The probe guest under QEMU's own CPU: a machine that is not ours, so that what the guest says of ours can be believed.
set -u
elf=$BULKHEAD_OBJ/tests/guest/probe.elf
out=$TEST_TMP/out
n=0
pid=

check() { # WHAT COMMAND...
	what=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		sed 's/^/# | /' "$out"
	fi
}

finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
}
trap finish EXIT

# Output goes to $out, input comes from $TEST_TMP/in by descriptor 3.
start() { # MACHINE APPEND QEMU-ARGUMENTS...
	machine=$1
	append=$2
	shift 2
	rm -f "$TEST_TMP/in" "$out"
	mkfifo "$TEST_TMP/in"
	exec 3<>"$TEST_TMP/in"
	qemu-system-x86_64 -M "$machine" -accel tcg -nodefaults -no-user-config -display none -no-reboot -serial stdio \
		-kernel "$elf" -append "$append" "$@" <&3 >"$out" 2>&1 3<&- &
	pid=$!
}

# The exit status of QEMU, or 124 and an end by force if it does not come.
ended() {
	for _ in $(seq 2400); do
		if ! kill -0 "$pid" 2>/dev/null; then
			wait "$pid"
			status=$?
			pid=
			return "$status"
		fi
		sleep 0.1
	done
	kill "$pid"
	wait "$pid"
	pid=
	return 124
}

says() { # TEXT: waits for it
	for _ in $(seq 2400); do
		grep -qF -- "$1" "$out" && return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	grep -qF -- "$1" "$out"
}

ask() { # COMMAND ANSWER
	echo "$1" >&3
	says "$2"
}

has() {
	grep -qF -- "$1" "$out"
}

# As many results as planned, all of them good.
report_good() {
	planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$out")
	[ -n "$planned" ] && [ "$planned" -gt 8 ] && [ "$(grep -c '^ok ' "$out")" = "$planned" ] && ! grep -q '^not ok' "$out"
}

# RAM as in the report's second result, and every page of it tested but for what is kept.
ram_between() { # LOW HIGH, bytes
	ram=$(sed -n 's/^ok [0-9]* - ram \([0-9]*\) bytes$/\1/p' "$out")
	pages=$(sed -n 's/^ok .* - memory .* was written, \([0-9]*\) pages.*/\1/p' "$out" | awk '{ n += $1 } END { print n + 0 }')
	[ "$ram" -ge "$1" ] && [ "$ram" -le "$2" ] && [ $((pages * 4096)) -ge $((ram - 1048576)) ]
}

microvm=microvm,x-option-roms=off,isa-serial=on,pit=off,pic=off,rtc=off

start $microvm "once verify=full" -m 64M -smp 2
check "microvm: the guest powers itself off after its report" ended
check "microvm: the report is complete and good" report_good
check "microvm: two CPUs run" has "# cpus 2 running, by madt"
check "microvm: all RAM is tested" ram_between 66000000 67108864

start $microvm "quiet speed=off verify=off" -m 64M
check "commands: the guest waits for them" says "probe> "
check "commands: memory keeps what is put there" ask "poke 32M 0x1122334455667788" "= ok"
check "commands: and gives it back" ask "peek 32M" "0x1122334455667788"
check "commands: CRC-32 is zlib's" ask "fill 33M 4K 0xab
sum 33M 4K" "0xa8795c0b"
check "commands: nonsense is refused" ask "frobnicate" "= error no such command"
check "commands: the physical address space ends somewhere" ask "peek 0xffffffffffffff" "= error address cannot be mapped"
echo off >&3
check "commands: off ends the machine" ended

start $microvm "quiet speed=off verify=off" -m 64M
says "probe> "
echo triple >&3
check "a triple fault resets, which -no-reboot makes an end" ended

start q35 "once speed=off" -m 192M -smp 2 -object memory-backend-ram,id=a,size=128M -object memory-backend-ram,id=b,size=64M \
	-numa node,nodeid=0,cpus=0,memdev=a -numa node,nodeid=1,cpus=1,memdev=b -numa dist,src=0,dst=1,val=21
check "q35: the guest powers itself off after its report" ended
check "q35: the report is complete and good" report_good
check "q35: affinity of CPUs" has "# srat cpu apic 1 node 1"
check "q35: affinity of memory" has "# srat memory 0x0000000008000000-0x000000000bffffff node 1"
check "q35: distances" has "# slit 1: 21 10"
echo "1..$n"
