//! What stops a build whose programs would need a loader and libraries: a link must never load a file of the root that the
//! chain has entered (docs/adr/0003, 0006). Every tool is built with this crate, so this is said once.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if !features.split(',').any(|feature| feature == "crt-static") {
        // Whoever decides that some build may be dynamic decides it here.
        println!(
            "cargo::error=a link must never load a file of the new root, so chainbox's programs are static: build in the checkout, \
             or set RUSTFLAGS='-C target-feature=+crt-static -C relocation-model=static', which replaces what .cargo/config.toml says"
        );
    }
}
