//! Manifests with random damage: whatever comes of it, it is an answer.

use media::time::{TimeRange, WallTime};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::shelf::{Shelf, unprobed};

const PLAYLIST: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"10@5\"\n#EXT-X-PLAYLIST-TYPE:EVENT\n\
    #EXT-X-PROGRAM-DATE-TIME:2024-05-06T07:08:09.123+0000\n#EXTINF:2.002,\n#EXT-X-BYTERANGE:100@5\n0.m4s\n#EXTINF:2.002,\n\
    #EXT-X-BYTERANGE:100\n0.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:2,\n2.m4s\n#EXT-X-KEY:METHOD=NONE\n\
    #EXT-X-PROGRAM-DATE-TIME:2024-05-06T07:08:19Z\n#EXTINF:2.002,\n../3.m4s\n#EXT-X-ENDLIST\n";

const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",DEFAULT=YES,URI=\"x.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=100,AVERAGE-BANDWIDTH=90,RESOLUTION=1x1,FRAME-RATE=25.0,CODECS=\"a\",AUDIO=\"a\"\nx.m3u8\n\
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n#EXT-X-SESSION-DATA:DATA-ID=\"x\",VALUE=\"y\"\n";

const MANIFEST: &str = r#"<?xml version="1.0"?><MPD type="static" availabilityStartTime="2024-05-06T07:08:09Z"
    publishTime="2024-05-06T07:08:29Z" mediaPresentationDuration="PT20.5S"><BaseURL>b/</BaseURL><Period start="PT0S" duration="PT10S">
    <AdaptationSet contentType="video"><SegmentTemplate timescale="1000" presentationTimeOffset="5" startNumber="3" endNumber="9"/>
    <Representation id="v" bandwidth="5" mimeType="video/mp4"><SegmentTemplate media="$RepresentationID$-$Number%05d$-$Time$.m4s"
    initialization="i-$Bandwidth$.mp4"><SegmentTimeline><S t="5" d="2000" r="2"/><S d="1000"/><S t="9000" d="500" r="-1"/></SegmentTimeline>
    </SegmentTemplate></Representation></AdaptationSet><AdaptationSet mimeType="audio/mp4"><Representation id="a"><SegmentList timescale="10"
    duration="20"><Initialization sourceURL="i.mp4" range="0-9"/><SegmentURL media="a.m4s" mediaRange="10-19"/></SegmentList></Representation>
    </AdaptationSet></Period><Period><AdaptationSet contentType="video"><Representation id="w"><SegmentTemplate duration="2"
    media="$Number$.m4s"/></Representation></AdaptationSet></Period></MPD>"#;

/// What often does harm.
const TOKENS: [&str; 24] = [
    "-1",
    "0",
    "9",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "$",
    "%",
    "%2e%2e/",
    "../",
    "\"",
    "<",
    "&",
    "\n",
    "#",
    ":",
    ",",
    "@",
    "=",
    "é",
    "dynamic",
    "#EXT-X-DISCONTINUITY\n",
    "#EXTINF:0,\n",
    " ",
];

/// Cuts some characters and puts a token or a copy of another place there.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let edit =
        (any::<prop::sample::Index>(), 0..40_usize, select(&TOKENS[..]), any::<prop::sample::Index>(), any::<bool>());
    vec(edit, 0..5).prop_map(move |edits| {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, cut, token, from, copies) in edits {
            let at = at.index(characters.len() + 1);
            let end = (at + cut).min(characters.len());
            let from = from.index(text.len());
            let patch: Vec<char> = match copies {
                true => text.chars().skip(from).take(cut).collect(),
                false => token.chars().collect(),
            };
            characters.splice(at..end, patch);
        }
        characters.into_iter().collect()
    })
}

/// Reads a recording and all of it; what it says about time must make sense.
fn answers(name: &str, text: &str) {
    let shelf = Shelf::new();
    shelf.write("x.m3u8", PLAYLIST).write(name, text);
    let Ok(recording) = shelf.recording(name) else { return };
    let spans = recording.spans();
    assert!(spans.iter().all(|span| !span.is_empty()), "{spans:?}");
    assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "{spans:?}");
    assert!(recording.gaps().iter().all(|gap| !gap.is_empty()));
    let whole = TimeRange::new(WallTime::from_nanos(i64::MIN), WallTime::from_nanos(i64::MAX));
    for range in [recording.range(), whole] {
        let Ok(selection) = recording.select(range, &unprobed) else { continue };
        let covered: Vec<_> = selection.input.spans.iter().map(|span| span.range).collect();
        assert_eq!(covered, spans);
        for part in selection.input.spans.iter().flat_map(|span| &span.parts) {
            assert!(!part.segments.is_empty());
            let pieces = part.segments.iter().map(|segment| segment.piece).chain(part.init);
            assert!(pieces.into_iter().all(|piece| (piece.source as usize) < selection.input.sources.len()));
        }
        assert!(
            selection
                .input
                .sources
                .iter()
                .all(|name| !name.starts_with('/') && !name.split('/').any(|part| part == ".."))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_playlists(text in damaged(PLAYLIST)) {
        answers("y.m3u8", &text);
    }

    #[test]
    fn damaged_multivariant_playlists(text in damaged(MULTIVARIANT)) {
        answers("y.m3u8", &text);
    }

    #[test]
    fn damaged_manifests(text in damaged(MANIFEST)) {
        answers("y.mpd", &text);
    }
}

#[test]
fn undamaged_they_are_recordings() {
    let shelf = Shelf::new();
    shelf.write("a/x.m3u8", PLAYLIST).write("a/y.m3u8", MULTIVARIANT).write("a/y.mpd", MANIFEST);
    for (name, spans) in [("a/x.m3u8", 2), ("a/y.m3u8", 2), ("a/y.mpd", 3)] {
        let recording = shelf.recording(name).expect(name);
        assert_eq!(recording.spans().len(), spans, "{name}");
        recording.select(recording.range(), &unprobed).expect(name);
    }
}
