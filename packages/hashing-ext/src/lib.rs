//! One file copied or read once, BLAKE3 and SHA-256 over the same bytes, and a durable publish.
//!
//! The engine knows nothing of Python; `python` is the only module that does.

pub mod arriving;
pub mod control;
pub mod copy;
pub mod device;
pub mod digest;
pub mod error;
pub mod os;
pub mod publish;
pub mod source;
pub mod stage;

#[cfg(feature = "python")]
mod python;
