//! A period: which of its renditions are taken.

use media::time::WallTime;

use super::{
    Presentation,
    mpd::{AdaptationSet, Period, Representation},
};
use crate::{Error, error::excerpt, recording::Section};

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
        let (video, audio) = choose(period);
        let track = |choice: Choice, is_main| self.track(period, choice, bounds, &base, is_main);
        let (main, audio) = match (video, audio) {
            (Some(video), audio) => (track(video, true)?, audio.map(|audio| track(audio, false)).transpose()?),
            (None, Some(audio)) => (track(audio, true)?, None),
            (None, None) => return Err(self.unusable("has a period with neither video nor audio")),
        };
        Ok((!main.stretches.is_empty()).then_some(Section { main, audio }))
    }
}

/// The video with the most bits per second, and of the main audio the same.
fn choose(period: &Period) -> (Option<Choice<'_>>, Option<Choice<'_>>) {
    // What needs an extension that isn't known is to be left alone (§5.8.4.8): pictures for fast seeking, for instance.
    let sets = period.adaptation_sets.iter().filter(|set| set.essentials.is_empty());
    let all = sets.flat_map(|set| set.representations.iter().map(move |rendition| (set, rendition)));
    let choices: Vec<Choice<'_>> = all.filter(|(_, rendition)| rendition.essentials.is_empty()).collect();
    let audio_sets = || choices.iter().filter(|choice| content(**choice) == Some(Content::Audio)).map(|(set, _)| *set);
    let is_main = |set: &&AdaptationSet| set.roles.iter().any(|role| role.value == "main");
    let audio_set = audio_sets().find(is_main).or_else(|| audio_sets().next());
    // Of equals the first, so that it is the same in every period.
    let best = |wanted: Content, set: Option<&AdaptationSet>| {
        let fitting = choices.iter().rev().filter(|choice| content(**choice) == Some(wanted));
        let fitting = fitting.filter(|(of, _)| set.is_none_or(|set| std::ptr::eq(set, *of)));
        fitting.max_by_key(|(_, rendition)| rendition.bandwidth).copied()
    };
    (best(Content::Video, None), best(Content::Audio, audio_set))
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
    fn check(sets: &str, video: Option<&str>, audio: Option<&str>) {
        let mpd = mpd::parse(&format!("<MPD><Period>{sets}</Period></MPD>")).expect("valid");
        let chosen = choose(&mpd.periods[0]);
        let id = |choice: Option<Choice<'_>>| choice.map(|(_, rendition)| rendition.id.clone());
        assert_eq!((id(chosen.0).as_deref(), id(chosen.1).as_deref()), (video, audio), "{sets}");
    }

    #[test]
    fn best_video_and_main_audio() {
        let video = r#"<AdaptationSet contentType="video"><Representation id="low" bandwidth="1"/>
            <Representation id="high" bandwidth="9"/><Representation id="equal" bandwidth="9"/></AdaptationSet>"#;
        let dub = r#"<AdaptationSet mimeType="audio/mp4"><Role value="dub"/><Representation id="dub" bandwidth="5"/></AdaptationSet>"#;
        let main = r#"<AdaptationSet><Role value="main"/><Representation id="main" bandwidth="2" mimeType="audio/mp4"/></AdaptationSet>"#;
        let text = r#"<AdaptationSet contentType="text"><Representation id="text"/></AdaptationSet>"#;
        check(&format!("{text}{dub}{video}{main}"), Some("high"), Some("main"));
        check(&format!("{dub}{video}"), Some("high"), Some("dub"));
        check(main, None, Some("main"));
        check(text, None, None);
    }

    #[test]
    fn pictures_for_seeking_are_left_alone() {
        let trick = r#"<AdaptationSet contentType="video"><EssentialProperty schemeIdUri="urn:trick" value="1"/>
            <Representation id="trick" bandwidth="99"/></AdaptationSet>"#;
        let video = r#"<AdaptationSet contentType="video"><Representation id="v" bandwidth="1"/></AdaptationSet>"#;
        check(&format!("{trick}{video}"), Some("v"), None);
    }
}
