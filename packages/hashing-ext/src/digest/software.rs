//! SHA-256 in plain Rust (FIPS 180-4, 6.2), written so that a compiler makes good code of it.
//!
//! It is inlined into its callers: those that may use more instructions compile it to more.

use super::backend::{Backend, Block, Run, State};

/// FIPS 180-4, 4.2.2.
#[rustfmt::skip]
pub const ROUNDS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5,
    0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3,
    0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc,
    0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7,
    0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13,
    0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3,
    0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5,
    0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208,
    0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

pub struct Software;

impl Backend for Software {
    fn key(&self) -> &'static str {
        "software"
    }

    fn name(&self) -> &'static str {
        "software"
    }

    fn width(&self, _ready: usize) -> usize {
        1
    }

    fn compress(&self, runs: &mut [Run]) {
        for run in runs {
            compress(run.state, run.blocks);
        }
    }
}

/// Takes `blocks` into `state`.
#[inline(always)]
pub fn compress(state: &mut State, blocks: &[Block]) {
    for block in blocks {
        // The last sixteen words of the schedule.
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        rounds(state, |at| {
            if at >= 16 {
                words[at % 16] = next_word(&words, at);
            }
            words[at % 16].wrapping_add(ROUNDS[at])
        });
    }
}

#[inline(always)]
fn next_word(words: &[u32; 16], at: usize) -> u32 {
    let (early, late) = (words[(at + 1) % 16], words[(at + 14) % 16]);
    let early = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
    let late = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
    words[at % 16].wrapping_add(early).wrapping_add(words[(at + 9) % 16]).wrapping_add(late)
}

/// The rounds of one block; `word` gives each word of its schedule with the round's constant added,
/// and is asked for them in order.
#[inline(always)]
pub fn rounds(state: &mut State, mut word: impl FnMut(usize) -> u32) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    // One round's `a ^ b` is the next one's `b ^ c`, and saves it an instruction of the majority.
    let mut b_xor_c = b ^ c;
    // Names take turns instead of values, and everything is unrolled: no register is moved.
    macro_rules! round {
        ($at:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
            let a_xor_b = $a ^ $b;
            let choice = (($f ^ $g) & $e) ^ $g;
            let majority = (a_xor_b & b_xor_c) ^ $b;
            let from_e = $e.rotate_right(6) ^ $e.rotate_right(11) ^ $e.rotate_right(25);
            let from_a = $a.rotate_right(2) ^ $a.rotate_right(13) ^ $a.rotate_right(22);
            $h = $h.wrapping_add(word($at)).wrapping_add(choice).wrapping_add(from_e);
            $d = $d.wrapping_add($h);
            $h = $h.wrapping_add(from_a).wrapping_add(majority);
            b_xor_c = a_xor_b;
        };
    }
    macro_rules! eight_rounds {
        ($($at:literal)*) => {$(
            round!($at, a b c d e f g h);
            round!($at + 1, h a b c d e f g);
            round!($at + 2, g h a b c d e f);
            round!($at + 3, f g h a b c d e);
            round!($at + 4, e f g h a b c d);
            round!($at + 5, d e f g h a b c);
            round!($at + 6, c d e f g h a b);
            round!($at + 7, b c d e f g h a);
        )*};
    }
    eight_rounds!(0 8 16 24 32 40 48 56);
    let _ = b_xor_c;
    for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(more);
    }
}
