//! The user that a process goes on as, credentials(7).

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

use libc::{c_int, gid_t, passwd, uid_t};

use super::super::{Errno, Result, check};
use super::prctl;

/// A user to go on as: its number, its group's, and those of its other groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    uid: uid_t,
    gid: gid_t,
    groups: Vec<gid_t>,
}

/// Why a text names no user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// The system has no such user.
    #[error("there is no user `{0}`: name one of the system's users, or write UID:GID in numbers")]
    Unknown(String),
    /// Its database could not be read.
    #[error("the user `{0}` cannot be looked up: {1}")]
    Failed(String, Errno),
}

impl User {
    /// A user by name or number (`www-data`, `33`), with all its groups; or by the numbers of user and group
    /// (`33:33`), with no other groups. getpwnam(3), getgrouplist(3).
    ///
    /// # Errors
    /// The system has no such user.
    pub fn find(text: &str) -> std::result::Result<User, UserError> {
        let unknown = || UserError::Unknown(text.to_owned());
        if let Some((uid, gid)) = text.split_once(':') {
            return Ok(User {
                uid: uid.parse().map_err(|_| unknown())?,
                gid: gid.parse().map_err(|_| unknown())?,
                groups: Vec::new(),
            });
        }
        let name = CString::new(text).map_err(|_| unknown())?;
        match look_up(&name, text.parse().ok()) {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(unknown()),
            Err(errno) => Err(UserError::Failed(text.to_owned(), errno)),
        }
    }

    /// Whether this process runs as that user already.
    fn is_own(&self) -> bool {
        // SAFETY: these calls have no arguments and always succeed.
        unsafe {
            (libc::getuid(), libc::geteuid()) == (self.uid, self.uid) && libc::getegid() == self.gid
        }
    }

    /// Makes the process this user's, whose capabilities stay permitted until they are given up. `perm` where
    /// it is neither root's nor this user's.
    pub fn become_it(&self) -> Result<()> {
        if self.is_own() {
            return Ok(());
        }
        prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
        // SAFETY: the pointer and the length are of one live list.
        check(unsafe { libc::setgroups(self.groups.len(), self.groups.as_ptr()) })?;
        // SAFETY: no pointers.
        check(unsafe { libc::setresgid(self.gid, self.gid, self.gid) })?;
        // SAFETY: no pointers.
        check(unsafe { libc::setresuid(self.uid, self.uid, self.uid) })?;
        prctl(libc::PR_SET_KEEPCAPS, 0, 0)?;
        Ok(())
    }
}

/// The user of this name, or of this number.
fn look_up(name: &CStr, number: Option<uid_t>) -> Result<Option<User>> {
    let mut entry = MaybeUninit::<passwd>::uninit();
    let mut texts = vec![0; 16 * 1024];
    let mut found = std::ptr::null_mut();
    // SAFETY: entry, texts (with their length) and `found` live until the calls return.
    let result = unsafe {
        match number {
            Some(number) => libc::getpwuid_r(
                number,
                entry.as_mut_ptr(),
                texts.as_mut_ptr(),
                texts.len(),
                &mut found,
            ),
            None => libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                texts.as_mut_ptr(),
                texts.len(),
                &mut found,
            ),
        }
    };
    match result {
        0 => {}
        // getpwnam(3): some C libraries say so of a user that is not there.
        libc::ENOENT | libc::ESRCH => return Ok(None),
        error => return Err(Errno::from_raw(error)),
    }
    // SAFETY: a pointer that is not null is to `entry`, which the call filled; its texts lie in `texts`.
    let Some(entry) = (unsafe { found.as_ref() }) else {
        return Ok(None);
    };
    Ok(Some(User {
        uid: entry.pw_uid,
        gid: entry.pw_gid,
        // SAFETY: as above; the name ends in NUL.
        groups: groups(unsafe { CStr::from_ptr(entry.pw_name) }, entry.pw_gid),
    }))
}

/// Every group of a user.
fn groups(name: &CStr, first: gid_t) -> Vec<gid_t> {
    // NGROUPS_MAX of Linux.
    let mut groups = vec![0; 65536];
    let mut count = groups.len() as c_int;
    // SAFETY: the list has room for `count` groups, and the name lives until the call returns.
    let result =
        unsafe { libc::getgrouplist(name.as_ptr(), first, groups.as_mut_ptr(), &mut count) };
    match result {
        // More than the kernel takes: the first one alone is less, never more.
        -1 => groups = vec![first],
        _ => groups.truncate(usize::try_from(count).unwrap_or(0)),
    }
    groups
}
