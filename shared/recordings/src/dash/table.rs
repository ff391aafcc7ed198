//! The segments of a rendition: when from a timeline, where from a template or a list.

use media::time::{TimeRange, WallTime};

use super::{
    template::Template,
    timeline::{Scale, Timeline},
};
use crate::{
    Error, TOLERANCE,
    error::excerpt,
    name,
    track::{Address, Segments, Stretch},
};

/// How the files of segments are told.
#[derive(Debug)]
pub(super) enum Naming {
    /// By number or time.
    Template(Template),
    /// One by one.
    List(Vec<Address>),
    /// As pieces of one file: the first byte, and how many.
    Pieces { name: String, pieces: Vec<(u64, u32)> },
}

/// The segments of a rendition.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) uid: String,
    /// What a template's names are relative to.
    pub(super) base: String,
    pub(super) naming: Naming,
    /// The number of the first segment.
    pub(super) start_number: u64,
    pub(super) timeline: Timeline,
    pub(super) scale: Scale,
}

impl Table {
    /// Checks that every segment can be named and has a time.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Some(last) = self.timeline.len().checked_sub(1) else { return Ok(()) };
        let problem = match &self.naming {
            Naming::Template(template) if template.is_constant() && last > 0 => "gives all segments one name",
            Naming::List(list) if list.len() <= last => "lists fewer segments than its timeline has",
            _ if self.start_number.checked_add(last as u64).is_none() => "runs out of numbers",
            _ if self.scale.wall(self.timeline.start(0)).is_none() => "begins before the year 1678 or after 2262",
            _ if self.scale.wall(self.timeline.end(last)).is_none() => "runs beyond the year 2262",
            _ => return Ok(()),
        };
        Err(Error::unusable(&self.uid, problem))
    }

    /// The file of the segment with this number and time.
    pub(super) fn name(&self, template: &Template, number: u64, time: u64) -> Result<String, Error> {
        let uri = template.expand(number, time);
        let refused = |reason| Error::unusable(&self.uid, format!("the segment {} {reason}", excerpt(&uri)));
        name::resolve_file(&self.base, &uri).map_err(refused)
    }
}

impl Segments for Table {
    fn range(&self, index: usize) -> TimeRange {
        let wall = |ticks| self.scale.wall(ticks).unwrap_or(self.scale.wall);
        TimeRange::new(wall(self.timeline.start(index)), wall(self.timeline.end(index)))
    }

    fn bytes(&self) -> usize {
        let list = match &self.naming {
            Naming::List(list) => list.iter().map(|address| size_of::<Address>() + address.name.len()).sum(),
            Naming::Pieces { name, pieces } => name.len() + size_of_val(pieces.as_slice()),
            Naming::Template(_) => 0,
        };
        size_of::<Self>() + self.timeline.bytes() + list
    }

    fn address(&self, index: usize) -> Result<Address, Error> {
        match &self.naming {
            Naming::List(list) => Ok(list[index].clone()),
            Naming::Pieces { name, pieces } => {
                let (offset, length) = pieces[index];
                Ok(Address { name: name.clone(), offset, length: Some(length.into()) })
            }
            Naming::Template(template) => {
                let number = self.start_number + index as u64;
                self.name(template, number, self.timeline.start(index)).map(Address::whole)
            }
        }
    }
}

/// The stretches without a gap among the segments of `table`, or one of all of them; nothing of them is after `end`.
pub(super) fn stretches(table: &Table, by_gaps: bool, end: Option<WallTime>, has_init: bool) -> Vec<Stretch> {
    let count = table.timeline.len();
    let is_gap = |first: &usize| {
        let before = first.checked_sub(1).map(|before| table.range(before).end);
        before.is_none_or(|before| table.range(*first).start.nanos_since(before) > TOLERANCE)
    };
    let firsts: Vec<usize> = match by_gaps {
        true => table.timeline.firsts().filter(is_gap).collect(),
        false => (0..count.min(1)).collect(),
    };
    let ends = firsts.iter().skip(1).copied().chain([count]);
    let stretches = firsts.iter().zip(ends).map(|(&first, after)| {
        let last = table.range(after - 1).end;
        let range = TimeRange::new(table.range(first).start, end.map_or(last, |end| end.min(last)));
        Stretch { segments: first..after, range, init: has_init.then_some(0) }
    });
    stretches.filter(|stretch| !stretch.range.is_empty()).collect()
}
