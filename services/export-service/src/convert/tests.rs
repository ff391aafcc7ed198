use super::{reply::wire_spec, *};

fn wire() -> proto::ExportSpec {
    proto::ExportSpec {
        uid: "a/stream.mpd".into(),
        duration: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
        ..proto::ExportSpec::default()
    }
}

fn fields(spec: proto::ExportSpec) -> Vec<String> {
    match export_spec(Some(spec), Duration::from_secs(86_400)) {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn defaults() {
    let spec = export_spec(Some(wire()), Duration::from_secs(86_400)).unwrap();
    assert_eq!((spec.cut, spec.container, spec.video), (Cut::Exact, Container::Ts, VideoTarget::Keep));
    assert_eq!((spec.file_name.as_str(), &spec.policies), ("clip_a_stream_0.ts", &Policies::default()));
    assert_eq!(export_spec(Some(wire_spec(spec.clone())), Duration::from_secs(86_400)).unwrap(), spec);
}

#[test]
fn policies_are_read_as_they_are_written() {
    let wire = proto::ExportSpec {
        gap_policy: proto::GapPolicy::Split.into(),
        damage_policy: proto::DamagePolicy::Strict.into(),
        compatibility: proto::Compatibility::Broadest.into(),
        fallback: proto::Fallback::Keyframe.into(),
        rendition: "720p".into(),
        ..wire()
    };
    let spec = export_spec(Some(wire), Duration::from_secs(86_400)).unwrap();
    assert_eq!(export_spec(Some(wire_spec(spec.clone())), Duration::from_secs(86_400)).unwrap(), spec);
    let stored = serde_json::to_value(&spec).unwrap();
    assert_eq!((&stored["gap_policy"], &stored["rendition"]), (&"Split".into(), &"720p".into()));
    assert_eq!(serde_json::from_value::<ExportSpec>(stored).unwrap(), spec);
}

#[test]
fn what_is_not_asked_for_is_not_stored() {
    let spec = export_spec(Some(wire()), Duration::from_secs(86_400)).unwrap();
    let stored = serde_json::to_value(&spec).unwrap();
    let mut names: Vec<_> = stored.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = ["container", "cut", "duration", "file_name", "mark", "start", "story", "uid", "video"];
    assert_eq!(names, expected, "an earlier version's requests are found again");
    assert_eq!(serde_json::from_value::<ExportSpec>(stored).unwrap(), spec);
}

#[test]
fn all_violations_are_told_at_once() {
    let seconds = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let bad = proto::ExportSpec {
        uid: String::new(),
        mark: seconds(-1, 0),
        duration: seconds(0, 0),
        cut: 9,
        container: -1,
        video_codec: 77,
        gap_policy: 5,
        damage_policy: 3,
        compatibility: 3,
        fallback: 4,
        rendition: "x\n".into(),
        file_name: "../x".into(),
        story: Some(proto::Story { slug_info: "%".into(), id: "\n".into(), ..proto::Story::default() }),
        start_time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
    };
    let expected = [
        "spec.gap_policy",
        "spec.damage_policy",
        "spec.compatibility",
        "spec.fallback",
        "spec.rendition",
        "spec.uid",
        "spec.start_time",
        "spec.mark",
        "spec.duration",
        "spec.cut",
        "spec.container",
        "spec.video_codec",
        "spec.file_name",
        "spec.story.id",
        "spec.story.slug_info",
    ];
    assert_eq!(fields(bad), expected);
    for duration in [
        None,
        seconds(0, 0),
        seconds(-5, 0),
        seconds(86_401, 0),
        seconds(i64::MAX, 0),
        seconds(1, -1),
        seconds(0, 1_000_000_000),
    ] {
        assert_eq!(fields(proto::ExportSpec { duration, ..wire() }), ["spec.duration"], "{duration:?}");
    }
    assert_eq!(fields(proto::ExportSpec { cut: proto::Cut::EditList.into(), ..wire() }), ["spec.cut"]);
    let long = format!("{}.ts", "x".repeat(197));
    let split = proto::GapPolicy::Split.into();
    assert_eq!(fields(proto::ExportSpec { file_name: long.clone(), ..wire() }), Vec::<String>::new());
    assert_eq!(fields(proto::ExportSpec { file_name: long, gap_policy: split, ..wire() }), ["spec.file_name"]);
}

#[test]
fn request_ids() {
    assert_eq!(request_id(String::new()).unwrap(), None);
    assert_eq!(request_id("a b-1".into()).unwrap().as_deref(), Some("a b-1"));
    for bad in ["x".repeat(129), "ü".into(), "a\n".into(), "\0".into()] {
        assert!(request_id(bad.clone()).is_err(), "{bad:?}");
    }
}
