//! Exchanges that ended and are kept, the oldest first.

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use super::{
    ExchangeId,
    packed::{Common, Shelf, Slot},
    record::Exchange,
    render::Late,
};

/// Those that are kept.
#[derive(Default)]
pub(super) struct Done {
    kept: VecDeque<Entry>,
    /// The number of the first of them: they are counted from the beginning.
    first: u64,
    /// What they hold, as far as it is packed.
    shelf: Shelf,
    /// The end of the youngest that is not kept any more.
    forgotten: u64,
}

/// What one of them is found by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its place among all that were ever kept.
    pub(super) number: u64,
    pub(super) id: ExchangeId,
    pub(super) began: SystemTime,
}

struct Entry {
    common: Common,
    /// The number of its end among all that happened.
    closed: u64,
    place: Place,
    /// What took a while to find out.
    late: Option<Box<Late>>,
}

enum Place {
    Packed(Slot),
    /// As it was, and the bytes that it holds beside itself.
    Whole(Arc<Exchange>, usize),
}

impl Entry {
    fn of(exchange: &Exchange, place: Place) -> Entry {
        let [.., closed] = exchange.numbers;
        Entry {
            common: Common::of(exchange),
            closed,
            place,
            late: None,
        }
    }

    /// Bytes that it takes.
    fn weight(&self) -> usize {
        let place = match &self.place {
            Place::Packed(slot) => slot.length(),
            Place::Whole(_, weight) => size_of::<Exchange>() + weight,
        };
        size_of::<Entry>() + place
    }
}

impl Done {
    /// Copies one that holds `weight` bytes, if it is one of those that are copied: how many bytes that takes.
    pub(super) fn copy(&mut self, exchange: &Exchange, weight: usize) -> Option<usize> {
        let slot = self.shelf.put(exchange, weight)?;
        Some(self.push(Entry::of(exchange, Place::Packed(slot))))
    }

    /// Keeps one that holds `weight` bytes as it is: how many bytes that takes.
    pub(super) fn take(&mut self, exchange: Arc<Exchange>, weight: usize) -> usize {
        self.push(Entry::of(
            &Arc::clone(&exchange),
            Place::Whole(exchange, weight),
        ))
    }

    fn push(&mut self, entry: Entry) -> usize {
        let weight = entry.weight();
        self.kept.push_back(entry);
        weight
    }

    /// Forgets the oldest: how many bytes that gives back, and what is still to be freed.
    pub(super) fn forget(&mut self) -> Option<(usize, Option<Arc<Exchange>>)> {
        let oldest = self.kept.pop_front()?;
        self.first += 1;
        self.forgotten = self.forgotten.max(oldest.closed);
        let weight = oldest.weight();
        match oldest.place {
            Place::Packed(slot) => {
                self.shelf.forget(slot);
                Some((weight, None))
            }
            Place::Whole(exchange, _) => Some((weight, Some(exchange))),
        }
    }

    /// All of them, the oldest first.
    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = Key> {
        let numbered = self.kept.iter().enumerate();
        numbered.map(|(place, entry)| Key {
            number: self.first + place as u64,
            id: entry.common.id,
            began: entry.common.began,
        })
    }

    /// Those that ended after this, and whether others did that are not kept any more: up to which one.
    pub(super) fn after(&self, number: u64) -> (Vec<u64>, Option<u64>) {
        let numbered = self.kept.iter().enumerate();
        let missed = numbered
            .filter(|(_, entry)| entry.closed > number)
            .map(|(place, _)| self.first + place as u64);
        let lost = (self.forgotten > number).then_some(self.forgotten);
        (missed.collect(), lost)
    }

    /// One with all that it holds; nothing if it was forgotten meanwhile.
    pub(super) fn whole(&self, number: u64) -> Option<Arc<Exchange>> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let entry = self.kept.get(place)?;
        match &entry.place {
            Place::Whole(exchange, _) => Some(Arc::clone(exchange)),
            Place::Packed(slot) => {
                let whole = self.shelf.whole(*slot, &entry.common)?;
                if let Some(late) = &entry.late {
                    let _ = whole.late.set((**late).clone());
                }
                Some(Arc::new(whole))
            }
        }
    }

    /// What took a while to find out of one is kept, if that is still here.
    pub(super) fn learn(&mut self, number: u64, late: &Late) {
        let place = number.checked_sub(self.first);
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.kept.get_mut(place))
            && matches!(entry.place, Place::Packed(_))
            && entry.late.is_none()
        {
            entry.late = Some(Box::new(late.clone()));
        }
    }
}
