//! Two or three SHA-256 chains interleaved on one x86 core with its SHA instructions.
//!
//! The instruction sequence is that of Intel's "SHA Extensions" white paper (2013), for each chain
//! on its own; they share nothing but the constants. A chain alone is left to the `sha2` crate, which
//! does the same and asks the processor by the same test.

#![allow(unsafe_code)]

use std::arch::asm;
#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use sha2::block_api::compress256;

use super::backend::{Backend, Block, Run, State};
use super::software::ROUNDS;

/// That the processor has these instructions: there is no other way to a value than to ask it.
pub struct ShaNi(());

impl ShaNi {
    pub fn detect() -> Option<&'static dyn Backend> {
        let has_all = std::is_x86_feature_detected!("sha")
            && std::is_x86_feature_detected!("ssse3")
            && std::is_x86_feature_detected!("sse4.1");
        has_all.then_some(&Self(()))
    }
}

impl Backend for ShaNi {
    fn key(&self) -> &'static str {
        "sha-ni"
    }

    fn name(&self) -> &'static str {
        "sha2 (x86 SHA-NI)"
    }

    /// A fourth beside three takes as long as it saves, since there are registers for no more; and
    /// two and two take less time than three and one.
    fn width(&self, ready: usize) -> usize {
        if ready == 4 { 2 } else { ready.min(3) }
    }

    fn compress(&self, runs: &mut [Run]) {
        match runs {
            // SAFETY: `side_by_side` is a safe function but for the instructions it is compiled to,
            // and `self` is the proof that this processor has them.
            [one, two] => unsafe { side_by_side([one, two]) },
            // SAFETY: as above.
            [one, two, three] => unsafe { side_by_side([one, two, three]) },
            others => others.iter_mut().for_each(|run| compress256(run.state, run.blocks)),
        }
    }
}

/// One chain: its state the way the instructions want it, and sixteen words of its schedule.
#[derive(Clone, Copy)]
struct Chain {
    abef: __m128i,
    cdgh: __m128i,
    words: [__m128i; 4],
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn side_by_side<const N: usize>(runs: [&mut Run; N]) {
    let blocks = runs.each_ref().map(|run| run.blocks);
    let mut chains = runs.each_ref().map(|run| chain(run.state));
    let count = blocks[0].len();
    for at in 0..count {
        let before = chains;
        for (chain, lane) in chains.iter_mut().zip(blocks) {
            chain.words = schedule(&lane[at]);
        }
        macro_rules! four_rounds {
            ($($at:literal)*) => {$(
                let constants = vector(&ROUNDS.as_chunks().0[$at]);
                for chain in &mut chains {
                    *chain = rounds(*chain, _mm_add_epi32(chain.words[$at % 4], constants));
                    stay_here(chain);
                }
                if $at < 12 {
                    for chain in &mut chains {
                        chain.words[$at % 4] = next_words(chain.words, $at);
                    }
                }
            )*};
        }
        four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for (chain, before) in chains.iter_mut().zip(before) {
            chain.abef = _mm_add_epi32(chain.abef, before.abef);
            chain.cdgh = _mm_add_epi32(chain.cdgh, before.cdgh);
        }
    }
    for (run, chain) in runs.into_iter().zip(chains) {
        *run.state = state(chain);
    }
}

/// Keeps the compiler from putting one chain's rounds after all of the other's, which it likes
/// to do to save registers: the processor would look too far ahead for what it can overlap.
#[inline(always)]
fn stay_here(chain: &mut Chain) {
    // SAFETY: no instruction; the operands are only said to be read and written.
    unsafe {
        asm!(
            "/* {} {} */",
            inout(xmm_reg) chain.abef,
            inout(xmm_reg) chain.cdgh,
            options(nomem, nostack, preserves_flags),
        );
    }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn chain(state: &State) -> Chain {
    let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
    Chain {
        abef: _mm_set_epi32(a, b, e, f),
        cdgh: _mm_set_epi32(c, d, g, h),
        words: [_mm_setzero_si128(); 4],
    }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn state(chain: Chain) -> State {
    let word = |value: i32| value.cast_unsigned();
    [
        word(_mm_extract_epi32::<3>(chain.abef)),
        word(_mm_extract_epi32::<2>(chain.abef)),
        word(_mm_extract_epi32::<3>(chain.cdgh)),
        word(_mm_extract_epi32::<2>(chain.cdgh)),
        word(_mm_extract_epi32::<1>(chain.abef)),
        word(_mm_extract_epi32::<0>(chain.abef)),
        word(_mm_extract_epi32::<1>(chain.cdgh)),
        word(_mm_extract_epi32::<0>(chain.cdgh)),
    ]
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn vector(words: &[u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u32::cast_signed);
    _mm_setr_epi32(a, b, c, d)
}

/// The sixteen big-endian words of a block.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn schedule(block: &Block) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let (halves, _) = block.as_chunks::<8>();
    let four = |at: usize| {
        // Two loads of eight bytes, which the compiler makes one of sixteen.
        let low = i64::from_le_bytes(halves[at]);
        let high = i64::from_le_bytes(halves[at + 1]);
        _mm_shuffle_epi8(_mm_set_epi64x(high, low), swap)
    };
    [four(0), four(2), four(4), four(6)]
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds(chain: Chain, words: __m128i) -> Chain {
    let cdgh = _mm_sha256rnds2_epu32(chain.cdgh, chain.abef, words);
    let abef = _mm_sha256rnds2_epu32(chain.abef, cdgh, _mm_shuffle_epi32::<0x0e>(words));
    Chain { abef, cdgh, words: chain.words }
}

/// The four words that come sixteen after those at `at`.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next_words(words: [__m128i; 4], at: usize) -> __m128i {
    let [zero, one, two, three] =
        [words[at % 4], words[(at + 1) % 4], words[(at + 2) % 4], words[(at + 3) % 4]];
    let partial = _mm_sha256msg1_epu32(zero, one);
    let shifted = _mm_alignr_epi8::<4>(three, two);
    _mm_sha256msg2_epu32(_mm_add_epi32(partial, shifted), three)
}
