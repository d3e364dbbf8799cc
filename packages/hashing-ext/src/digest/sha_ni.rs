//! Two or three SHA-256 chains interleaved on one x86 core with its SHA instructions.
//!
//! The instruction sequence is that of Intel's "SHA Extensions" white paper (2013), for each chain
//! on its own; they share nothing but the constants.

#![cfg_attr(any(target_arch = "x86", target_arch = "x86_64"), allow(unsafe_code))]

/// The most chains that are worth running side by side: a fourth takes as long as it saves, since
/// there are registers for no more.
pub const MAX_LANES: usize = 3;

/// Runs `blocks[n]` into `states[n]` for each of up to [`MAX_LANES`] chains, equally many of all.
///
/// `false`, and nothing done, where this processor has no such instructions.
///
/// # Panics
///
/// They have different numbers of blocks.
pub fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: [&[[u8; 64]]; N]) -> bool {
    const { assert!(N > 0 && N <= MAX_LANES) };
    assert!(blocks.iter().all(|other| other.len() == blocks[0].len()));
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if is_available() {
        // SAFETY: `kernel` is a safe function but for the instructions it is compiled to, and
        // `is_available` has just asked the processor for every one of them.
        unsafe { x86::kernel(states, blocks) };
        return true;
    }
    let _ = states;
    false
}

/// Whether the processor has the instructions that the kernel is compiled to.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn is_available() -> bool {
    std::is_x86_feature_detected!("sha")
        && std::is_x86_feature_detected!("ssse3")
        && std::is_x86_feature_detected!("sse4.1")
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86 {
    use std::arch::asm;
    #[cfg(target_arch = "x86")]
    use std::arch::x86::*;
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64::*;

    /// FIPS 180-4, 4.2.2, four to a vector.
    const ROUNDS: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// One chain: its state the way the instructions want it, and sixteen words of its schedule.
    #[derive(Clone, Copy)]
    struct Chain {
        abef: __m128i,
        cdgh: __m128i,
        words: [__m128i; 4],
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub fn kernel<const N: usize>(states: &mut [[u32; 8]; N], blocks: [&[[u8; 64]]; N]) {
        let mut chains = states.each_ref().map(|state| chain(state));
        let count = blocks[0].len();
        for at in 0..count {
            let before = chains;
            for (chain, lane) in chains.iter_mut().zip(blocks) {
                chain.words = schedule(&lane[at]);
            }
            macro_rules! four_rounds {
                ($($at:literal)*) => {$(
                    let constants = vector(&ROUNDS[$at]);
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
        *states = chains.map(|chain| state(chain));
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
    fn chain(state: &[u32; 8]) -> Chain {
        let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
        Chain {
            abef: _mm_set_epi32(a, b, e, f),
            cdgh: _mm_set_epi32(c, d, g, h),
            words: [_mm_setzero_si128(); 4],
        }
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn state(chain: Chain) -> [u32; 8] {
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
    fn schedule(block: &[u8; 64]) -> [__m128i; 4] {
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
}

#[cfg(test)]
mod tests {
    use sha2::block_api::compress256;

    use super::compress;
    use crate::digest::sha256_backend;

    fn each_chain_is_as_sha2_says<const N: usize>() {
        let blocks: [Vec<[u8; 64]>; N] = std::array::from_fn(|lane| {
            let byte = |block: usize, at: usize| ((block * 64 + at) * (2 * lane + 3)) as u8;
            (0..9).map(|block| std::array::from_fn(|at| byte(block, at))).collect()
        });
        let begun: [[u32; 8]; N] = std::array::from_fn(|lane| [0x0123_4567 << lane; 8]);
        for count in 0..=9 {
            let mut states = begun;
            let ran = compress(&mut states, blocks.each_ref().map(|lane| &lane[..count]));
            assert_eq!(ran, sha256_backend() == "sha2 (x86 SHA-NI)");
            let mut wanted = begun;
            if ran {
                for (state, lane) in wanted.iter_mut().zip(&blocks) {
                    compress256(state, &lane[..count]);
                }
            }
            assert_eq!(states, wanted, "{count} blocks, {N} lanes");
        }
    }

    #[test]
    fn runs_exactly_where_the_backend_says_so_and_as_sha2_does() {
        each_chain_is_as_sha2_says::<1>();
        each_chain_is_as_sha2_says::<2>();
        each_chain_is_as_sha2_says::<3>();
    }

    #[test]
    #[should_panic]
    fn unequal_numbers_of_blocks_are_a_bug_of_the_caller() {
        compress(&mut [[0; 8]; 2], [&[[0; 64]; 2], &[[0; 64]; 1]]);
    }
}
