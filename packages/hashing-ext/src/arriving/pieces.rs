//! Which bytes of a file are there: pieces of one size, each filled from its start.

use std::ops::Range;

use crate::error::{Error, Result};

/// More pieces than this make a record that is a burden of its own.
const MAX_PIECES: u64 = 1 << 20;

/// How a file is cut into pieces; the last one may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the whole file.
    pub size_bytes: u64,
    /// Bytes of a piece.
    pub piece_bytes: u64,
}

impl Layout {
    /// `None` where no file has such a size, or the pieces would be too many.
    pub fn new(size_bytes: u64, piece_bytes: u64) -> Option<Self> {
        let fits = piece_bytes > 0
            && i64::try_from(size_bytes).is_ok()
            && size_bytes.div_ceil(piece_bytes) <= MAX_PIECES;
        fits.then_some(Self { size_bytes, piece_bytes })
    }

    /// Number of pieces.
    pub fn count(self) -> usize {
        // At most `MAX_PIECES`.
        self.size_bytes.div_ceil(self.piece_bytes) as usize
    }

    /// The bytes of the file that are piece `number`.
    pub fn piece(self, number: usize) -> Range<u64> {
        let start = number as u64 * self.piece_bytes;
        start..start.saturating_add(self.piece_bytes).min(self.size_bytes)
    }

    fn number_of(self, offset: u64) -> usize {
        (offset / self.piece_bytes) as usize
    }

    /// The pieces that the bytes of `run` lie in, which must not be empty.
    pub fn touched(self, run: &Range<u64>) -> Range<usize> {
        self.number_of(run.start)..self.number_of(run.end - 1) + 1
    }

    /// How many bytes of piece `number` there are once `run`, which goes on where they end, is.
    pub fn filled_by(self, number: usize, run: &Range<u64>) -> u64 {
        let piece = self.piece(number);
        run.end.min(piece.end) - piece.start
    }

    /// The end of the bytes that follow each other from `start`, at most `limit`, where so many of
    /// each piece are `filled`.
    fn end_from(self, filled: &[u64], start: u64, limit: u64) -> u64 {
        let mut end = start;
        while end < limit {
            let number = self.number_of(end);
            let piece = self.piece(number);
            end = end.max(piece.start + filled[number]);
            if end < piece.end {
                break;
            }
        }
        end.min(limit)
    }
}

/// How far each piece has come.
#[derive(Debug)]
pub struct Pieces {
    layout: Layout,
    /// Bytes of each piece that were taken in, written or not.
    taken: Vec<u64>,
    /// Bytes of each piece that are in the file.
    written: Vec<u64>,
    taken_bytes: u64,
    written_bytes: u64,
}

impl Pieces {
    /// With as many bytes of each piece written as `written` says.
    pub fn new(layout: Layout, written: Vec<u64>) -> Self {
        let bytes = written.iter().sum();
        Self { layout, taken: written.clone(), written, taken_bytes: bytes, written_bytes: bytes }
    }

    /// Bytes in the file.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Bytes of each piece that are in the file.
    pub fn written(&self) -> &[u64] {
        &self.written
    }

    /// Whether every byte was taken in.
    pub fn all_taken(&self) -> bool {
        self.taken_bytes == self.layout.size_bytes
    }

    /// What was not taken in yet, one run for each piece that is not complete.
    pub fn missing(&self) -> Vec<Range<u64>> {
        let rest = |(number, taken)| {
            let piece = self.layout.piece(number);
            piece.start + taken..piece.end
        };
        let rests = self.taken.iter().copied().enumerate().map(rest);
        rests.filter(|rest| !rest.is_empty()).collect()
    }

