# To be sourced: `serve LIBRARY DATA` builds the suite, starts it on a free port until the script ends, and sets `excerpt`,
# the command, and EXCERPT_SERVER.
# shellcheck shell=bash

serve() {
    cargo build --locked --package excerpt
    excerpt="${CARGO_TARGET_DIR:-target}/debug/excerpt"
    local said="$2/addresses" log="$2/server.log" deadline=$((SECONDS + 30))
    mkdir -p "$2"
    : >"$said"
    "$excerpt" serve --services export --library "$1" --data "$2" --base-port 0 >"$said" 2>"$log" &
    server=$!
    trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
    until EXCERPT_SERVER=$(sed -n 's/^export-service \(http:.*\)/\1/p' "$said") && [ -n "$EXCERPT_SERVER" ]; do
        if ! kill -0 "$server" 2>/dev/null || [ "$SECONDS" -gt "$deadline" ]; then
            cat "$log" >&2
            echo "the server did not start" >&2
            exit 1
        fi
        sleep 0.1
    done
    export EXCERPT_SERVER
}
