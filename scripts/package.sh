#!/usr/bin/env bash
# Packs awing for people who do not build it: for each system an archive and a Debian package, and their checksums, in dist/.
#   scripts/package.sh [x86_64] [aarch64]     (default: x86_64)
# Both hold the program, its manual pages and completions, the licences, the README, the guides and the model card. The same sources,
# toolchain and system libraries give the same bytes: paths of this machine are left out of the program, and all times are those
# of the commit (SOURCE_DATE_EPOCH). Everything is packed twice and compared. Then the archive is tried in a root that holds the C
# library, GCC's part of it, and nothing else; aarch64 is tried under emulation.
# AWING_BINARY=FILE packs that program instead of building one.
set -euo pipefail
cd "$(dirname "$0")/.."

section() { printf '\n== %s\n' "$*"; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a program of this system, or of the other one under emulation.
execute() { # ARCHITECTURE PROGRAM ARGUMENTS...
  local architecture=$1
  shift
  if [ "$architecture" = "$(uname -m)" ]; then "$@"; else qemu-aarch64 -L /usr/aarch64-linux-gnu "$@"; fi
}

build() { # ARCHITECTURE; sets `binary`
  local target=$1-unknown-linux-gnu
  if [ "$1" != "$(uname -m)" ]; then
    [ "$1" = aarch64 ] || { echo "cannot build for $1 here" >&2; exit 1; }
    # shellcheck source=/dev/null
    . .ci/aarch64.sh
  fi
  if [ -n "${AWING_BINARY:-}" ]; then
    binary=$AWING_BINARY
    return
  fi
  section "build for $target"
  local flags="--remap-path-prefix=$PWD=awing --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
  RUSTFLAGS="$flags" cargo build --release --locked --bin awing --target "$target"
  binary=${CARGO_TARGET_DIR:-target}/$target/release/awing
}

# The files of an archive.
fill() { # ARCHITECTURE FOLDER
  mkdir -p "$2/man" "$2/completions" "$2/docs"
  install -m 755 "$binary" "$2/awing"
  install -m 644 README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$2"
  install -m 644 models/README.md "$2/MODEL-CARD.md"
  install -m 644 docs/*.md docs/json.schema.json docs/landmarks.png "$2/docs"
  execute "$1" "$binary" completions man --out "$2/man" >/dev/null
  for shell in bash fish zsh; do execute "$1" "$binary" completions "$shell" --out "$2/completions" >/dev/null; done
}

pack_archive() { # FOLDER ARCHIVE
  tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu \
    --directory "$(dirname "$1")" "$(basename "$1")" | gzip --no-name --best >"$2"
}

# The C library that the program needs at least.
least_libc() { readelf --version-info "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1 | cut -d_ -f2; }

pack_debian() { # FOLDER DEBIAN-ARCHITECTURE PACKAGE
  local root=$work/debian share=$work/debian/usr/share
  rm -rf "$root"
  install -D -m 755 "$1/awing" "$root/usr/bin/awing"
  install -D -m 644 "$1/completions/awing" "$share/bash-completion/completions/awing"
  install -D -m 644 "$1/completions/_awing" "$share/zsh/vendor-completions/_awing"
  install -D -m 644 "$1/completions/awing.fish" "$share/fish/vendor_completions.d/awing.fish"
  for page in "$1"/man/*.1; do
    install -D -m 644 "$page" "$share/man/man1/$(basename "$page")"
  done
  gzip --no-name --best "$share"/man/man1/*.1
  install -D -m 644 -t "$share/doc/awing" "$1/README.md" "$1/MODEL-CARD.md" "$1/LICENSE-APACHE"
  install -D -m 644 -t "$share/doc/awing/docs" "$1"/docs/*
  gzip --no-name --best --stdout "$1/CHANGELOG.md" >"$share/doc/awing/changelog.gz"
  {
    printf 'awing is licensed under MIT or Apache-2.0 (LICENSE-APACHE), at your option.\n'
    printf 'The models inside have terms of their own: see MODEL-CARD.md.\n\n'
    cat "$1/LICENSE-MIT"
  } >"$share/doc/awing/copyright"
  mkdir -p "$root/DEBIAN"
  cat >"$root/DEBIAN/control" <<CONTROL
Package: awing
Version: $version
Architecture: $2
Maintainer: The awing authors <awing@localhost>
Installed-Size: $(find "$root" -type f -printf "%s\n" | awk "{ sum += \$1 } END { print int(sum / 1024) }")
Depends: libc6 (>= $(least_libc)), libgcc-s1
Recommends: ffmpeg, libx11-6, libxcursor1
Section: video
Priority: optional
Description: real-time face-landmark tracker
 Follows faces of a camera, videos and pictures, with 98 landmarks on each, head pose, eyes,
 gaze and blend shapes, on an ordinary CPU. The models are part of the program. They are for
 research and other non-commercial use only.
CONTROL
  find "$root" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group --build -Zxz "$root" "$3" >/dev/null
}

# Unpacks the archive into a root with the C library and nothing else, and tracks a face there. libgcc_s belongs to it: programs
# unwind with it, and no system comes without.
try_bare() { # ARCHITECTURE ARCHIVE
  section "$(basename "$2") in a bare root"
  local root=$work/root-$1
  mkdir -p "$root/dev" "$root/tmp"
  tar --extract --gzip --file "$2" --directory "$root" --strip-components=1
  local library=/lib/x86_64-linux-gnu loader=/lib64/ld-linux-x86-64.so.2
  if [ "$1" = aarch64 ]; then
    library=/usr/aarch64-linux-gnu/lib loader=/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1
    [ "$1" != "$(uname -m)" ] || { library=/lib/aarch64-linux-gnu loader=/lib/ld-linux-aarch64.so.1; }
  fi
  local place=lib64
  [ "$1" = x86_64 ] || place=lib
  mkdir -p "$root/$place" "$root/lib"
  cp --dereference "$loader" "$root/$place/"
  cp --dereference "$library/libc.so.6" "$library/libm.so.6" "$library/libgcc_s.so.1" "$root/lib/"
  local inside=(/awing demo --headless --frames 5 --json /faces.jsonl)
  if [ "$1" != "$(uname -m)" ]; then
    # The emulator needs libraries of its own, so it stays outside; the program finds only what lies in the root.
    (cd "$root" && qemu-aarch64 -L "$root" ./awing demo --headless --frames 5 --json faces.jsonl)
  elif [ "$(id -u)" = 0 ]; then
    chroot "$root" "${inside[@]}"
  else
    unshare --map-root-user chroot "$root" "${inside[@]}"
  fi
  local faces
  faces=$(grep -c '"landmarks"' "$root/faces.jsonl")
  [ "$faces" = 5 ] || { echo "a face was found in $faces of 5 frames" >&2; exit 1; }
}

mkdir -p dist
for architecture in "${@:-x86_64}"; do
  build "$architecture"
  name=awing-$version-$architecture-linux
  section "pack $name"
  debian=${architecture/x86_64/amd64}
  package=awing_${version}_${debian/aarch64/arm64}.deb
  for round in 1 2; do
    mkdir -p "$work/$round/out"
    fill "$architecture" "$work/$round/$name"
    pack_archive "$work/$round/$name" "$work/$round/out/$name.tar.gz"
    pack_debian "$work/$round/$name" "${debian/aarch64/arm64}" "$work/$round/out/$package"
  done
  for file in "$name.tar.gz" "$package"; do
    cmp "$work/1/out/$file" "$work/2/out/$file"
    cp "$work/1/out/$file" "dist/$file"
    (cd dist && sha256sum "$file" >"$file.sha256" && cat "$file.sha256")
  done
  try_bare "$architecture" "dist/$name.tar.gz"
done
