//! The code that compresses blocks: one back end for each kind of processor, chosen once.

use std::env;
use std::ffi::OsStr;
use std::sync::LazyLock;

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
use super::sha2_crate::Sha2Crate;
use super::software::Software;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use super::{avx2::Avx2, sha_ni::ShaNi};

/// Names the back end to use, for tests and measurements.
const VARIABLE: &str = "MODELCELLAR_SHA256";

pub const BLOCK: usize = 64;

pub type Block = [u8; BLOCK];
pub type State = [u32; 8];

/// A chain: its state, and the whole blocks that are still to go into it.
pub struct Run<'a> {
    pub state: &'a mut State,
    pub blocks: &'a [Block],
}

/// What takes blocks into states. A value exists only where the processor has its instructions.
pub trait Backend: Sync {
    /// What [`VARIABLE`] calls it.
    fn key(&self) -> &'static str;

    /// What people are told.
    fn name(&self) -> &'static str;

    /// How many of `ready` chains to run side by side, so that all of them are done soonest; at
    /// least one and at most all.
    fn width(&self, ready: usize) -> usize;

    /// Takes all blocks of these into their states: of as many chains as [`Self::width`] said, and
    /// equally many of each.
    fn compress(&self, runs: &mut [Run]);
}

/// What works on this processor, the fastest first.
pub fn available() -> impl Iterator<Item = &'static dyn Backend> {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let special = [ShaNi::detect(), Avx2::detect()];
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    let special = [Some(&Sha2Crate as &dyn Backend)];
    special.into_iter().flatten().chain([&Software as &dyn Backend])
}

/// The one that is used throughout.
pub fn chosen() -> &'static dyn Backend {
    static CHOSEN: LazyLock<&'static dyn Backend> =
        LazyLock::new(|| choose(env::var_os(VARIABLE).as_deref()));
    *CHOSEN
}

/// The one that was asked for, or the fastest if this processor has none of that name.
fn choose(asked: Option<&OsStr>) -> &'static dyn Backend {
    let is_asked = |backend: &&dyn Backend| asked.is_some_and(|asked| asked == backend.key());
    available().find(is_asked).or_else(|| available().next()).unwrap_or(&Software)
}

#[cfg(test)]
mod tests {
    use super::{Block, Run, State, available, choose};

    #[test]
    fn each_is_chosen_by_its_key_and_the_fastest_otherwise() {
        for backend in available() {
            assert_eq!(choose(Some(backend.key().as_ref())).name(), backend.name());
        }
        let fastest = available().next().unwrap().name();
        assert_eq!(choose(None).name(), fastest);
        for unknown in ["", "sha-1", "SOFTWARE"] {
            assert_eq!(choose(Some(unknown.as_ref())).name(), fastest);
        }
    }

    #[test]
    fn every_width_and_number_of_blocks_is_as_sha2_says() {
        const MOST: usize = 20;
        let block = |lane: usize, at: usize| -> Block {
            std::array::from_fn(|byte| ((at * 64 + byte) * (2 * lane + 3)) as u8)
        };
        let lanes: Vec<Vec<Block>> =
            (0..MOST).map(|lane| (0..MOST).map(|at| block(lane, at)).collect()).collect();
        let begun: [State; MOST] = std::array::from_fn(|lane| [0x0123_4567 * lane as u32; 8]);
        for backend in available() {
            for ready in 1..=MOST {
                let width = backend.width(ready);
                assert!((1..=ready).contains(&width), "{width} of {ready}, {}", backend.name());
                for count in 0..=MOST {
                    let (mut states, mut wanted) = (begun, begun);
                    let runs = states.iter_mut().zip(&lanes);
                    let mut runs: Vec<Run> = runs
                        .map(|(state, blocks)| Run { state, blocks: &blocks[..count] })
                        .take(width)
                        .collect();
                    backend.compress(&mut runs);
                    for (state, blocks) in wanted.iter_mut().zip(&lanes).take(width) {
                        sha2::block_api::compress256(state, &blocks[..count]);
                    }
                    assert_eq!(states, wanted, "{count} blocks, {width} lanes, {}", backend.name());
                }
            }
        }
    }
}
