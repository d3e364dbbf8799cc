//! SHA-256 of messages that come in pieces, alone or several of them side by side.

use std::cmp::Reverse;

use super::backend::{self, BLOCK, Backend, Block, Run, State};

/// FIPS 180-4, 5.3.3.
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A message whose end has not come yet.
#[derive(Clone)]
pub struct Message {
    backend: &'static dyn Backend,
    state: State,
    /// The block that is being filled, and how many bytes of it are.
    begun: Block,
    filled: usize,
    size_bytes: u64,
}

impl Default for Message {
    fn default() -> Self {
        Self::by(backend::chosen())
    }
}

impl Message {
    fn by(backend: &'static dyn Backend) -> Self {
        Self { backend, state: INITIAL, begun: [0; BLOCK], filled: 0, size_bytes: 0 }
    }

    /// Feeds `data`.
    pub fn update(&mut self, data: &[u8]) {
        let (blocks, rest) = self.fill(data).as_chunks();
        self.backend.compress(&mut [Run { state: &mut self.state, blocks }]);
        self.begin(rest);
    }

    /// The digest of everything fed so far.
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.size_bytes.wrapping_mul(8);
        let zeros = (2 * BLOCK - 1 - 8 - self.filled) % BLOCK;
        let mut padding = [0; 2 * BLOCK];
        padding[0] = 0x80;
        padding[1 + zeros..1 + zeros + 8].copy_from_slice(&bits.to_be_bytes());
        self.update(&padding[..1 + zeros + 8]);
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    /// Fills up the block that was begun, and returns what is left of `data`.
    fn fill<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        self.size_bytes += data.len() as u64;
        if self.filled == 0 {
            return data;
        }
        let (head, rest) = data.split_at(data.len().min(BLOCK - self.filled));
        self.begun[self.filled..self.filled + head.len()].copy_from_slice(head);
        self.filled += head.len();
        if self.filled == BLOCK {
            self.filled = 0;
            let blocks = &[self.begun];
            self.backend.compress(&mut [Run { state: &mut self.state, blocks }]);
        }
        rest
    }

    /// Keeps what does not fill a block; empty while one is begun already.
    fn begin(&mut self, rest: &[u8]) {
        self.begun[self.filled..self.filled + rest.len()].copy_from_slice(rest);
        self.filled += rest.len();
    }
}

/// A message and what comes next in it.
pub struct Feed<'a> {
    /// The message.
    pub message: &'a mut Message,
    /// Its next bytes.
    pub data: &'a [u8],
}

/// Feeds every message its bytes, several of them on one core at once where it can do that.
///
/// One chain of SHA-256 leaves much of what a core can do unused, because each round waits for the
/// one before; others fill the gaps.
pub fn feed_all<'a>(feeds: impl IntoIterator<Item = Feed<'a>>) {
    feed_all_by(backend::chosen(), feeds);
}

fn feed_all_by<'a>(backend: &dyn Backend, feeds: impl IntoIterator<Item = Feed<'a>>) {
    let mut runs: Vec<Run> = Vec::new();
    for Feed { message, data } in feeds {
        let (blocks, rest) = message.fill(data).as_chunks();
        message.begin(rest);
        if !blocks.is_empty() {
            runs.push(Run { state: &mut message.state, blocks });
        }
    }
    // Those of one length run side by side to the end.
    runs.sort_by_key(|run| Reverse(run.blocks.len()));
    while !runs.is_empty() {
        let width = backend.width(runs.len());
        side_by_side(backend, &mut runs[..width]);
        runs.retain(|run| !run.blocks.is_empty());
    }
}

/// Takes as many blocks of each as the shortest has.
fn side_by_side(backend: &dyn Backend, runs: &mut [Run]) {
    let count = runs.iter().map(|run| run.blocks.len()).min().unwrap_or(0);
    let mut heads: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        let (head, rest) = run.blocks.split_at(count);
        run.blocks = rest;
        heads.push(Run { state: run.state, blocks: head });
    }
    backend.compress(&mut heads);
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::{Feed, Message, feed_all_by};
    use crate::digest::backend::{Backend, available};

    fn data(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
    }

    fn oracle(data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }

    /// A generator that is the same in every run (Knuth's MMIX constants).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) as usize % limit.max(1)
        }
    }

    #[test]
    fn every_length_and_split_is_as_sha2_says() {
        let data = data(600);
        for len in (0..=300).chain([511, 512, 513, 600]) {
            let wanted = oracle(&data[..len]);
            for (split, backend) in
                (0..=len).flat_map(|split| available().map(move |one| (split, one)))
            {
                let mut message = Message::by(backend);
                message.update(&data[..split]);
                message.update(&data[split..len]);
                assert_eq!(message.finish(), wanted, "{len} split at {split}, {}", backend.name());
            }
        }
    }

    #[test]
    fn every_length_beside_every_other_is_as_sha2_says() {
        available().for_each(beside_every_other);
    }

    fn beside_every_other(backend: &'static dyn Backend) {
        let data = data(400);
        let wanted: Vec<_> = (0..=300).map(|len| oracle(&data[..len])).collect();
        for len in 0..=300 {
            for other_len in (len % 7..=300).step_by(7) {
                let lens = [len, other_len, (len + other_len) / 2];
                let mut messages = lens.map(|_| Message::by(backend));
                feed_all_by(
                    backend,
                    messages
                        .iter_mut()
                        .zip(lens)
                        .map(|(message, len)| Feed { message, data: &data[..len] }),
                );
                for (message, len) in messages.into_iter().zip(lens) {
                    assert_eq!(
                        message.finish(),
                        wanted[len],
                        "{len} of {lens:?}, {}",
                        backend.name()
                    );
                }
            }
        }
    }

    #[test]
    fn messages_of_any_number_length_and_offset_do_not_mix() {
        available().for_each(do_not_mix);
    }

    fn do_not_mix(backend: &'static dyn Backend) {
        let data = data(1 << 16);
        let mut numbers = Numbers(7);
        for round in 0..2_000 {
            let count = numbers.below(12);
            let mut messages = vec![Message::by(backend); count];
            let mut fed = vec![Vec::new(); count];
            for _ in 0..numbers.below(5) {
                let pieces: Vec<&[u8]> = (0..count)
                    .map(|_| {
                        let start = numbers.below(data.len());
                        let len = numbers.below(if round % 3 == 0 { 200 } else { 5_000 });
                        &data[start..(start + len).min(data.len())]
                    })
                    .collect();
                let feeds = messages.iter_mut().zip(&pieces);
                feed_all_by(backend, feeds.map(|(message, data)| Feed { message, data }));
                for (fed, piece) in fed.iter_mut().zip(&pieces) {
                    fed.extend_from_slice(piece);
                }
            }
            for (at, (message, fed)) in messages.into_iter().zip(&fed).enumerate() {
                assert_eq!(
                    message.finish(),
                    oracle(fed),
                    "message {at} of round {round}, {}",
                    backend.name()
                );
            }
        }
    }
}
