//! Unix sockets with a name in the filesystem, beneath a directory that the operator granted.
//!
//! connect and send-to open the socket's inode beneath the root, following no symbolic link, and go
//! through its descriptor, so that no rename can lead them elsewhere. bind has no such way (peers would see
//! the descriptor's name), so it binds the absolute path, and then looks whether the inode at the granted
//! place is the one that the new socket is bound to.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use libc::{c_int, mode_t};

use super::{EncodedAddress, Errno, Result, check, check_descriptor, diag, life, unix};

/// How often a lookup that raced with a rename is repeated.
const LOOKUP_TRIES: usize = 16;

/// A directory that the operator granted. It was opened once, and what it is called later does not
/// matter.
#[derive(Debug)]
pub struct Root(OwnedFd);

/// Where a socket was bound, to unlink it when the socket is closed.
#[derive(Debug)]
pub struct BoundPath {
    parent: OwnedFd,
    name: CString,
    device: libc::dev_t,
    inode: libc::ino_t,
    path: PathBuf,
}

impl Root {
    /// Opens a directory (O_PATH, open(2)); the path may lead over symbolic links.
    pub fn open(path: &Path) -> Result<Self> {
        let path = c_string(path.as_os_str())?;
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: the path lives until the call returns; the descriptor is new.
        unsafe { check_descriptor(libc::open(path.as_ptr(), flags)) }.map(Self)
    }

    /// The inode of the socket at `beneath`, an O_PATH descriptor to reach it by ([`address_of`]).
    ///
    /// # Errors
    /// `acces` for symbolic links, ways out of the root, and what is no socket; `noent` where nothing is.
    pub fn socket_at(&self, beneath: &Path) -> Result<OwnedFd> {
        let place = self.look_up(beneath, libc::O_PATH | libc::O_NOFOLLOW)?;
        match life::is_socket(place.as_fd())? {
            true => Ok(place),
            false => Err(Errno::ACCES),
        }
    }

    /// openat2(2), which stays beneath the root and follows no symbolic link.
    fn look_up(&self, beneath: &Path, flags: c_int) -> Result<OwnedFd> {
        let path = c_string(beneath.as_os_str())?;
        // SAFETY: `open_how` is integers, and zero is each one's default.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = (flags | libc::O_CLOEXEC) as u64;
        how.resolve =
            libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
        for _ in 0..LOOKUP_TRIES {
            // SAFETY: path and `how` live until the call returns, and the size is that of `how`.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    self.0.as_raw_fd(),
                    path.as_ptr(),
                    &how,
                    size_of::<libc::open_how>(),
                )
            };
            // SAFETY: what is not negative is a new descriptor.
            match unsafe { check_descriptor(result as c_int) } {
                // A rename anywhere on the system while it looked.
                Err(Errno::AGAIN) => {}
                // A symbolic link, a way out, a file where a directory should be.
                Err(Errno::LOOP | Errno::XDEV | Errno::NOTDIR) => return Err(Errno::ACCES),
                other => return other,
            }
        }
        Err(Errno::ACCES)
    }

    /// The root's absolute path, as it is now.
    fn path(&self) -> Result<PathBuf> {
        let path = descriptor_path(self.0.as_fd())?;
        match path.is_absolute() {
            true => Ok(path),
            false => Err(Errno::ACCES),
        }
    }
}

/// The address of the socket whose inode `place` is, for connect and send-to: `/proc/self/fd/N`, which
/// leads to that inode and no other.
pub fn address_of(place: BorrowedFd<'_>) -> EncodedAddress {
    unix::encode_path(&own_descriptor_path(place)).unwrap_or(EncodedAddress::empty())
}

fn own_descriptor_path(descriptor: BorrowedFd<'_>) -> Vec<u8> {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into_bytes()
}

/// Where a descriptor leads, as far as the kernel can say it in a path.
fn descriptor_path(descriptor: BorrowedFd<'_>) -> Result<PathBuf> {
    let link = own_descriptor_path(descriptor);
    Ok(std::fs::read_link(OsStr::from_bytes(&link))?)
}

fn c_string(path: &OsStr) -> Result<CString> {
    CString::new(path.as_bytes()).map_err(|_| Errno::INVAL)
}

/// Parent directory (`.` for the root itself) and name of a path beneath the root.
fn split(beneath: &Path) -> Result<(&Path, &OsStr)> {
    let clean = beneath
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    // A path that ends in a slash names a directory.
    let name = beneath
        .file_name()
        .filter(|_| clean && !beneath.as_os_str().as_bytes().ends_with(b"/"));
    let name = name.ok_or(Errno::ACCES)?;
    let parent = beneath
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    Ok((parent.unwrap_or(Path::new(".")), name))
}

/// Binds a Unix socket at `beneath` the root, and verifies that it is there.
///
/// The file never has more permissions than `mode` (the process's umask applies without one). With
/// `replace_stale` a socket that is there already, and refuses connections, is unlinked first; a server
/// that is bound and does not listen yet looks like that too.
///
/// # Errors
/// `acces` where the socket was bound somewhere else (somebody changed the directories meanwhile): the
/// caller closes it. `addrinuse`, `nametoolong` and others as bind(2).
pub fn bind_beneath(
    socket: BorrowedFd<'_>,
    root: &Root,
    beneath: &Path,
    mode: Option<u32>,
    replace_stale: bool,
) -> Result<BoundPath> {
    let (directory, name) = split(beneath)?;
    let parent = root.look_up(directory, libc::O_PATH | libc::O_DIRECTORY)?;
    let name = c_string(name)?;
    let path = root.path()?.join(beneath);
    let address = unix::encode_path(path.as_os_str().as_bytes())?;
    let mode = mode.map(|mode| mode as mode_t & 0o777);
    if let Some(mode) = mode {
        // A Unix socket's file is made with the permissions of the socket's own inode.
        // SAFETY: no pointers.
        check(unsafe { libc::fchmod(socket.as_raw_fd(), mode) })?;
    }
    match life::bind(socket, &address) {
        Err(Errno::ADDRINUSE) if replace_stale => {
            unlink_stale(socket, root, beneath, parent.as_fd(), &name)?;
            life::bind(socket, &address)?;
        }
        other => other?,
    }
    let place = verify(socket, root, beneath).inspect_err(|_| withdraw(socket, &path))?;
    if let Some(mode) = mode {
        widen(place.as_fd(), mode)?;
    }
    let status = life::status(place.as_fd())?;
    Ok(BoundPath {
        parent,
        name,
        device: status.st_dev,
        inode: status.st_ino,
        path,
    })
}

