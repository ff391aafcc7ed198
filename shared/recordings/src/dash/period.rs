//! A period: which of its renditions are taken.

use media::time::WallTime;

use super::{
    Presentation,
    mpd::{AdaptationSet, Period, Representation},
};
use crate::{Error, error::excerpt, timeline::Section};

/// When a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: WallTime,
    /// What lies after this isn't shown.
    pub(super) end: Option<WallTime>,
    /// About where its last segment ends: from this, segments that no list names are counted.
    pub(super) expected_end: Option<WallTime>,
}

impl Bounds {
    pub(super) fn new(start: WallTime, end: Option<WallTime>) -> Self {
        Self { start, end, expected_end: end }
    }

    /// The next period starts then.
    pub(super) fn ends_before(&mut self, next: WallTime) {
        *self = Self::new(self.start, Some(self.end.map_or(next, |end| end.min(next))));
    }
}

/// What a rendition carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Video,
    Audio,
}

/// A rendition and the set that it is in.
pub(super) type Choice<'a> = (&'a AdaptationSet, &'a Representation);

impl Presentation<'_> {
    /// The renditions of a period; `None` if it has no segments yet.
    pub(super) fn section(&self, period: &Period, bounds: Bounds, base: &str) -> Result<Option<Section>, Error> {
        if let Some(href) = &period.href {
            return Err(Error::unsupported(self.uid, format!("has a period in another document, {}", excerpt(href))));
        }
        let base = self.base(base, &period.base_urls)?;
        let (video, audio) = choose(period, self.rendition);
        let track = |choice: Choice, is_main| self.track(period, choice, bounds, &base, is_main);
        let (main, audio) = match (video, audio.as_slice()) {
            (Some(video), _) => (video, audio),
            (None, _) if self.rendition.is_some() && has_video(period) => {
                let wanted = excerpt(self.rendition.unwrap_or_default());
                return Err(Error::unsupported(self.uid, format!("has a period without the rendition {wanted}")));
            }
            (None, [first, others @ ..]) => (*first, others.to_vec()),
            (None, []) => return Err(self.unusable("has a period with neither video nor audio")),
        };
        let main = track(main, true)?;
        let audio = audio.into_iter().map(|audio| track(audio, false)).collect::<Result<_, _>>()?;
        Ok((!main.stretches.is_empty()).then_some(Section { main, audio }))
    }
}

/// The most sets of audio that are taken.
const MAX_AUDIO: usize = 32;

/// What can be chosen from. What needs an extension that isn't known is to be left alone (§5.8.4.8): pictures for fast
/// seeking, for instance.
fn choices(period: &Period) -> Vec<Choice<'_>> {
    let sets = period.adaptation_sets.iter().filter(|set| set.essentials.is_empty());
    let all = sets.flat_map(|set| set.representations.iter().map(move |rendition| (set, rendition)));
    all.filter(|(_, rendition)| rendition.essentials.is_empty()).collect()
}

fn has_video(period: &Period) -> bool {
    choices(period).into_iter().any(|choice| content(choice) == Some(Content::Video))
}

/// The video that is wanted, or else that with the most bits per second; and of each set of audio the same, the main one
/// first.
fn choose<'a>(period: &'a Period, wanted: Option<&str>) -> (Option<Choice<'a>>, Vec<Choice<'a>>) {
    let choices = choices(period);
    // Of equals the first, so that it is the same in every period.
    let best = |wanted: Content, fits: &dyn Fn(&Choice<'a>) -> bool| {
        let fitting = choices.iter().rev().filter(|choice| content(**choice) == Some(wanted));
        fitting.filter(|choice| fits(choice)).max_by_key(|(_, rendition)| rendition.bandwidth).copied()
    };
    let video = best(Content::Video, &|choice| wanted.is_none_or(|wanted| is_called(*choice, wanted)));
    let is_main = |set: &AdaptationSet| set.roles.iter().any(|role| role.value == "main");
    let mut sets: Vec<&AdaptationSet> = period.adaptation_sets.iter().collect();
    sets.sort_by_key(|set| !is_main(set));
    let audio = sets.into_iter().filter_map(|set| best(Content::Audio, &|(of, _)| std::ptr::eq(set, *of)));
    (video, audio.take(MAX_AUDIO).collect())
}

