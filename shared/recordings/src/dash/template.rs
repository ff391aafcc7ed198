//! Names of segments made from a template (ISO/IEC 23009-1 §5.3.9.4.4).

use std::fmt::Write;

use crate::error::excerpt;

/// The most digits that a number may be filled up to: those of the largest 64-bit number.
const MAX_WIDTH: usize = 20;

/// A template, but for what differs between segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(String),
    Number { width: usize },
    Time { width: usize },
}

impl Template {
    /// Reads the template of a rendition.
    pub(super) fn parse(template: &str, id: &str, bandwidth: u64) -> Result<Self, String> {
        let wrong = |reason: &str| format!("the template {} {reason}", excerpt(template));
        let mut tokens = Vec::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once('$') {
            let (identifier, next) = after.split_once('$').ok_or_else(|| wrong("has a $ without another"))?;
            let (name, width) = match identifier.split_once('%') {
                Some((name, format)) => {
                    (name, width(format).ok_or_else(|| wrong("has a format that is not %0<width>d"))?)
                }
                None => (identifier, 1),
            };
            tokens.push(Token::Text(text.into()));
            tokens.push(match name {
                "" => Token::Text("$".into()),
                "RepresentationID" => Token::Text(id.into()),
                "Bandwidth" => Token::Text(format!("{bandwidth:0width$}")),
                "Number" => Token::Number { width },
                "Time" => Token::Time { width },
                _ => return Err(wrong("has an unknown identifier")),
            });
            rest = next;
        }
        tokens.push(Token::Text(rest.into()));
        Ok(Self(tokens))
    }

    /// The name of the segment with this number and time.
    pub(super) fn expand(&self, number: u64, time: u64) -> String {
        self.0.iter().fold(String::new(), |mut name, token| {
            // Writing to a string can't fail.
            let _ = match token {
                Token::Text(text) => name.write_str(text),
                Token::Number { width } => write!(name, "{number:0width$}"),
                Token::Time { width } => write!(name, "{time:0width$}"),
            };
            name
        })
    }

    /// Whether segments are told apart at all.
    pub(super) fn is_constant(&self) -> bool {
        self.0.iter().all(|token| matches!(token, Token::Text(_)))
    }
}

/// The width in `0<width>d`.
fn width(format: &str) -> Option<usize> {
    let width: usize = format.strip_prefix('0')?.strip_suffix('d')?.parse().ok()?;
    (1..=MAX_WIDTH).contains(&width).then_some(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_expanded() {
        for (template, name) in [
            ("chunk-$RepresentationID$-$Number%05d$.m4s", "chunk-v1-00042.m4s"),
            ("$Bandwidth$/$Time$.m4s", "128000/9000.m4s"),
            ("$Time%012d$", "000000009000"),
            ("$Number%01d$", "42"),
            ("$Bandwidth%08d$-$Number$", "00128000-42"),
            ("a$$b", "a$b"),
            ("$$$Number$$$", "$42$"),
            ("plain.m4s", "plain.m4s"),
            ("", ""),
        ] {
            let parsed = Template::parse(template, "v1", 128_000).expect(template);
            assert_eq!(parsed.expand(42, 9000), name, "{template}");
        }
    }

    #[test]
    fn identifiers_in_ids_are_not_expanded_again() {
        let template = Template::parse("$RepresentationID$-$Number$", "$Time$", 0).expect("valid");
        assert_eq!(template.expand(1, 2), "$Time$-1");
        assert!(!template.is_constant());
    }

    #[test]
    fn wrong_templates_are_refused() {
        for (template, part) in [
            ("$Number", "without another"),
            ("a$b", "without another"),
            ("$Number%099999d$", "format"),
            ("$Number%021d$", "format"),
            ("$Number%5d$", "format"),
            ("$Number%05x$", "format"),
            ("$Number%00d$", "format"),
            ("$Number%0-5d$", "format"),
            ("$SubNumber$", "unknown"),
            ("$number$", "unknown"),
        ] {
            let reason = Template::parse(template, "v1", 1).expect_err(template);
            assert!(reason.contains(part), "{template}: {reason}");
        }
    }
}
