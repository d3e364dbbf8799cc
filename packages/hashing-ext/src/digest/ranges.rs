//! SHA-256 of a whole stream and of byte ranges of it, in one pass.

use super::message::{Feed, Message, feed_all};

/// A range of the file, from its first byte to the one after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
}

impl ByteRange {
    /// The part of `data`, which begins at `offset` of the file, that lies in the range.
    fn of(self, data: &[u8], offset: u64) -> &[u8] {
        let within = |position: u64| {
            let at = position.saturating_sub(offset).min(data.len() as u64);
            // At most the length of a slice.
            at as usize
        };
        &data[within(self.start)..within(self.end)]
    }
}

/// Digests of ranges of a stream.
pub struct Parts {
    ranges: Vec<(ByteRange, Message)>,
    offset: u64,
}

impl Parts {
    /// For these ranges; each must end where it begins or after.
    pub fn new(ranges: &[ByteRange]) -> Self {
        let ranges = ranges.iter().map(|range| (*range, Message::default())).collect();
        Self { ranges, offset: 0 }
    }

    /// Feeds the next bytes of the stream.
    pub fn update(&mut self, data: &[u8]) {
        feed_all(self.feeds(data));
    }

    /// The next bytes of the stream as what they are to each range.
    fn feeds<'a>(&'a mut self, data: &'a [u8]) -> impl Iterator<Item = Feed<'a>> {
        let offset = self.offset;
        self.offset += data.len() as u64;
        self.ranges
            .iter_mut()
            .map(move |(range, message)| Feed { message, data: range.of(data, offset) })
    }

    /// The digests of the ranges in their order.
    pub fn finish(self) -> Vec<[u8; 32]> {
        self.ranges.into_iter().map(|(_, message)| message.finish()).collect()
    }
}

/// Digests of everything, and of each range.
pub struct RangeHasher {
    whole: Message,
    parts: Parts,
}

impl RangeHasher {
    /// For these ranges; each must end where it begins or after.
    pub fn new(ranges: &[ByteRange]) -> Self {
        Self { whole: Message::default(), parts: Parts::new(ranges) }
    }

    /// Feeds the next bytes of the stream.
    pub fn update(&mut self, data: &[u8]) {
        feed_all(self.feeds(data));
    }

    /// The next bytes of the stream as what they are to the whole and to each range; to be handed
    /// to [`feed_all`], perhaps with those of other streams.
    pub fn feeds<'a>(&'a mut self, data: &'a [u8]) -> impl Iterator<Item = Feed<'a>> {
        let Self { whole, parts } = self;
        std::iter::once(Feed { message: whole, data }).chain(parts.feeds(data))
    }

    /// The digest of everything fed, and those of the ranges in their order.
    pub fn finish(self) -> ([u8; 32], Vec<[u8; 32]>) {
        (self.whole.finish(), self.parts.finish())
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::{ByteRange, RangeHasher};

    #[test]
    fn ranges_at_every_edge_of_the_pieces() {
        let data: Vec<u8> = (0..(3 << 20) + 77).map(|at: usize| (at / 3) as u8).collect();
        let end = data.len() as u64;
        let piece = 512 << 10;
        let edges = [0, 1, 63, 64, 65, piece - 1, piece, piece + 1, 2 * piece, end - 1, end];
        for start in edges {
            let ranges: Vec<_> = edges
                .into_iter()
                .filter(|&end| end >= start)
                .map(|end| ByteRange { start, end })
                .collect();
            let mut hasher = RangeHasher::new(&ranges);
            data.chunks(piece as usize).for_each(|piece| hasher.update(piece));
            let (whole, found) = hasher.finish();
            assert_eq!(whole, <[u8; 32]>::from(Sha256::digest(&data)));
            for (range, found) in ranges.into_iter().zip(found) {
                let wanted = Sha256::digest(&data[range.start as usize..range.end as usize]);
                assert_eq!(found, <[u8; 32]>::from(wanted), "{range:?}");
            }
        }
    }
}
