#!/bin/bash
# Installs the Debian packages of tests/lib/packages that are missing. Touches nothing, and asks for no rights, when none is.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$here/packages")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps: this is not a Debian system; make sure that the equivalents of these are installed: ${wanted[*]}" >&2
	exit 0
fi

missing=()
for p in "${wanted[@]}"; do
	case "$(dpkg-query -W -f='${db:Status-Status} ' "$p" 2>/dev/null)" in
	"installed "*) ;;
	*) missing+=("$p") ;;
	esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=(env)
elif command -v sudo >/dev/null; then
	as_root=(sudo env)
else
	echo "deps: these packages are missing: ${missing[*]}" >&2
	echo "deps: run this as root, or as root: apt-get install ${missing[*]}" >&2
	exit 1
fi

echo "deps: installing ${missing[*]}"
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An index that cannot be refreshed is no failure by itself: what counts is whether the packages can be had.
"${apt[@]}" update >"$log" 2>&1 || index_failed=1
if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
	tail -n 25 "$log" >&2
	[ -z "${index_failed:-}" ] || echo "deps: the package archive could not be reached (see above)" >&2
	echo "deps: could not install: ${missing[*]}" >&2
	echo "deps: once the archive can be reached run this again, or install these packages by other means" >&2
	exit 1
fi
