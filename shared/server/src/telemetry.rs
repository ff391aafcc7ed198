//! Logs: to stderr, for people on a terminal, in JSON lines elsewhere. What others say (names, paths, messages of FFmpeg)
//! is in them too, so whatever a terminal would act upon is escaped, and a value has an end.

use std::{
    fmt::{self, Write as _},
    io::{self, IsTerminal, Write},
};

use tracing::{Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    field::MakeExt,
    fmt::{format, layer, writer::MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// The longest value of a field, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// Starts the logs. `EXCERPT_LOG`, or `RUST_LOG`, says what is worth a line, as in `info,server=debug`; by default `info`.
/// A second call does nothing.
pub fn telemetry() {
    let filter = ["EXCERPT_LOG", "RUST_LOG"].iter().find_map(|name| EnvFilter::try_from_env(name).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    let terminal = io::stderr().is_terminal();
    let lines: Box<dyn Layer<Registry> + Send + Sync> =
        if terminal { Box::new(for_people(io::stderr)) } else { Box::new(for_programs(Escaping)) };
    if tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let message = panic.payload_as_str().unwrap_or("no message");
            tracing::error!(place, "panic: {message}");
        }));
    }
}

fn for_people<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    let fields = format::debug_fn(|writer: &mut format::Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        if field.name() != "message" {
            write!(writer, "{}=", field.name())?;
        }
        write_escaped(writer, &format!("{value:?}"))
    });
    layer().with_writer(writer).with_target(false).fmt_fields(fields.delimited(" "))
}

fn for_programs<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    layer().json().flatten_event(true).with_current_span(false).with_writer(writer)
}

/// Writes `text` with what a terminal acts upon escaped, and cut at the longest value.
fn write_escaped(writer: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut end = text.len().min(MAX_VALUE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for c in text[..end].chars() {
        if is_active(c) { write!(writer, "{}", c.escape_unicode())? } else { writer.write_char(c)? }
    }
    if end < text.len() { write!(writer, "… ({} bytes)", text.len()) } else { Ok(()) }
}

/// Whether a terminal, or the eye, is led astray by `c`: control characters, line separators, overrides of direction.
fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Stderr for JSON lines. JSON escapes only the older control characters by itself.
struct Escaping;

impl<'a> MakeWriter<'a> for Escaping {
    type Writer = EscapingWriter;

    fn make_writer(&'a self) -> EscapingWriter {
        EscapingWriter
    }
}

struct EscapingWriter;

impl Write for EscapingWriter {
    /// Takes one whole line: the subscriber formats it in memory.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(escape_json(line).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn escape_json(line: &[u8]) -> String {
    let mut escaped = String::with_capacity(line.len());
    for c in String::from_utf8_lossy(line).chars() {
        match c {
            '\n' => escaped.push('\n'),
            // All of these are in the Basic Multilingual Plane: one escape each.
            c if is_active(c) => drop(write!(escaped, "\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const HOSTILE: &str = "clip\n2026 ERROR forged\x1b[2J\u{9b}31m\u{202e}\"}";

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(layer: impl FnOnce(Memory) -> Box<dyn Layer<Registry> + Send + Sync>) -> String {
        let memory = Memory::default();
        let subscriber = tracing_subscriber::registry().with(layer(memory.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("request", path = HOSTILE).in_scope(|| tracing::info!(name = HOSTILE, "{HOSTILE}"));
        });
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn hostile_text_stays_on_its_line() {
        let line = logged(|memory| Box::new(for_people(move || memory.clone())));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        // The colours are ours; nothing else begins an escape sequence.
        assert!(!line.contains("\x1b[2J") && !line.contains('\u{9b}') && !line.contains('\u{202e}'), "{line:?}");

        let line = logged(|memory| Box::new(for_programs(move || memory.clone())));
        let line = escape_json(line.as_bytes());
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(line.trim_end().chars().all(|c| !is_active(c)), "{line:?}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["message"], HOSTILE);
    }

    #[test]
    fn a_value_has_an_end() {
        let mut text = String::new();
        write_escaped(&mut text, &"é".repeat(MAX_VALUE_BYTES)).unwrap();
        assert!(text.len() < MAX_VALUE_BYTES + 40 && text.ends_with("… (8192 bytes)"));
    }
}
