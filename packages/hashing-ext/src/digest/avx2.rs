//! SHA-256 for x86 processors that have AVX2 but no SHA instructions: eight of everything at once.
//!
//! Of eight chains that is a block of each. Of one chain it is the schedules of eight blocks, which
//! do not depend on one another; the rounds, which do, then find theirs ready. It is about as fast as
//! OpenSSL's code for one chain on such processors.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::{array, mem};

use super::backend::{Backend, Block, Run, State};
use super::software::{self, ROUNDS};

const LANES: usize = 8;

/// From this many chains on, one round of eight takes less time than theirs one after the other.
const ENOUGH: usize = 3;

/// That the processor has these instructions: there is no other way to a value than to ask it.
pub struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<&'static dyn Backend> {
        let has_all = std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("bmi1")
            && std::is_x86_feature_detected!("bmi2");
        has_all.then_some(&Self(()))
    }
}

impl Backend for Avx2 {
    fn key(&self) -> &'static str {
        "avx2"
    }

    fn name(&self) -> &'static str {
        "AVX2, 8 lanes"
    }

    fn width(&self, ready: usize) -> usize {
        if ready < ENOUGH { 1 } else { ready.min(LANES) }
    }

    fn compress(&self, runs: &mut [Run]) {
        match runs {
            [] => {}
            // SAFETY: `one_chain` is a safe function but for the instructions it is compiled to,
            // and `self` is the proof that this processor has them.
            [run] => unsafe { one_chain(run.state, run.blocks) },
            // SAFETY: as above.
            runs => unsafe { side_by_side(runs) },
        }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn one_chain(state: &mut State, blocks: &[Block]) {
    let (eights, rest) = blocks.as_chunks();
    for eight in eights {
        let mut words = first_words(eight.each_ref());
        let mut schedules = [[0; LANES]; 64];
        for (sixteen, constants) in ROUNDS.as_chunks::<16>().0.iter().enumerate() {
            for at in 0..16 {
                if sixteen > 0 {
                    words[at] = next_word(&words, at);
                }
                schedules[16 * sixteen + at] = to_array(add_constant(words[at], constants[at]));
            }
        }
        for (block, _) in eight.iter().enumerate() {
            software::rounds(state, |at| schedules[at][block]);
        }
    }
    software::compress(state, rest);
}

/// Of fewer than eight chains some are computed more than once.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn side_by_side(runs: &mut [Run]) {
    let blocks: [&[Block]; LANES] = array::from_fn(|lane| runs[lane % runs.len()].blocks);
    let states: [State; LANES] = array::from_fn(|lane| *runs[lane % runs.len()].state);
    let mut chains = [_mm256_setzero_si256(); 8];
    for (at, chain) in chains.iter_mut().enumerate() {
        *chain = from_array(states.map(|state| state[at]));
    }
    for at in 0..blocks[0].len() {
        let mut words = first_words(blocks.map(|lane| &lane[at]));
        let before = chains;
        for (sixteen, constants) in ROUNDS.as_chunks::<16>().0.iter().enumerate() {
            // Unrolled by hand: the compiler leaves a loop as it is, which takes a third longer.
            macro_rules! rounds {
                ($($at:literal)*) => {$(
                    if sixteen > 0 {
                        words[$at] = next_word(&words, $at);
                    }
                    round(&mut chains, $at, add_constant(words[$at], constants[$at]));
                )*};
            }
            rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
        for (chain, before) in chains.iter_mut().zip(before) {
            *chain = _mm256_add_epi32(*chain, before);
        }
    }
    for (at, chain) in chains.into_iter().enumerate() {
        for (run, word) in runs.iter_mut().zip(to_array(chain)) {
            run.state[at] = word;
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn from_array(words: [u32; LANES]) -> __m256i {
    let [a, b, c, d, e, f, g, h] = words.map(u32::cast_signed);
    _mm256_setr_epi32(a, b, c, d, e, f, g, h)
}

#[inline]
#[target_feature(enable = "avx2")]
fn to_array(vector: __m256i) -> [u32; LANES] {
    // SAFETY: of one size, and every pattern of bits is a value of either.
    unsafe { mem::transmute(vector) }
}

/// The sixteen big-endian words of each block.
#[inline]
#[target_feature(enable = "avx2")]
fn first_words(blocks: [&Block; LANES]) -> [__m256i; 16] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let swap = _mm256_broadcastsi128_si256(swap);
    let mut words = [swap; 16];
    for (at, word) in words.iter_mut().enumerate() {
        let of_each = blocks.map(|block| u32::from_le_bytes(block.as_chunks().0[at]));
        *word = _mm256_shuffle_epi8(from_array(of_each), swap);
    }
    words
}

/// The word of the schedule that comes sixteen after the one at `at`.
#[inline]
#[target_feature(enable = "avx2")]
fn next_word(words: &[__m256i; 16], at: usize) -> __m256i {
    let (early, late) = (words[(at + 1) % 16], words[(at + 14) % 16]);
    let early = xor(rotate::<7, 25>(early), rotate::<18, 14>(early), _mm256_srli_epi32::<3>(early));
    let late = xor(rotate::<17, 15>(late), rotate::<19, 13>(late), _mm256_srli_epi32::<10>(late));
    add(add(words[at], early), add(words[(at + 9) % 16], late))
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_constant(word: __m256i, constant: u32) -> __m256i {
    add(word, _mm256_set1_epi32(constant.cast_signed()))
}

/// One round of eight chains, whose words move on by one place each time.
#[inline]
#[target_feature(enable = "avx2")]
fn round(chains: &mut [__m256i; 8], at: usize, word: __m256i) {
    let place = |letter: usize| (letter + 16 - at) % 8;
    let [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map(|letter| chains[place(letter)]);
    let choice = _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)));
    let majority =
        _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)));
    let from_e = xor(rotate::<6, 26>(e), rotate::<11, 21>(e), rotate::<25, 7>(e));
    let from_a = xor(rotate::<2, 30>(a), rotate::<13, 19>(a), rotate::<22, 10>(a));
    let first = add(add(h, word), add(choice, from_e));
    chains[place(3)] = add(d, first);
    chains[place(7)] = add(first, add(from_a, majority));
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(a, b), c)
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const RIGHT: i32, const LEFT: i32>(words: __m256i) -> __m256i {
    const { assert!(RIGHT + LEFT == 32) };
    _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(words), _mm256_slli_epi32::<LEFT>(words))
}
