//! The `dir` backend: a pool is a directory, and every state of a clone is the folder that it lies in.
//!
//! ```text
//! POOL/T/about              how clones are made, how many are to be free, where versions come from
//! POOL/T/lock               the maintenance lock (init, snapshot, refill, regenerate, gc)
//! POOL/T/versions/N/        mark, root/ (a frozen tree), or a mark that names the tree that is used in place
//! POOL/T/making/ID/  -->  free/ID/  -->  leased/ID/  -->  dead/ID/       each arrow is one rename(2)
//!                           mark, lease, and root/ (copy) or upper/ and work/ (overlay)
//! ```
//!
//! Locks are open file description locks (fcntl(2) F_OFD_SETLK): the kernel gives them back when their holder is gone,
//! however it went. A claim takes the lock of the clone's `lease` file, writes the holder down, and renames; so whoever
//! sees a clone in `leased/` can tell by the lock, or by the holder noted there, whether the lease lives.

pub mod pool;
pub mod see;

use chain::{Hint as _, Result, print_error, show};
use nix::errno::Errno;

use self::pool::DirPool;
use self::see::{Standing, about};
use super::Look;
use super::folder::{Folder, absent_is_none};
use crate::model::mark::About;
use crate::model::name::Name;
use crate::model::pool::Template;
use crate::step::{DEAD, FREE, LEASED, MAKING};

impl Look for DirPool {
    fn templates(&self) -> Result<(Vec<Name>, Vec<String>)> {
        let no_pool = [(Errno::ENOENT, "there is no pool yet: zfs-pool init makes it, with its first template")];
        let pool = Folder::open(&self.path).hinted(&no_pool)?;
        let (mut names, mut foreign) = (vec![], vec![]);
        for entry in pool.names()? {
            let folder = Name::parse(&entry).and_then(|name| Ok((pool.at(&entry)?, name)));
            match folder.map(|(folder, name)| (see::standing(&folder, &name), name)) {
                Ok((Standing::Complete, name)) => names.push(name),
                Ok((Standing::Begun, name)) => {
                    print_error(&format!("{name}: its init did not finish; the same init again completes it"));
                }
                Ok((Standing::NotOurs, _)) | Err(_) => foreign.push(show(&entry)),
            }
        }
        Ok((names, foreign))
    }

    fn look(&self, name: &Name) -> Result<Option<Template>> {
        let Some(folder) = self.template(name)? else { return Ok(None) };
        let Some(about) = absent_is_none(about(&folder, name))? else { return Ok(None) };
        let mut foreign = vec![];
        let versions = see::versions(&folder, name, &mut foreign)?;
        let mut clones = vec![];
        for place in [FREE, LEASED, DEAD, MAKING] {
            clones.extend(see::clones_in(&folder, place, name, &mut foreign)?);
        }
        clones.sort_by(|a, b| a.id.cmp(&b.id));
        let About { template, kind, target, kept, from, reference } = about;
        Ok(Some(Template { name: template, kind, target, kept, quota: 0, from, reference, versions, clones, foreign }))
    }
}
