#!/usr/bin/env bash
# The export service from end to end, on a library made for it: a still, a clip cut to the frame, an H.265 clip, and TVU's
# own request. Built without optimisation: FFmpeg does the heavy work, and a newcomer sees the result minutes sooner.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/tools/server.sh

library=$(tests/fixtures/make.py demo)
uid=mp4/1715F514A891B80A0000000000000002/20200106-19-24-36_1715F514A891B80A0000000000000002_938531849D11D411_a6aafadb-f126-4ae5-87c6-4ac6caba6325/1/stream.mpd
rm -rf demo
mkdir -p demo/results

step() {
    printf '\n\033[1m%s\033[0m\n' "$1"
    shift
    [ $# -eq 0 ] && return
    echo "\$ excerpt $*"
    if [ -t 1 ]; then "$excerpt" "$@"; else "$excerpt" "$@" | changes; fi
}

# Without a terminal there are JSON lines, ten a second: shows those where the state or the phase is another.
changes() {
    awk '{
        match($0, /"state":"[A-Z]*"(,"phase":"[A-Z]*")?/)
        now = RLENGTH > 0 ? substr($0, RSTART, RLENGTH) : $0
        if (now != last) { print; fflush() }
        last = now
    }'
}

# As the request in TVU's documentation has it, but for the name: 128 s from the first minute on, trailing commas and all.
ask_as_tvu() {
    curl --silent --show-error --header "content-type: application/json" --data @- "$EXCERPT_SERVER/resource/v1/export" <<JSON
{
	"start_position": 1578344206261,
	"mark_pos": "01:00",
	"duration": 128000,
	"uid": "$uid",
	"media_type": "ts",
	"export_type": 0,
	"fetch_media": true,
	"file_name": "CNN4_RAL4_Feb.20200305191626537",
	"story": {
		"id": "1715F514A891B80A0000000000000002",
		"name": "20200106-19-24-36_1715F514A891B80A",
	},
}
JSON
}

poll_as_tvu() {
    local answer deadline=$((SECONDS + 60))
    while true; do
        answer=$(ask_as_tvu)
        echo "$answer"
        case "$answer" in
            *'"error_code":5'*) break ;;
            *'"error_code":1'*) [ "$SECONDS" -lt "$deadline" ] && sleep 0.2 ;;
            *) return 1 ;;
        esac
    done
    local url
    url=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["data"]["VideoPath"])' "$answer")
    curl --silent --show-error --fail --output demo/results/tvu.ts "$url"
}

contents() {
    local file
    for file in demo/results/*; do
        echo "$file"
        ffprobe -v error -show_entries format=duration,size:stream=codec_name,width,height,r_frame_rate,channels \
            -of compact=print_section=0 "$file" | awk 'NF && !seen[$0]++ { print "    " $0 }' # TS lists its streams twice
    done
}

serve "$library" demo/data
step "The first frame of the second minute" thumbnail "$uid" --mark 01:00 --output demo/results/still.jpg
step "128 seconds, cut to the frame, copied but for the ends" \
    export "$uid" --mark 00:01:00.520 --duration 128s --container ts --name exact --download demo/results
step "20 seconds from an HLS recording, as H.265 in MOV" \
    export camera/index.m3u8 --mark 95s --duration 20s --container mov --codec h265 --name hevc --download demo/results
step "TVU's own request, over HTTP: asked again until the answer is 5"
poll_as_tvu
step "What was made (the picture's clock shows the position and the wall time)"
contents
printf '\nThe library is %s. To serve it: %s serve --library %s\n' "$library" "$excerpt" "$library"
