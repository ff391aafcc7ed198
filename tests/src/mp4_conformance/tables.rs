//! The tables that say when and where samples are (ISO/IEC 14496-12 §8.6, §8.7).

use std::{collections::HashSet, ops::Range};

use super::boxes::{Box, number};

/// No sample file has more.
const MOST_SAMPLES: i64 = 10_000_000;

/// The sample tables of a track.
pub(super) struct Tables {
    /// Runs of samples with the same duration.
    stts: Vec<(i64, i64)>,
    /// Runs of samples with the same distance of showing from decoding.
    ctts: Option<Vec<(i64, i64)>>,
    sizes: Vec<i64>,
    offsets: Vec<i64>,
    /// First chunk, samples in each from there on.
    stsc: Vec<(i64, i64)>,
    sync: Option<Vec<i64>>,
}

impl Tables {
    pub(super) fn read(stbl: &Box<'_>) -> Result<Self, String> {
        let optional = |kind: &str| stbl.child(kind).ok();
        let wide = optional("co64");
        let (offsets, width) = if let Some(co64) = wide { (co64, 8) } else { (stbl.child("stco")?, 4) };
        let stsz = stbl.child("stsz")?;
        let sizes = match number(stsz.content, 4, 4)? {
            0 => rows(&stsz, 8, [4])?.into_iter().map(|[size]| size).collect(),
            size => match number(stsz.content, 8, 4)? {
                count if count > MOST_SAMPLES => return Err(format!("stsz says {count} samples")),
                count => vec![size; count as usize],
            },
        };
        // Version 1 is signed; version 0 is used so too (QuickTime).
        let signed =
            |rows: Vec<[i64; 2]>| rows.into_iter().map(|[count, by]| (count, i64::from(by as u32 as i32))).collect();
        Ok(Self {
            stts: pairs(rows(&stbl.child("stts")?, 4, [4, 4])?),
            ctts: optional("ctts").map(|ctts| rows(&ctts, 4, [4, 4])).transpose()?.map(signed),
            sizes,
            offsets: rows(&offsets, 4, [width])?.into_iter().map(|[offset]| offset).collect(),
            stsc: rows(&stbl.child("stsc")?, 4, [4, 4, 4])?.into_iter().map(|[first, each, _]| (first, each)).collect(),
            sync: optional("stss").map(|stss| rows(&stss, 4, [4])).transpose()?.map(|rows| rows.concat()),
        })
    }

    /// Length of the media, in its ticks.
    pub(super) fn duration(&self) -> i64 {
        self.stts.iter().fold(0, |sum: i64, (count, duration)| sum.saturating_add(count.saturating_mul(*duration)))
    }

    /// When the first sample is shown, and when the last one ends.
    pub(super) fn shown(&self) -> (i64, i64) {
        let times = self.times();
        let first = times.iter().map(|(shown, _)| *shown).min().unwrap_or(0);
        (first, times.iter().map(|(shown, duration)| shown + duration).max().unwrap_or(0))
    }

    /// When each sample is shown, and for how long.
    fn times(&self) -> Vec<(i64, i64)> {
        let offsets = self.ctts.iter().flatten().flat_map(|(count, by)| (0..*count).map(|_| *by));
        let mut offsets = offsets.chain(std::iter::repeat(0));
        let mut decoded = 0;
        let durations = self.stts.iter().flat_map(|(count, duration)| (0..*count).map(|_| *duration));
        durations
            .take(self.sizes.len())
            .map(|duration| {
                let shown = decoded + offsets.next().unwrap_or(0);
                decoded += duration;
                (shown, duration)
            })
            .collect()
    }

    /// Where each chunk begins and ends in the file.
    pub(super) fn chunks(&self) -> Vec<(i64, i64)> {
        let mut sizes = self.sizes.iter();
        let counts = (1..).map(|chunk| self.samples_in(chunk));
        let sum =
            |count: i64, sizes: &mut std::slice::Iter<'_, i64>| -> i64 { sizes.take(count.max(0) as usize).sum() };
        self.offsets
            .iter()
            .zip(counts)
            .map(|(start, count)| (*start, start.saturating_add(sum(count, &mut sizes))))
            .collect()
    }

    fn samples_in(&self, chunk: i64) -> i64 {
        let run = self.stsc.partition_point(|(first, _)| *first <= chunk);
        run.checked_sub(1).map_or(0, |run| self.stsc[run].1)
    }

