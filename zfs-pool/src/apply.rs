//! The only effects: the backend does them; here is what they have in common.

pub mod backend;
pub mod hold;

mod copy;
mod dir;
mod folder;
mod lock;
mod zfs;

use std::os::fd::OwnedFd;

use chain::failure::Kind as FailureKind;
use chain::{Common, Failure, Hint as _, Result, message, print_error, refusal};

use self::backend::Backend;
use crate::args::Verb;
use crate::look::dir::pool::DirPool;
use crate::look::named;
use crate::look::zfs::pool::ZfsPool;
use crate::model::pool::{Place, missing};
use crate::plan;
use crate::step::{Action, Step};

/// What keeps the pool there.
pub fn backend(place: &Place) -> Result<Box<dyn Backend>> {
    Ok(match place {
        Place::Dir(path) => Box::new(DirPool::new(path.clone())),
        Place::Zfs(dataset) => Box::new(ZfsPool::new(dataset.clone())?),
    })
}

/// The maintenance lock, for the subcommands that need it. `release` is covered by the clone's own lock, `init` takes
/// the lock of the template that it makes.
pub fn guard(pool: &dyn Backend, verb: &Verb) -> Result<Option<OwnedFd>> {
    match verb {
        Verb::Init { .. } | Verb::Release(_) => Ok(None),
        _ => named(verb).map(|template| pool.guard(template)).transpose(),
    }
}

/// Destroys what holders that are gone left, template by template. What cannot be destroyed now is named and counted,
/// and does not keep the rest from being destroyed.
/// 75 where something remains, 125 where something lies in the pool that is not ours.
pub fn gc(common: &Common, place: &Place, pool: &dyn Backend) -> Result<u8> {
    let dry = common.check || common.explain.is_some();
    let (names, mut foreign) = pool.templates()?;
    let (mut steps, mut remain) = (vec![], 0);
    for name in names {
        let guard = if dry { None } else { Some(pool.guard(&name)?) };
        let template = pool.look(&name)?.ok_or_else(|| missing(&name))?;
        foreign.extend(template.foreign.iter().map(|what| format!("{name}/{what}")));
        let actions = plan::collect(&template);
        if dry {
            steps.extend(actions.into_iter().map(|action| Step { action, place: place.clone() }));
        } else {
            remain += actions.into_iter().filter(|action| !destroyed(common, pool, action)).count();
        }
        drop(guard);
    }
    if let Some(form) = common.explain {
        return chain::step::print(form, &steps).map(|()| 0);
    }
    foreign.iter().for_each(|what| print_error(&format!("{what}: not ours, left alone")));
    verdict(remain, foreign.len())
}

fn destroyed(common: &Common, pool: &dyn Backend, action: &Action) -> bool {
    let done = chain::step::done(common, action, || pool.act(action));
    done.map_err(|error| message::print_failure(&error)).is_ok()
}

fn verdict(remain: usize, foreign: usize) -> Result<u8> {
    if foreign > 0 {
        return Err(refusal!("{foreign} things in the pool are not ours; {remain} of ours could not be destroyed")
            .hint("look at them and remove them by hand"));
    }
    if remain > 0 {
        return Err(Failure::refusal(format!("{remain} could not be destroyed now"))
            .kind(FailureKind::TryAgain)
            .into());
    }
    Ok(0)
}
