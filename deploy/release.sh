#!/usr/bin/env bash
# Builds the releases: the program for each platform, Debian packages for the Linux ones, and SHA256SUMS. Builds are reproducible:
# the same commit and the same Go give the same bytes, in whatever folder and on whatever machine.
#
#   deploy/release.sh DIR [linux/amd64 linux/arm64 linux/loong64 windows/amd64]
#
# ONCEGATE_VERSION names the version of the packages; otherwise the newest tag does, or the commit's time where there is none.
# SOURCE_DATE_EPOCH is the date of the files in a package; otherwise it is the commit's.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: deploy/release.sh DIR [GOOS/GOARCH...]" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
platforms=("$@")
[ $# -gt 0 ] || platforms=(linux/amd64 linux/arm64 linux/loong64 windows/amd64)

export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
tag=$(git describe --tags --match 'v[0-9]*' 2>/dev/null || true) # v1.2.3, or v1.2.3-4-gabcdef after it
version=${tag#v}
version=${version/-/+}
export VERSION=${ONCEGATE_VERSION:-${version:-0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S)}}

built=()
for platform in "${platforms[@]}"; do
	os=${platform%/*} arch=${platform#*/}
	name=oncegate-$os-$arch
	[ "$os" != windows ] || name=$name.exe
	# No cgo: the program is static, and no C compiler takes part in it. No paths and no build id: nothing of this machine is in it.
	# Its commit is in it, so it is built in a clone (not in a linked worktree, which Go does not look into).
	GOOS=$os GOARCH=$arch CGO_ENABLED=0 GOFLAGS= go build -trimpath -buildvcs=true -ldflags '-s -w -buildid=' -o "$out/$name" ./cmd/oncegate
	built+=("$name")
	[ "$os" = linux ] || continue
	package=oncegate_${VERSION}_$arch.deb
	ARCH=$arch PROGRAM=$out/$name GOFLAGS= go -C deploy/kit tool nfpm package --config ../debian/nfpm.yaml --packager deb --target "$out/$package" >/dev/null
	built+=("$package")
done
(cd "$out" && sha256sum "${built[@]}" | tee SHA256SUMS)
