#!/bin/sh
# Makes a folder with an ARM64 Python and its runtime, for the tests that need such a device where there is none:
#     tests/pipeline/devices/arm64_root.sh [FOLDER]      default: ~/.cache/edgewright-arm64
# Debian 12's own packages are unpacked, nothing is installed; qemu-aarch64-static (package qemu-user-static) runs it.
# ONNX Runtime is older than the newest one, which crashes on import under that qemu.
set -eu
ROOT=${1:-$HOME/.cache/edgewright-arm64}
PACKAGES="python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libstdc++6 libgcc-s1 libcrypt1 zlib1g
libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libuuid1"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir -p "$WORK/lists/partial" "$WORK/cache/archives/partial" "$WORK/debs"
: >"$WORK/status"
ARM="-o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State::Lists=$WORK/lists -o Dir::Cache=$WORK/cache
-o Dir::State::status=$WORK/status -o APT::Sandbox::User=root"
# shellcheck disable=SC2086 # words, all of them
apt-get $ARM update >/dev/null
# shellcheck disable=SC2086
(cd "$WORK/debs" && apt-get $ARM download $PACKAGES >/dev/null)
rm -rf "$ROOT"
mkdir -p "$ROOT/site"
for DEB in "$WORK"/debs/*.deb; do dpkg -x "$DEB" "$ROOT"; done
python3 -m pip install --quiet --disable-pip-version-check --target "$ROOT/site" --only-binary=:all: \
  --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
  --implementation cp --python-version 3.11 numpy pillow onnxruntime==1.24.1
echo "$ROOT"
