use std::time::Duration;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn the_products_own_example_is_understood() {
    let body = r#"{
	"start_position": 1578344206261,
	"mark_pos": "01:00",
	"duration": 128000,
	"uid": "mp4/1715/1/stream.mpd",
	"media_type": "ts",
	"export_type": 0,
	"fetch_media": true,
	"file_name": "CNN4_RAL4_Feb.20200305191626537",
	"story": {
		"id": "1715F514A891B80A0000000000000002",
		"name": "20200106-19-24-36_1715F514A891B80A",
		"slug_info": "base64 string",
	},
}
"#;
    let Body { spec, fetch_media } = parse(body.as_bytes(), DAY).unwrap();
    assert!(fetch_media);
    assert_eq!(spec.position.mark, 60_000_000_000);
    assert_eq!(spec.duration, 128_000_000_000);
    assert_eq!(spec.file_name, "CNN4_RAL4_Feb.20200305191626537.ts");
    assert_eq!((spec.container, spec.video, spec.cut), (Container::Ts, VideoTarget::Keep, Cut::Exact));
    assert_eq!(spec.story.unwrap().slug_info, "");
}

#[test]
fn marks() {
    let second = 1_000_000_000;
    for (text, expected) in [
        ("01:00", Some(60 * second)),
        ("00:01:00", Some(60 * second)),
        ("1:2", Some(62 * second)),
        ("100:00:00", Some(360_000 * second)),
        ("00:00.5", Some(second / 2)),
        ("00:00:01.000000001", Some(second + 1)),
        ("", None),
        ("60", None),
        ("60:00", None),
        ("00:60", None),
        ("00:60:00", None),
        ("-1:00", None),
        ("+1:00", None),
        ("1:2:3:4", None),
        ("00:01.", None),
        ("00:01.1234567890", None),
        ("00:01,5", None),
        ("aa:bb", None),
        (" 01:00", None),
        ("٠١:٠٠", None),
    ] {
        assert_eq!(parse_mark(text), expected, "{text:?}");
    }
}

#[test]
fn commas_in_text_stay() {
    let text = r#"{"a": ",]", "b": "\",}", "c": [1, 2, ], }"#;
    assert_eq!(without_trailing_commas(text), r#"{"a": ",]", "b": "\",}", "c": [1, 2  ]  }"#);
    assert!(serde_json::from_str::<Value>(&without_trailing_commas("[1,,]")).is_err());
}

#[test]
fn everything_wrong_is_told_by_name() {
    let fields = |body: &str| match parse(body.as_bytes(), DAY) {
        Err(Error::Invalid(violations)) => violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(fields("{}"), ["uid", "start_position", "mark_pos", "duration"]);
    assert_eq!(fields("[]"), ["body"]);
    assert_eq!(fields("{"), ["body"]);
    let bad = r#"{"uid": 1, "start_position": "x", "mark_pos": "1", "duration": -5, "media_type": "avi", "export_type": 3,
        "fetch_media": "yes", "gap_policy": "ignore", "fallback": 1, "file_name": "../x", "story": {"slug_info": "!"}}"#;
    let expected = [
        "uid",
        "start_position",
        "mark_pos",
        "duration",
        "media_type",
        "export_type",
        "fetch_media",
        "gap_policy",
        "fallback",
        "file_name",
        "story.slug_info",
    ];
    assert_eq!(fields(bad), expected);
}

#[test]
fn numbers_may_be_quoted_or_have_an_exponent() {
    let body = r#"{"uid": "a.mp4", "start_position": "1578344206261", "mark_pos": "00:00", "duration": 1.28e5, "export_type": "2"}"#;
    let Body { spec, fetch_media } = parse(body.as_bytes(), DAY).unwrap();
    assert_eq!((spec.duration, spec.video, fetch_media), (128_000_000_000, VideoTarget::H265, false));
}

#[test]
fn policies_can_be_asked_for_too() {
    let body = r#"{"uid": "a.mp4", "start_position": 0, "mark_pos": "00:00", "duration": 1000, "gap_policy": "SPLIT",
        "damage_policy": "strict", "compatibility": "broadest", "fallback": "keyframe", "rendition": "720p"}"#;
    let expected = Policies {
        gap_policy: GapPolicy::Split,
        damage: Damage::Strict,
        compatibility: Compatibility::Broadest,
        fallback: Fallback::Keyframe,
        rendition: Some("720p".to_owned()),
    };
    assert_eq!(parse(body.as_bytes(), DAY).unwrap().spec.policies, expected);
}
