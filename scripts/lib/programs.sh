# shellcheck shell=sh
# The test programs of the workspace.

# test_programs: one a line: the kind of its target (lib, test), its name, the folder of its crate, its path.
test_programs() {
	cargo test --workspace --no-run --message-format json 2>/dev/null </dev/null | sed -n '/"profile":{[^}]*"test":true}/s/.*"manifest_path":"\([^"]*\)\/Cargo.toml","target":{"kind":\["\([a-z]*\)".*"name":"\([^"]*\)","src_path".*"executable":"\([^"]*\)".*/\2 \3 \1 \4/p'
}
