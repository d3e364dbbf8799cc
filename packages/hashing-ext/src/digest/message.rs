//! SHA-256 of one message that comes in pieces, alone or two of them side by side.

use sha2::block_api::compress256;

use super::sha_ni;

const BLOCK: usize = 64;

/// [`sha_ni::compress_two`], or what a test puts in its place.
type CompressTwo = fn([&mut [u32; 8]; 2], [&[[u8; BLOCK]]; 2]) -> bool;

/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
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
    state: [u32; 8],
    /// The block that is being filled, and how many bytes of it are.
    begun: [u8; BLOCK],
    filled: usize,
    size_bytes: u64,
}

impl Default for Message {
    fn default() -> Self {
        Self { state: INITIAL, begun: [0; BLOCK], filled: 0, size_bytes: 0 }
    }
}

impl Message {
    /// Feeds `data`.
    pub fn update(&mut self, data: &[u8]) {
        let (blocks, rest) = self.fill(data).as_chunks();
        compress256(&mut self.state, blocks);
        self.begin(rest);
    }

    /// Feeds `data` to `self` and `other_data` to `other`, on one core at once where it can do that.
    ///
    /// One chain of SHA-256 leaves half of the instructions' throughput unused, because each round
    /// waits for the one before; a second chain fills the gaps.
    pub fn update_both(&mut self, data: &[u8], other: &mut Self, other_data: &[u8]) {
        self.update_both_by(sha_ni::compress_two, data, other, other_data);
    }

    fn update_both_by(
        &mut self,
        compress_two: CompressTwo,
        data: &[u8],
        other: &mut Self,
        other_data: &[u8],
    ) {
        let (blocks, rest) = self.fill(data).as_chunks();
        let (other_blocks, other_rest) = other.fill(other_data).as_chunks();
        let both = blocks.len().min(other_blocks.len());
        let states = [&mut self.state, &mut other.state];
        if compress_two(states, [&blocks[..both], &other_blocks[..both]]) {
            compress256(&mut self.state, &blocks[both..]);
            compress256(&mut other.state, &other_blocks[both..]);
        } else {
            compress256(&mut self.state, blocks);
            compress256(&mut other.state, other_blocks);
        }
        self.begin(rest);
        other.begin(other_rest);
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
            compress256(&mut self.state, &[self.begun]);
        }
        rest
    }

    /// Keeps what does not fill a block; empty while one is begun already.
    fn begin(&mut self, rest: &[u8]) {
        self.begun[self.filled..self.filled + rest.len()].copy_from_slice(rest);
        self.filled += rest.len();
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::{CompressTwo, Message, sha_ni};

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
        let data = data(300);
        for len in 0..=data.len() {
            let wanted = oracle(&data[..len]);
            for split in 0..=len {
                let mut message = Message::default();
                message.update(&data[..split]);
                message.update(&data[split..len]);
                assert_eq!(message.finish(), wanted, "{len} split at {split}");
            }
        }
    }

    #[test]
    fn every_length_beside_every_other_is_as_sha2_says() {
        let data = data(400);
        let wanted: Vec<_> = (0..=300).map(|len| oracle(&data[..len])).collect();
        for len in 0..=300 {
            for other_len in (len % 7..=300).step_by(7) {
                let (mut one, mut two) = (Message::default(), Message::default());
                one.update_both(&data[..len], &mut two, &data[..other_len]);
                assert_eq!(one.finish(), wanted[len], "{len} beside {other_len}");
                assert_eq!(two.finish(), wanted[other_len], "{other_len} beside {len}");
            }
        }
    }

    #[test]
    fn two_messages_of_any_lengths_and_offsets_do_not_mix() {
        do_not_mix(sha_ni::compress_two);
    }

    #[test]
    fn two_messages_do_not_mix_on_a_processor_without_the_instructions() {
        do_not_mix(|_, _| false);
    }

    fn do_not_mix(compress_two: CompressTwo) {
        let data = data(1 << 16);
        let mut numbers = Numbers(7);
        for round in 0..2_000 {
            let (mut one, mut two) = (Message::default(), Message::default());
            let (mut one_data, mut two_data) = (Vec::new(), Vec::new());
            for _ in 0..numbers.below(5) {
                let mut piece = || {
                    let start = numbers.below(data.len());
                    let len = numbers.below(if round % 3 == 0 { 200 } else { 5_000 });
                    &data[start..(start + len).min(data.len())]
                };
                let (a, b) = (piece(), piece());
                one.update_both_by(compress_two, a, &mut two, b);
                one_data.extend_from_slice(a);
                two_data.extend_from_slice(b);
            }
            assert_eq!(one.finish(), oracle(&one_data), "first of round {round}");
            assert_eq!(two.finish(), oracle(&two_data), "second of round {round}");
        }
    }
}
