#!/bin/bash
# Builds with warnings as errors into build/obj and installs into build/inst, which is always made new: what is tested is what
# would be installed, and no file of an earlier build. Prints little unless something fails.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
obj=$top/build/obj
inst=$top/build/inst
log=$top/build/build.log

if ! mkdir -p "$top/build" || [ ! -w "$top/build" ]; then
	echo "build: $top/build cannot be written; a run with sudo may have made it: remove it or use sudo again" >&2
	exit 1
fi

step() {
	if ! "$@" >"$log" 2>&1; then
		tail -n 60 "$log" >&2
		echo "build: failed: $*" >&2
		exit 1
	fi
}

options=(-Dwerror=true -Dprefix=/usr)
if [ -e "$obj/build.ninja" ]; then
	step meson configure "$obj" "${options[@]}"
else
	rm -rf "$obj"
	step meson setup "$obj" "$top" "${options[@]}"
fi
echo "build: compiling"
step ninja -C "$obj"
rm -rf "$inst"
step meson install -C "$obj" --no-rebuild --quiet --destdir "$inst"
