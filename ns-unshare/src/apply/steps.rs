//! Each step's system call, read back where the kernel could have done less.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;

use chain::sys::{AtEnd, Fork};
use chain::{Call as _, Failure, Result, privilege, refusal, sys, wait};
use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{Gid, Uid, geteuid, getgroups, getppid, setgroups, setresgid, setresuid};
use rustix::system::{setdomainname, sethostname, uname};
use rustix::thread::{self as rt, CapabilitySet, CapabilitySets};

use super::proc::Proc;
use super::{map_helper, pin};
use crate::hints;
use crate::look::ids;
use crate::model::map::{Ids, UNMAPPED};
use crate::model::namespace::{Namespace, Set};
use crate::step::Step;

/// Does one step of the inside, of the maps, or of the last ones.
pub fn step(step: &Step, proc: &Proc) -> Result<()> {
    let done = match step {
        Step::Unshare(set) => return enter(*set).map_err(|error| hints::creation(error, *set)),
        Step::NewTime => enter(Namespace::Time.into()),
        Step::EnterTime => enter_time(),
        Step::DenySetgroups => proc.write("setgroups", "deny"),
        Step::Map(map) => proc.write(map.kind.file(), &format!("{}\n", map.numbers("\n"))),
        Step::MapByHelper(map) => map_helper::write(map, &proc.pid()?),
        Step::SetClocks(offsets) => proc.write("timens_offsets", &format!("{}\n", offsets.lines().join("\n"))),
        Step::Propagate(mode) => propagate(mode.flag),
        Step::Hostname(name) => host_name(name),
        Step::Domainname(name) => domain_name(name),
        Step::LoopbackUp => loopback_up(),
        Step::DisableUserns => disable_userns(),
        Step::AssertUsernsDisabled => assert_userns_disabled(),
        Step::DieWithCaller => wait::die_with(getppid()),
        Step::Become(ids) => become_ids(*ids),
        Step::BecomeMapped if is_mapped() => Ok(()),
        Step::BecomeMapped => become_ids(Ids { uid: 0, gid: 0 }),
        Step::Pin(pin) => pin::put(pin, proc),
        Step::KeepCapabilities => keep_capabilities(CapabilitySet::all()),
        Step::HandOnCapabilities => keep_capabilities(needed_by_links()),
        Step::DropCapabilities => drop_capabilities(),
        // These make or watch processes: in_place, outside and init do them.
        Step::WatchCaller | Step::CoverFirstRoot | Step::Clone(_) | Step::Init { .. } => Ok(()),
        Step::Join(_) | Step::Hold(_) | Step::SayReady(_) | Step::SayInfo(_) | Step::SayStatus(_) => Ok(()),
        Step::AwaitStart(_) | Step::AwaitByte(_) | Step::Lock(_) | Step::Placeholder(..) => Ok(()),
        // These need the terminal: the main process does them.
        Step::Session(_) => Ok(()),
    };
    done.map_err(|error| hints::inside(error, step))
}

fn enter(set: Set) -> Result<()> {
    unshare(CloneFlags::from_bits_retain(set.flags())).call("unshare")
}

fn enter_time() -> Result<()> {
    let path = "/proc/self/ns/time_for_children";
    let namespace = File::open(path).call(&format!("open {path}"))?;
    setns(namespace, CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)).call("setns")
}

fn propagate(flag: MsFlags) -> Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | flag, None::<&str>).call("mount")
}

/// The file belongs to the user namespace of who opens it (namespaces(7), Linux 4.9).
fn disable_userns() -> Result<()> {
    let path = "/proc/sys/user/max_user_namespaces";
    fs::write(path, "0").call(&format!("write {path}"))?;
    let now = fs::read_to_string(path).call(&format!("read {path}"))?;
    if now.trim() == "0" { Ok(()) } else { Err(refusal!("{path} says {} still", now.trim())) }
}

