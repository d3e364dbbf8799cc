//! BLAKE3 and SHA-256 of one stream of bytes.

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod avx2;
mod backend;
mod message;
mod ranges;
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
mod sha2_crate;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod sha_ni;
mod software;

use std::fmt;

pub use message::{Feed, feed_all};
pub use ranges::{ByteRange, Parts, RangeHasher};

/// Both digests of the same bytes, and how many those were.
#[derive(Clone, PartialEq, Eq)]
pub struct Digests {
    /// BLAKE3, 32 bytes.
    pub blake3: [u8; 32],
    /// SHA-256.
    pub sha256: [u8; 32],
    /// Number of bytes hashed.
    pub size_bytes: u64,
    /// SHA-256 of each range that was asked for, in that order.
    pub ranges: Vec<[u8; 32]>,
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests")
            .field("blake3", &to_hex(&self.blake3))
            .field("sha256", &to_hex(&self.sha256))
            .field("size_bytes", &self.size_bytes)
            .field("ranges", &self.ranges.iter().map(to_hex).collect::<Vec<_>>())
            .finish()
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn to_hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

/// Runs both hashes over the same pieces, one after the other, on one thread.
pub struct DualHasher {
    blake3: blake3::Hasher,
    sha256: RangeHasher,
}

impl DualHasher {
    /// Both hashes of everything, and SHA-256 of each range.
    pub fn new(ranges: &[ByteRange]) -> Self {
        Self { blake3: blake3::Hasher::new(), sha256: RangeHasher::new(ranges) }
    }

    /// Feeds `data` to both.
    pub fn update(&mut self, data: &[u8]) {
        // SHA-256 first: it takes the bytes one after the other and so slowly that they are there in
        // time. BLAKE3 jumps, and wants them in a cache (a tenth of the time of both, from memory).
        self.sha256.update(data);
        self.blake3.update(data);
    }

    /// All digests of everything fed so far.
    pub fn finish(self) -> Digests {
        let (sha256, ranges) = self.sha256.finish();
        Digests {
            size_bytes: self.blake3.count(),
            blake3: self.blake3.finalize().into(),
            sha256,
            ranges,
        }
    }
}

/// Which SHA-256 code runs on this processor.
pub fn sha256_backend() -> &'static str {
    backend::chosen().name()
}

/// The most messages whose SHA-256 this processor computes side by side on one core.
pub fn sha256_lanes() -> usize {
    backend::chosen().width(usize::MAX)
}
