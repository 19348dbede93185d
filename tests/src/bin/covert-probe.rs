//! Two boxes that should not know of each other try to pass one bit: one sends, the other receives.
//!
//! ```text
//! covert-probe send CHANNEL FOLDER NUMBER BIT   says `sent`; holds what it holds until standard input ends
//! covert-probe clean NUMBER                      removes what outlives its maker
//! covert-probe receive CHANNEL FOLDER NUMBER    says `ready`; waits for a line on standard input; says 1 or 0
//! ```
//!
//! FOLDER has a file `f` that both may read and write, NUMBER is a name for what is not in the file system. Whatever
//! fails on the way counts as "nothing seen": a filter that answers always the same passes nothing.
#![allow(unsafe_code, reason = "raw system calls are what this payload is for")]
#![allow(clippy::expect_used, clippy::panic, reason = "a payload of tests: what goes wrong must be seen")]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, stdin};
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    block(libc::SIGIO);
    match words.as_slice() {
        ["clean", number] => Place::new("", number).clean(),
        ["send", channel, folder, number, bit] => {
            if *bit == "1" {
                Place::new(folder, number).send(channel);
            }
            println!("sent");
            stdin().read_to_end(&mut vec![]).expect("standard input");
        }
        ["receive", channel, folder, number] => {
            let place = Place::new(folder, number);
            let watch = place.watch(channel);
            println!("ready");
            stdin().read_line(&mut String::new()).expect("standard input");
            println!("{}", u8::from(place.receive(channel, watch)));
        }
        _ => panic!("{words:?}"),
    }
}

fn raw<const N: usize>(number: i64, args: [i64; N]) -> i64 {
    let at = |n: usize| args.get(n).copied().unwrap_or(0);
    // SAFETY: each caller below passes what its call takes; pointers are to strings and structures that are alive.
    unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) }
}

/// What both sides know.
struct Place {
    folder: PathBuf,
    number: i64,
    name: CString,
}

/// struct flock: the whole file, to write.
fn whole_file() -> libc::flock {
    libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 }
}

const USER: i64 = libc::KEY_SPEC_USER_KEYRING as i64;
const OFD_SETLK: i64 = 37;
const RW_HINT: u64 = 3;
/// Linux 6.5.
const CACHESTAT: i64 = 451;

impl Place {
    fn new(folder: &str, number: &str) -> Self {
        let name = CString::new(format!("chainbox-{number}")).expect("no NUL");
        Self { folder: folder.into(), number: number.parse().expect("a number"), name }
    }

    /// The file, open as long as this process lives.
    fn file(&self, flags: i32) -> i64 {
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(self.folder.join("f"));
        i64::from(file.expect("the shared file").into_raw_fd())
    }

    fn touch(&self) {
        File::open(self.folder.join("f")).and_then(|mut file| file.read_to_end(&mut vec![])).expect("the shared file");
    }

    fn name(&self) -> i64 {
        self.name.as_ptr() as i64
    }

    fn send(&self, channel: &str) {
        let new = i64::from(libc::IPC_CREAT | 0o600);
        let lock = whole_file();
        let lock = std::ptr::from_ref(&lock) as i64;
        match channel {
            "keyring" => raw(libc::SYS_add_key, [c"user".as_ptr() as i64, self.name(), c"x".as_ptr() as i64, 1, USER]),
            "sysv-shm" => raw(libc::SYS_shmget, [self.number, 4096, new]),
            "sysv-sem" => raw(libc::SYS_semget, [self.number, 1, new]),
            "sysv-msg" => raw(libc::SYS_msgget, [self.number, new]),
            "mqueue" => raw(libc::SYS_mq_open, [self.name(), i64::from(libc::O_CREAT | libc::O_RDWR), 0o600, 0]),
            "flock" => raw(libc::SYS_flock, [self.file(0), i64::from(libc::LOCK_EX)]),
            "posix-lock" => raw(libc::SYS_fcntl, [self.file(0), i64::from(libc::F_SETLK), lock]),
            "ofd-lock" => raw(libc::SYS_fcntl, [self.file(0), OFD_SETLK, lock]),
            "lease" => self.lease(),
            "rw-hint" => raw(libc::SYS_fcntl, [self.file(0), 1036, std::ptr::from_ref(&RW_HINT) as i64]),
            "vsock" => self.listen(),
            "nowait" | "mincore" | "cachestat" => {
                let file = self.file(0);
                // Only what is on disk leaves the memory.
                raw(libc::SYS_fsync, [file]);
                raw(libc::SYS_fadvise64, [file, 0, 0, i64::from(libc::POSIX_FADV_DONTNEED)])
            }
            _ => {
                self.touch();
                0
            }
        };
    }

    fn clean(&self) {
        let remove = i64::from(libc::IPC_RMID);
        raw(libc::SYS_mq_unlink, [self.name()]);
        raw(libc::SYS_shmctl, [raw(libc::SYS_shmget, [self.number, 0, 0]), remove, 0]);
        raw(libc::SYS_semctl, [raw(libc::SYS_semget, [self.number, 0, 0]), 0, remove]);
        raw(libc::SYS_msgctl, [raw(libc::SYS_msgget, [self.number, 0]), remove, 0]);
    }

    /// A read lease, which an opener for writing meets.
    fn lease(&self) -> i64 {
        let file = File::open(self.folder.join("f")).expect("the shared file").into_raw_fd();
        raw(libc::SYS_fcntl, [i64::from(file), i64::from(libc::F_SETLEASE), i64::from(libc::F_RDLCK)])
    }

