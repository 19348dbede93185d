//! `chainbox`: see the library, whose head is the manual.
#![no_main]

chain::bare_entry!(chainbox::run);
