#!/usr/bin/env bash
# Calls a server of its own with the gRPC clients of other languages, and says which it could not run.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/tools/server.sh

tests/tools/setup.sh interop
library=$(tests/fixtures/make.py fixtures)
uid=hls_ts_closed_b3/index.m3u8
data=$(mktemp -d)
buf=.tools/node/node_modules/.bin/buf
not_run=()

# By reflection, with no proto at hand.
with_buf() {
    local curl=("$buf" curl --protocol grpc --http2-prior-knowledge)
    "${curl[@]}" --list-services "$EXCERPT_SERVER" | grep -qx excerpt.export.v1.ExportService
    "${curl[@]}" -d '{}' "$EXCERPT_SERVER/grpc.health.v1.Health/Check" | grep -q SERVING
    "${curl[@]}" -d '{"page_size": 1}' "$EXCERPT_SERVER/excerpt.export.v1.ExportService/ListExports" >/dev/null
}

with_grpcurl() {
    local grpcurl=.tools/go/grpcurl address=${EXCERPT_SERVER#http://}
    [ -x "$grpcurl" ] || GOBIN="$PWD/.tools/go" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
    "$grpcurl" -plaintext "$address" list | grep -qx excerpt.export.v1.ExportService
    "$grpcurl" -plaintext "$address" grpc.health.v1.Health/Check | grep -q SERVING
    "$grpcurl" -plaintext -d '{"page_size": 1}' "$address" excerpt.export.v1.ExportService/ListExports >/dev/null
}

run() {
    local name=$1
    shift
    local start=$SECONDS
    "$@" || { echo "interop: $name FAILED" >&2; exit 1; }
    echo "interop: $name ok ($((SECONDS - start)) s)"
}

serve "$library" "$data"
run "buf curl" with_buf
run "Python, grpcio over reflection" .tools/python/bin/python tests/tools/interop/client.py "$EXCERPT_SERVER" "$uid"
run "Node, @grpc/grpc-js" node tests/tools/interop/client.cjs "$EXCERPT_SERVER" "$uid"
if command -v go >/dev/null; then
    run "Go, grpcurl" with_grpcurl
else
    not_run+=("Go (grpcurl): there is no Go compiler here")
fi
not_run+=("Java (grpc-java): no client is written")
rm -rf "$data"
printf 'interop: NOT RUN: %s\n' "${not_run[@]}"