    /// What is wrong with the tables, and with how samples of video are framed.
    pub(super) fn check(&self, media: &[Range<usize>], file: &[u8], entry: &Box<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut expect = |is_so: bool, problem: String| {
            if !is_so {
                problems.push(problem);
            }
        };
        let samples = self.sizes.len() as i64;
        let timed: i64 = self.stts.iter().map(|run| run.0).sum();
        expect(timed == samples, format!("stsz has {samples} samples, stts {timed}"));
        if let Some(ctts) = &self.ctts {
            let composed: i64 = ctts.iter().map(|run| run.0).sum();
            expect(composed == samples, format!("stsz has {samples} samples, ctts {composed}"));
        }
        let chunked: i64 = (1..=self.offsets.len() as i64).map(|chunk| self.samples_in(chunk)).sum();
        expect(chunked == samples, format!("stsz has {samples} samples, stsc {chunked}"));
        expect(self.stsc.windows(2).all(|pair| pair[0].0 < pair[1].0), "stsc isn't in order".into());
        let is_inside =
            |chunk: &(i64, i64)| media.iter().any(|mdat| mdat.start as i64 <= chunk.0 && chunk.1 <= mdat.end as i64);
        let outside = self.chunks().iter().filter(|chunk| !is_inside(chunk)).count();
        expect(outside == 0, format!("{outside} chunks lie outside mdat"));
        if let Some(sync) = &self.sync {
            let rises = sync.windows(2).all(|pair| pair[0] < pair[1]);
            expect(rises && sync.iter().all(|at| (1..=samples).contains(at)), format!("stss is {sync:?}"));
            expect(sync.first() == Some(&1), format!("the first sample is no keyframe: {:?}", sync.first()));
        }
        let times: HashSet<i64> = self.times().iter().map(|time| time.0).collect();
        expect(times.len() as i64 == samples, "two samples are shown at once".into());
        let zero = self.stts.iter().rev().skip(1).any(|run| run.1 == 0);
        expect(!zero, "samples inside have no duration".into());
        if outside == 0 && matches!(&entry.kind, b"avc1" | b"avc3" | b"hvc1") {
            let unframed = self.samples(file).filter(|sample| !is_framed(sample)).count();
            expect(unframed == 0, format!("{unframed} samples aren't NAL units with lengths of four bytes"));
        }
        problems
    }

    /// The samples, in the order of decoding.
    fn samples<'a>(&'a self, file: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut sizes = self.sizes.iter();
        let places = self.offsets.iter().zip(1..).flat_map(move |(offset, chunk)| {
            let mut at = *offset as usize;
            let of_chunk: Vec<_> = sizes.by_ref().take(self.samples_in(chunk).max(0) as usize).collect();
            of_chunk.into_iter().map(move |size| {
                at += *size as usize;
                at - *size as usize..at
            })
        });
        places.map(|place| file.get(place).unwrap_or_default())
    }
}

/// Whether a sample consists of NAL units, each behind its length.
fn is_framed(mut sample: &[u8]) -> bool {
    while let Some((head, rest)) = sample.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*head) as usize;
        let Some(next) = rest.get(size..).filter(|_| size > 0) else { return false };
        sample = next;
    }
    sample.is_empty()
}

fn pairs(rows: Vec<[i64; 2]>) -> Vec<(i64, i64)> {
    rows.into_iter().map(|[a, b]| (a, b)).collect()
}

/// The rows of a table whose count is at `at`, each of numbers of these widths; it ends where they do.
fn rows<const N: usize>(table: &Box<'_>, at: usize, widths: [usize; N]) -> Result<Vec<[i64; N]>, String> {
    let count = usize::try_from(number(table.content, at, 4)?).map_err(|_| "a table is too long")?;
    let width: usize = widths.iter().sum();
    if table.content.len() != at + 4 + count * width {
        return Err(format!("{} says {count} rows, and has {} bytes", table.name(), table.content.len()));
    }
    let mut found = Vec::with_capacity(count);
    for row in 0..count {
        let mut place = at + 4 + row * width;
        let mut values = [0; N];
        for (value, width) in values.iter_mut().zip(widths) {
            *value = number(table.content, place, width)?;
            place += width;
        }
        found.push(values);
    }
    Ok(found)
}
