//! The nouns: an entry of a plan, what is mounted by it, with which attributes and ids, and the program that crosses.

mod attributes;
mod crossing;
mod device;
mod entry;
pub mod idmap;
mod mount;
mod source;

pub use attributes::{ATIMES, ATTRIBUTES, Attributes};
pub use crossing::{Crossing, CrossingForm};
pub use device::{DEVICES, Device, NULL};
pub use entry::{Chdir, Content, Entry, Origin, Root, Target, What};
pub use idmap::{IdRange, Idmap, Owner};
pub use mount::{Bind, DEV, FILESYSTEMS, Filesystem, IMAGES, Image, Mount, Overlay, Setting, Upper};
pub use source::{Source, descriptor};
