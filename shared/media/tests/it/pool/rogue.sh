#!/bin/sh
# A media process that misbehaves in the way that its own name says (tests make symbolic links to it). It speaks the
# protocol of src/wire.rs over its standard input: four bytes of length, then JSON.

header() { printf "\\$(printf %03o $(($1 % 256)))\\$(printf %03o $(($1 / 256 % 256)))\\000\\000" >&0; }
say() { header ${#1} && printf %s "$1" >&0; }
ready() { say '{"Ready":"Full"}'; }
task() { head -c 4 <&0 >/dev/null; }
progress() { say '{"Progress":{"phase":"Render","media_done":'"$1"',"media_total":1000,"written_bytes":0}}'; }
done_() { say '{"Done":{"Err":"NoSpace"}}'; }
answer() { length=$(head -c 4 <&0 | od -A n -t u4) && head -c "$((length))" <&0 >/dev/null; }
# The task is read whole, and then the answer to Open: the source is there to be fetched.
remote() { ready; answer; say '{"Open":{"source":0}}'; answer; }
idle() { while :; do sleep 1; done; }

here=${0%/*}
echo >>"$here/starts"
case ${0##*/} in
dies_before_ready) exit 3 ;;
dies_with_task) ready; task; kill -s SEGV $$ ;;
dies_at_work) ready; task; progress 1; kill -s SEGV $$ ;;
leaves_without_answer) ready; task; progress 1; exit 0 ;;
dies_once) if mkdir "$here/died"; then exit 1; fi; ready; task; done_; idle ;;
runs_out_of_output) ready; task; progress 1; kill -s XFSZ $$ ;;
is_killed) ready; task; progress 1; kill -s KILL $$ ;;
answers) ready; task; done_; idle ;;
babbles) ready; task; header 9; printf 'not JSON!' >&0; idle ;;
announces_much) ready; task; printf '\377\377\377\377' >&0; idle ;;
sends_half) ready; task; header 40; printf '{"Progress":' >&0; idle ;;
is_ready_twice) ready; ready; idle ;;
is_never_ready) task; done_; idle ;;
mistakes_its_task) ready; task; say '{"Done":{"Ok":{"Thumbnail":{"image":[],"width":1,"height":1,"at":0}}}}'; idle ;;
asks_for_foreign_source) ready; task; say '{"Open":{"source":1}}'; idle ;;
asks_for_local_blocks) ready; task; say '{"Fetch":{"source":0,"block":0,"slots":[0]}}'; idle ;;
asks_for_blocks_behind_the_end) remote; say '{"Fetch":{"source":0,"block":1,"slots":[0]}}'; idle ;;
asks_for_no_blocks) remote; say '{"Fetch":{"source":0,"block":0,"slots":[]}}'; idle ;;
asks_for_foreign_slot) remote; say '{"Fetch":{"source":0,"block":0,"slots":[128]}}'; idle ;;
asks_for_too_many_blocks) remote; say '{"Fetch":{"source":0,"block":0,"slots":[0,1,2,3,4]}}'; idle ;;
fetches_in_circles) remote; while :; do say '{"Fetch":{"source":0,"block":0,"slots":[0]}}'; answer; done ;;
asks_for_everything) ready; task; while :; do say '{"Open":{"source":0}}'; done ;;
goes_in_circles) ready; task; while :; do progress 1; sleep 0.02; done ;;
is_slow) ready; task; i=0; while :; do i=$((i + 1)); progress $i; sleep 0.02; done ;;
floods) ready; task; i=0; while :; do i=$((i + 1)); progress $i; done ;;
hangs) ready; task; idle ;;
eats_memory) ready; task; exec tail /dev/zero ;;
hangs_up) ready; task; progress 1; exec 0<&-; idle ;;
has_children) ready; task; idle & done_; idle ;;
logs_much) ready; task; head -c 100000000 /dev/zero >&2; done_; idle ;;
esac
