//! SHA-256 by the `sha2` crate alone, which chooses for itself what the processor can do.

use super::backend::{Backend, Run};

pub struct Sha2Crate;

impl Backend for Sha2Crate {
    fn key(&self) -> &'static str {
        "sha2"
    }

    fn name(&self) -> &'static str {
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("sha2") {
            return "sha2 (Armv8 SHA2)";
        }
        "sha2 (software)"
    }

    fn width(&self, _ready: usize) -> usize {
        1
    }

    fn compress(&self, runs: &mut [Run]) {
        for run in runs {
            sha2::block_api::compress256(run.state, run.blocks);
        }
    }
}
