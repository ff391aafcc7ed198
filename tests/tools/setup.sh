#!/usr/bin/env bash
# Installs what is missing, and nothing when nothing is: `setup.sh build` what building, checking and testing need (an S3
# server among it), `setup.sh interop` what the foreign clients need, `setup.sh bench` what `make bench` compares with. Tools
# go to .tools/, Debian packages to the system.
set -euo pipefail
cd "$(dirname "$0")/../.."

# FFmpeg to link with and to check against; clang's library for its bindings. Without libavdevice: it would pull in X11.
debian=(
    ffmpeg libavcodec-dev libavformat-dev libavfilter-dev libavutil-dev libswscale-dev libswresample-dev
    clang libclang-dev pkg-config gcc make git curl ca-certificates python3 tzdata fonts-dejavu-core
)

main() {
    case "${1:-build}" in
        build)
            rust
            packages "${debian[@]}"
            node_tools
            python_tools s3 tests/tools/s3/requirements.txt
            ;;
        interop)
            packages "${debian[@]}"
            node_tools
            python_tools python tests/tools/requirements.txt
            ;;
        bench)
            packages "${debian[@]}"
            python_tools bench tests/tools/requirements-bench.txt
            ;;
        *) fail "usage: setup.sh build|interop|bench" ;;
    esac
}

rust() {
    command -v cargo >/dev/null || fail "Rust is missing; https://rustup.rs says how to install it"
}

# Installs those of the named packages that aren't there.
packages() {
    if ! command -v dpkg-query >/dev/null; then
        pkg-config --exists libavcodec libavformat libavfilter libswscale libswresample && command -v ffmpeg >/dev/null ||
            fail "this is not Debian; install what these packages hold: $*"
        return 0
    fi
    local installed missing
    installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    missing=$(comm -23 <(printf '%s\n' "$@" | sort) <(sed -n 's/^installed //p' <<<"$installed" | sort))
    [ -n "$missing" ] || return 0
    echo "setup: installing" $missing
    as_root apt-get -qq update
    # shellcheck disable=SC2086 # one word for each package
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing </dev/null >/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "neither root nor sudo: let someone run: $*"
    fi
}

# buf and a gRPC client, as locked. buf's binary is an optional dependency, so that no script has to download it; `npm ci`
# would insist on the binaries for all other systems being locked too.
node_tools() {
    command -v npm >/dev/null || packages nodejs npm
    cmp -s tests/tools/package-lock.json .tools/node/package-lock.json && return 0
    echo "setup: installing buf"
    rm -rf .tools/node .tools/node.new
    mkdir -p .tools/node.new
    cp tests/tools/package.json tests/tools/package-lock.json .tools/node.new/
    npm install --prefix .tools/node.new --no-save --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >/dev/null
    mv .tools/node.new .tools/node
}

# What a file of requirements pins, in a place of its own: .tools/<name>.
python_tools() {
    local place=.tools/$1 requirements=$2
    cmp -s "$requirements" "$place/requirements.txt" && return 0
    echo "setup: installing $(sed 's/==.*//' "$requirements" | tr '\n' ' ')"
    rm -rf "$place"
    python3 -m venv "$place" 2>/dev/null || { packages python3-venv && python3 -m venv "$place"; }
    "$place/bin/pip" install --quiet --requirement "$requirements" </dev/null
    cp "$requirements" "$place/requirements.txt"
}

fail() {
    echo "setup: $*" >&2
    exit 1
}

main "$@"