/// The inode at `beneath` if it is the one that `socket` is bound to.
fn verify(socket: BorrowedFd<'_>, root: &Root, beneath: &Path) -> Result<OwnedFd> {
    let place = root.socket_at(beneath).map_err(|_| Errno::ACCES)?;
    let there = life::status(place.as_fd())?;
    if let Ok(Some(bound)) = diag::unix_place(socket)
        && bound.inode == there.st_ino as u32
        && bound.device == there.st_dev
    {
        return Ok(place);
    }
    // Kernels without unix_diag, and filesystems whose stat tells another device than the kernel's own
    // (btrfs), leave this way to those who may take it.
    let bound = diag::unix_file(socket).map_err(|_| Errno::ACCES)?;
    let bound = life::status(bound.as_fd())?;
    match (bound.st_dev, bound.st_ino) == (there.st_dev, there.st_ino) {
        true => Ok(place),
        false => Err(Errno::ACCES),
    }
}

/// Unlinks the file of a socket that was bound to `path` and is somewhere else than it should be, as far as
/// it can be found: no promise, since whoever moved the directories may move them again.
fn withdraw(socket: BorrowedFd<'_>, path: &Path) {
    let told = diag::unix_file(socket)
        .and_then(|file| descriptor_path(file.as_fd()))
        .unwrap_or_else(|_| path.to_owned());
    let (Some(directory), Some(name)) = (told.parent(), told.file_name()) else {
        return;
    };
    let (Ok(directory), Ok(name)) = (Root::open(directory), c_string(name)) else {
        return;
    };
    let Ok(there) = place_of(directory.0.as_fd(), &name) else {
        return;
    };
    if let Ok(Some(bound)) = diag::unix_place(socket)
        && bound.inode == there.st_ino as u32
        && bound.device == there.st_dev
    {
        // Whether it worked changes nothing: the bind is refused in any case.
        let _ = unlink_inode(directory.0.as_fd(), &name, there.st_dev, there.st_ino);
    }
}

/// Gives the socket's file the permissions that the umask took from it.
fn widen(place: BorrowedFd<'_>, mode: mode_t) -> Result<()> {
    if life::status(place)?.st_mode & 0o777 == mode {
        return Ok(());
    }
    let path = c_string(OsStr::from_bytes(&own_descriptor_path(place)))?;
    // SAFETY: the path lives until the call returns.
    check(unsafe { libc::chmod(path.as_ptr(), mode) })?;
    Ok(())
}

/// Unlinks the socket at `beneath` if nobody answers there; else `addrinuse`.
fn unlink_stale(
    socket: BorrowedFd<'_>,
    root: &Root,
    beneath: &Path,
    parent: BorrowedFd<'_>,
    name: &CString,
) -> Result<()> {
    let place = root.socket_at(beneath).map_err(|_| Errno::ADDRINUSE)?;
    let probe = life::socket(life::kind_of(socket)?)?;
    // A socket of another type answers `prototype`, a full backlog `again`: both are alive.
    if life::connect(probe.as_fd(), &address_of(place.as_fd())) != Err(Errno::CONNREFUSED) {
        return Err(Errno::ADDRINUSE);
    }
    let stale = life::status(place.as_fd())?;
    match unlink_inode(parent, name, stale.st_dev, stale.st_ino)? {
        true => Ok(()),
        false => Err(Errno::ADDRINUSE),
    }
}

/// fstatat(2), following no symbolic link.
fn place_of(parent: BorrowedFd<'_>, name: &CString) -> Result<libc::stat> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the name lives until the call returns, and `status` has room for one `stat`.
    check(unsafe {
        libc::fstatat(
            parent.as_raw_fd(),
            name.as_ptr(),
            status.as_mut_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
        )
    })?;
    // SAFETY: the call succeeded, so the kernel filled it.
    Ok(unsafe { status.assume_init() })
}

/// Unlinks `name` if it is still that socket; whether it was.
fn unlink_inode(
    parent: BorrowedFd<'_>,
    name: &CString,
    device: libc::dev_t,
    inode: libc::ino_t,
) -> Result<bool> {
    let status = match place_of(parent, name) {
        Err(Errno::NOENT) => return Ok(false),
        other => other?,
    };
    let socket = status.st_mode & libc::S_IFMT == libc::S_IFSOCK;
    if !socket || (status.st_dev, status.st_ino) != (device, inode) {
        return Ok(false);
    }
    // SAFETY: the name lives until the call returns.
    check(unsafe { libc::unlinkat(parent.as_raw_fd(), name.as_ptr(), 0) })?;
    Ok(true)
}

impl BoundPath {
    /// The absolute path that peers see.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unlinks the file if it is still the one that was bound; whether it was.
    pub fn unlink_if_ours(self) -> Result<bool> {
        unlink_inode(self.parent.as_fd(), &self.name, self.device, self.inode)
    }
}

#[cfg(test)]
mod tests;
