#!/usr/bin/env bash
# Make a stand-in for python:3.11-slim out of Debian packages, where no registry can be reached.
# usage: base_image.sh IMAGE [MIRROR]      needs root, debootstrap and podman
set -euo pipefail
image=${1:?usage: base_image.sh IMAGE [MIRROR]}
work=$(mktemp -d /var/tmp/artlab-base.XXXXXX)
trap 'rm -rf -- "$work"' EXIT

debootstrap --variant=minbase --include=python3,python3-pip,ca-certificates \
  bookworm "$work/root" ${2:+"$2"} >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
ln -s python3 "$work/root/usr/bin/python"
rm -rf "$work/root"/var/cache/apt/archives/*.deb "$work/root"/var/lib/apt/lists/* \
  "$work/root"/usr/share/{doc,man,locale}/* "$work/root"/var/log/*
tar --directory "$work/root" --create . | podman import --quiet - "$image" >/dev/null