    fn port(&self, cid: u32) -> libc::sockaddr_vm {
        // SAFETY: plain integers.
        let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
        address.svm_family = libc::AF_VSOCK as u16;
        address.svm_port = u32::try_from(self.number).expect("a port");
        address.svm_cid = cid;
        address
    }

    fn vsock(&self, call: i64, cid: u32) -> i64 {
        let (socket, address) = (raw(libc::SYS_socket, [i64::from(libc::AF_VSOCK), 1, 0]), self.port(cid));
        let length = size_of::<libc::sockaddr_vm>() as i64;
        if raw(call, [socket, std::ptr::from_ref(&address) as i64, length]) == 0 { socket } else { -1 }
    }

    fn listen(&self) -> i64 {
        raw(libc::SYS_listen, [self.vsock(libc::SYS_bind, libc::VMADDR_CID_ANY), 1])
    }

    /// What must be there before the other side does anything.
    fn watch(&self, channel: &str) -> i64 {
        let folder = CString::new(self.folder.as_os_str().as_encoded_bytes()).expect("no NUL");
        let folder_name = folder.as_ptr() as i64;
        match channel {
            "inotify" => {
                let file = raw(libc::SYS_inotify_init1, [i64::from(libc::IN_NONBLOCK)]);
                raw(libc::SYS_inotify_add_watch, [file, folder_name, i64::from(libc::IN_ACCESS)]);
                file
            }
            "fanotify" => {
                let file = raw(libc::SYS_fanotify_init, [0x200 | 2, 0]);
                raw(libc::SYS_fanotify_mark, [file, 1, 0x0800_0001, i64::from(libc::AT_FDCWD), folder_name]);
                file
            }
            "dnotify" => {
                let folder = File::open(&self.folder).expect("the folder").into_raw_fd();
                raw(libc::SYS_fcntl, [i64::from(folder), i64::from(libc::F_NOTIFY), 1])
            }
            _ => 0,
        }
    }

    fn receive(&self, channel: &str, watch: i64) -> bool {
        let lock = whole_file();
        let lock = std::ptr::from_ref(&lock) as i64;
        let is_there = |id: i64| id >= 0;
        let refused = |answer: i64| answer < 0 && matches!(Errno::last(), Errno::EAGAIN | Errno::EACCES);
        match channel {
            "keyring" => is_there(raw(libc::SYS_keyctl, [10, USER, c"user".as_ptr() as i64, self.name(), 0])),
            "sysv-shm" => is_there(raw(libc::SYS_shmget, [self.number, 0, 0])),
            "sysv-sem" => is_there(raw(libc::SYS_semget, [self.number, 0, 0])),
            "sysv-msg" => is_there(raw(libc::SYS_msgget, [self.number, 0])),
            "mqueue" => is_there(raw(libc::SYS_mq_open, [self.name(), 0])),
            "flock" => refused(raw(libc::SYS_flock, [self.file(0), i64::from(libc::LOCK_EX | libc::LOCK_NB)])),
            "posix-lock" => refused(raw(libc::SYS_fcntl, [self.file(0), i64::from(libc::F_SETLK), lock])),
            "ofd-lock" => refused(raw(libc::SYS_fcntl, [self.file(0), OFD_SETLK, lock])),
            "lease" => OpenOptions::new()
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(self.folder.join("f"))
                .is_err_and(|error| error.raw_os_error() == Some(libc::EWOULDBLOCK)),
            "rw-hint" => {
                let mut hint = 0_u64;
                raw(libc::SYS_fcntl, [self.file(0), 1035, std::ptr::from_mut(&mut hint) as i64]);
                hint == RW_HINT
            }
            "vsock" => is_there(self.vsock(libc::SYS_connect, libc::VMADDR_CID_LOCAL)),
            "dnotify" => pending(libc::SIGIO),
            "nowait" => {
                let mut byte = 0_u8;
                let part = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
                let part = std::ptr::from_ref(&part) as i64;
                raw(libc::SYS_preadv2, [self.file(0), part, 1, 0, 0, i64::from(libc::RWF_NOWAIT)]) < 0
                    && Errno::last() == Errno::EAGAIN
            }
            "mincore" => {
                let (read, shared) = (i64::from(libc::PROT_READ), i64::from(libc::MAP_SHARED));
                let page = raw(libc::SYS_mmap, [0, 4096, read, shared, self.file(0), 0]);
                let mut is_there = 1_u8;
                raw(libc::SYS_mincore, [page, 4096, std::ptr::from_mut(&mut is_there) as i64]) == 0 && is_there & 1 == 0
            }
            "cachestat" => {
                let (range, mut counts) = ([0_u64, 4096], [u64::MAX; 5]);
                let (range, found) = (range.as_ptr() as i64, counts.as_mut_ptr() as i64);
                raw(CACHESTAT, [self.file(0), range, found, 0]) == 0 && counts.first() == Some(&0)
            }
            _ => {
                let mut event = [0_u8; 512];
                raw(libc::SYS_read, [watch, event.as_mut_ptr() as i64, 512]) > 0
            }
        }
    }
}

/// Left pending, to be found: SIGIO tells of a watched folder, or that a lease is to be given up.
fn block(signal: i32) {
    // SAFETY: a set of signals on the stack.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

fn pending(signal: i32) -> bool {
    // SAFETY: a set of signals on the stack.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut set);
        libc::sigismember(&raw const set, signal) == 1
    }
}