/// A child that could be started in one ends at once. What the kernel refuses for want of memory or processes, it may
/// allow in a moment.
fn assert_userns_disabled() -> Result<()> {
    match sys::fork(libc::CLONE_NEWUSER, AtEnd::Signal) {
        error @ Err(Errno::EAGAIN | Errno::ENOMEM) => error.call("clone").map(drop),
        Err(_) => Ok(()),
        Ok(Fork::Child) => sys::exit_now(0),
        Ok(Fork::Parent(child)) => {
            wait::collect(&child)?;
            Err(refusal!("a user namespace can be made in the box"))
        }
    }
}

fn host_name(name: &OsStr) -> Result<()> {
    sethostname(name.as_bytes()).call("sethostname")?;
    same(name, uname().nodename().to_bytes())
}

fn domain_name(name: &OsStr) -> Result<()> {
    setdomainname(name.as_bytes()).call("setdomainname")?;
    same(name, uname().domainname().to_bytes())
}

fn same(wanted: &OsStr, now: &[u8]) -> Result<()> {
    if wanted.as_bytes() == now {
        return Ok(());
    }
    Err(refusal!("uname says {} instead", chain::show(OsString::from(OsStr::from_bytes(now)))))
}

/// Any socket can ask for any interface (netdevice(7)), so this needs no IPv4. The kernel gives lo its addresses when
/// it comes up.
fn loopback_up() -> Result<()> {
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).call("socket")?;
    let up = libc::IFF_UP as libc::c_short;
    sys::set_interface_flags(socket.as_fd(), c"lo", up).call("ioctl(SIOCSIFFLAGS)")?;
    let flags = sys::interface_flags(socket.as_fd(), c"lo").call("ioctl(SIOCGIFFLAGS)")?;
    if flags & up == 0 { Err(refusal!("lo is still down")) } else { Ok(()) }
}

fn is_mapped() -> bool {
    let now = ids();
    now.uid != UNMAPPED && now.gid != UNMAPPED
}

/// Ids that are mapped, in place of host ids that are not. Groups first: afterwards the right to set them is gone.
fn become_ids(ids: Ids) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    match setgroups(&[]) {
        // setgroups is denied in this box: where there are no groups to leave, nothing is lost.
        Err(Errno::EPERM) if getgroups().call("getgroups")?.is_empty() => {}
        Err(Errno::EPERM) => return Err(Failure::call("setgroups", Errno::EPERM).hint(SETGROUPS).into()),
        done => done.call("setgroups")?,
    }
    setresgid(gid, gid, gid).call("setresgid")?;
    setresuid(uid, uid, uid).call("setresuid")
}

const SETGROUPS: &str = "setgroups is denied there: the caller's own id must be mapped, or it must have no groups to leave \
                         (setpriv --clear-groups)";

/// Reads back what the maps made of this process.
pub fn verify(planned: Option<Ids>) -> Result<()> {
    let now = ids();
    match planned {
        Some(planned) if planned != now => {
            Err(refusal!("the maps made this user {}:{}, not {}:{}", now.uid, now.gid, planned.uid, planned.gid))
        }
        _ => Ok(()),
    }
}

/// User 0 has its capabilities again after every execve(2), and needs only the one by which the links see that they have
/// them still ([`privilege::take_back`]).
fn needed_by_links() -> CapabilitySet {
    if geteuid().is_root() { CapabilitySet::SYS_ADMIN } else { CapabilitySet::all() }
}

/// Permitted becomes inheritable and, of `ambient`, ambient: the only form that survives execve(2) under every user id.
fn keep_capabilities(ambient: CapabilitySet) -> Result<()> {
    let sets = rt::capabilities(None).call("capget")?;
    let inheritable = sets.permitted;
    rt::set_capabilities(None, CapabilitySets { inheritable, ..sets }).call("capset")?;
    privilege::each(sets.permitted & ambient).try_for_each(|one| {
        rt::configure_capability_in_ambient_set(one, true).call("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)")
    })?;
    privilege::hand_on();
    Ok(())
}

/// The first process of a user namespace has every capability that the kernel knows permitted.
fn drop_capabilities() -> Result<()> {
    privilege::drop_all(rt::capabilities(None).call("capget")?.permitted)
}
