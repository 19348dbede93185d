//! What stops a build whose programs would need a loader and libraries: docs/adr/0020 says why there is none. Every tool is built
//! with this crate, so this is said once.

/// Why these features of the target (`CARGO_CFG_TARGET_FEATURE`) give no program that may be a link.
pub(crate) fn refusal(features: &str) -> Option<&'static str> {
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    (!is_static).then_some(
        "a link must never load a file of the new root, so chainbox's programs are static (docs/adr/0006): build in the checkout, \
         without RUSTFLAGS, or with RUSTFLAGS='-C target-feature=+crt-static -C relocation-model=static'",
    )
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(reason) = refusal(&std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default()) {
        println!("cargo::error={reason}");
    }
}