/// Whether a rendition goes by this name: its id, its bandwidth, its resolution.
fn is_called((set, rendition): Choice<'_>, wanted: &str) -> bool {
    let size = rendition.width.or(set.width).zip(rendition.height.or(set.height));
    let is_size = |(width, height)| wanted == format!("{width}x{height}") || wanted == format!("{height}p");
    rendition.id == wanted || rendition.bandwidth.to_string() == wanted || size.is_some_and(is_size)
}

fn content((set, rendition): Choice<'_>) -> Option<Content> {
    let mime_type = rendition.mime_type.as_ref().or(set.mime_type.as_ref());
    let kind = set.content_type.as_ref().or(mime_type)?;
    match kind.split('/').next() {
        Some("video") => Some(Content::Video),
        Some("audio") => Some(Content::Audio),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dash::mpd;

    /// The ids of the video and audio chosen.
    fn check(sets: &str, video: Option<&str>, audio: &[&str]) {
        let mpd = mpd::parse(&format!("<MPD><Period>{sets}</Period></MPD>")).expect("valid");
        let chosen = choose(&mpd.periods[0], None);
        let id = |choice: Option<Choice<'_>>| choice.map(|(_, rendition)| rendition.id.clone());
        let ids: Vec<_> = chosen.1.iter().map(|(_, rendition)| rendition.id.as_str()).collect();
        assert_eq!((id(chosen.0).as_deref(), ids.as_slice()), (video, audio), "{sets}");
    }

    #[test]
    fn best_video_and_main_audio() {
        let video = r#"<AdaptationSet contentType="video"><Representation id="low" bandwidth="1"/>
            <Representation id="high" bandwidth="9"/><Representation id="equal" bandwidth="9"/></AdaptationSet>"#;
        let dub = r#"<AdaptationSet mimeType="audio/mp4"><Role value="dub"/><Representation id="dub" bandwidth="5"/></AdaptationSet>"#;
        let main = r#"<AdaptationSet><Role value="main"/><Representation id="main" bandwidth="2" mimeType="audio/mp4"/></AdaptationSet>"#;
        let text = r#"<AdaptationSet contentType="text"><Representation id="text"/></AdaptationSet>"#;
        check(&format!("{text}{dub}{video}{main}"), Some("high"), &["main", "dub"]);
        check(&format!("{dub}{video}"), Some("high"), &["dub"]);
        check(main, None, &["main"]);
        check(text, None, &[]);
    }

    #[test]
    fn renditions_by_their_names() {
        let video = r#"<AdaptationSet contentType="video" width="1280" height="720"><Representation id="a" bandwidth="9"/>
            <Representation id="b" bandwidth="5" width="640" height="360"/></AdaptationSet>"#;
        let mpd = mpd::parse(&format!("<MPD><Period>{video}</Period></MPD>")).expect("valid");
        for (wanted, id) in [("a", "a"), ("5", "b"), ("360p", "b"), ("1280x720", "a")] {
            let chosen = choose(&mpd.periods[0], Some(wanted)).0.map(|(_, rendition)| rendition.id.as_str());
            assert_eq!(chosen, Some(id), "{wanted}");
        }
        assert!(choose(&mpd.periods[0], Some("c")).0.is_none());
    }

    #[test]
    fn pictures_for_seeking_are_left_alone() {
        let trick = r#"<AdaptationSet contentType="video"><EssentialProperty schemeIdUri="urn:trick" value="1"/>
            <Representation id="trick" bandwidth="99"/></AdaptationSet>"#;
        let video = r#"<AdaptationSet contentType="video"><Representation id="v" bandwidth="1"/></AdaptationSet>"#;
        check(&format!("{trick}{video}"), Some("v"), &[]);
    }
}