    /// Fails unless `run` begins where its piece goes on, and finds the pieces after that empty.
    pub fn check(&self, run: &Range<u64>) -> Result<()> {
        let size_bytes = self.layout.size_bytes;
        if run.end > size_bytes {
            let text = format!("bytes up to {} of a file of {size_bytes}", run.end);
            return Err(Error::Misused(text));
        }
        for number in self.layout.touched(run) {
            let next = self.layout.piece(number).start + self.taken[number];
            let start = run.start.max(self.layout.piece(number).start);
            if start != next {
                let text = format!("bytes at {start}, but their piece goes on at {next}");
                return Err(Error::Misused(text));
            }
        }
        Ok(())
    }

    /// Notes that `run`, which was checked, is on its way to the file.
    pub fn take(&mut self, run: &Range<u64>) {
        for number in self.layout.touched(run) {
            self.taken[number] = self.layout.filled_by(number, run);
        }
        self.taken_bytes += run.end - run.start;
    }

    /// Notes that `run` is in the file.
    pub fn write(&mut self, run: &Range<u64>) {
        for number in self.layout.touched(run) {
            self.written[number] = self.layout.filled_by(number, run);
        }
        self.written_bytes += run.end - run.start;
    }

    /// The end of the bytes in the file that follow each other from `start`, but at most `limit`.
    pub fn written_from(&self, start: u64, limit: u64) -> u64 {
        self.layout.end_from(&self.written, start, limit)
    }

    /// The same of the bytes that were taken in.
    pub fn taken_from(&self, start: u64, limit: u64) -> u64 {
        self.layout.end_from(&self.taken, start, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, Pieces};

    fn empty(size_bytes: u64, piece_bytes: u64) -> Pieces {
        let layout = Layout::new(size_bytes, piece_bytes).unwrap();
        Pieces::new(layout, vec![0; layout.count()])
    }

    #[test]
    fn a_layout_has_as_many_pieces_as_it_takes() {
        let count = |size, piece| Layout::new(size, piece).map(Layout::count);
        assert_eq!(count(0, 10), Some(0));
        assert_eq!(count(1, 10), Some(1));
        assert_eq!(count(20, 10), Some(2));
        assert_eq!(count(21, 10), Some(3));
        assert_eq!(count(21, u64::MAX), Some(1));
        assert_eq!(count(21, 0), None);
        assert_eq!(count(u64::MAX, 1 << 62), None);
        assert_eq!(count((1 << 20) + 1, 1), None);
    }

    #[test]
    fn bytes_go_on_where_their_piece_ends_and_run_over_into_empty_ones() {
        let mut pieces = empty(25, 10);
        assert_eq!(pieces.missing(), [0..10, 10..20, 20..25]);
        for wrong in [1..2, 9..12, 15..16, 20..26, 24..25] {
            assert!(pieces.check(&wrong).is_err(), "{wrong:?}");
        }
        pieces.check(&(10..13)).unwrap();
        pieces.take(&(10..13));
        // The second piece is not empty any more.
        assert!(pieces.check(&(0..11)).is_err());
        assert!(pieces.check(&(10..11)).is_err());
        pieces.check(&(13..25)).unwrap();
        pieces.take(&(13..25));
        assert!(pieces.missing().into_iter().eq(std::iter::once(0..10)));
        assert!(!pieces.all_taken());
        pieces.check(&(0..10)).unwrap();
        pieces.take(&(0..10));
        assert!(pieces.all_taken());
        assert!(pieces.missing().is_empty());
        assert_eq!(pieces.written_bytes(), 0);
    }

    #[test]
    fn what_is_written_is_followed_over_whole_pieces() {
        let mut pieces = empty(25, 10);
        pieces.write(&(0..4));
        pieces.write(&(10..22));
        assert_eq!(pieces.written_from(0, 25), 4);
        assert_eq!(pieces.written_from(4, 25), 4);
        assert_eq!(pieces.written_from(12, 25), 22);
        assert_eq!(pieces.written_from(12, 15), 15);
        pieces.write(&(4..10));
        assert_eq!(pieces.written_from(0, 25), 22);
        assert_eq!(pieces.written_bytes(), 22);
        assert_eq!(pieces.written(), [10, 10, 2]);
    }
}
