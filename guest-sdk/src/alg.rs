//! The kernel's ciphers: AF_ALG, Documentation/crypto/userspace-if.rst.
//!
//! Each type here is one algorithm with one key, and computes as often as it is asked to; it holds two
//! sockets, which count against the policy's limit. Names are those of /proc/crypto: `sha256`,
//! `hmac(sha256)`, `cbc(aes)`, `gcm(aes)`, `stdrng`. A policy names types and algorithms (`alg-type`,
//! `name`; operation `bind`).

use std::io;

pub use crate::address::AlgAddress;
use crate::ancillary::{AlgOperation, AncillaryOut};
use crate::consts::{ALG_SET_AEAD_AUTHSIZE, ALG_SET_KEY, SOL_ALG};
use crate::message::MessageOut;
use crate::socket::Socket;
use crate::types::{Family, MessageFlags, Protocol, SocketType};
use crate::wire::{malformed, unfit};

/// The largest digest, in bytes; the kernel cuts what is asked for to the digest's own size.
const DIGEST: usize = 64;
/// How much of a long text one message carries: a multiple of every block, and far within a send buffer.
const PIECE: usize = 16 * 1024;
/// The kernel gives at most so many random bytes at once.
const RANDOM: usize = 128;

/// A socket that is bound to an algorithm: options go there, operations are accepted from it.
fn transform(kind: &str, name: &str, key: Option<&[u8]>) -> io::Result<Socket> {
    let socket = Socket::new(Family::Alg, SocketType::Seqpacket, Protocol::Default)?;
    socket.bind(AlgAddress::new(kind, name))?;
    if let Some(key) = key {
        socket.set_raw_option(SOL_ALG, ALG_SET_KEY, key)?;
    }
    Ok(socket)
}

/// The socket on which a bound algorithm computes.
fn operation(transform: &Socket) -> io::Result<Socket> {
    Ok(transform.accept()?.0)
}

/// Sends a message; what one call does not take goes out in further ones.
fn send_whole(socket: &Socket, message: &MessageOut<'_>) -> io::Result<()> {
    let data = message.pieces.concat();
    let mut sent = socket.send_msg(message)?;
    while sent < data.len() {
        sent += match socket.send_with(&data[sent..], message.flags)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            more => more,
        };
    }
    Ok(())
}

/// A hash, with or without a key.
///
/// ```no_run
/// use sockgate_guest::alg::AlgHash;
///
/// println!("{:x?}", AlgHash::new("sha256")?.digest(b"abc")?);
/// println!("{:x?}", AlgHash::keyed("hmac(sha256)", b"key")?.digest(b"abc")?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AlgHash {
    /// Kept, since the key is its own.
    _transform: Socket,
    operation: Socket,
}

/// A keyed hash ([`AlgHash::keyed`]).
pub type AlgHmac = AlgHash;

impl AlgHash {
    /// A hash (`sha256`). [`Errno::NOENT`](crate::Errno::NOENT) where the kernel has none such.
    ///
    /// socket(2), bind(2). Policy: `bind` with `alg-type` and `name`, which carries key, operation and
    /// data. Errors: `EACCES`.
    pub fn new(name: &str) -> io::Result<Self> {
        Self::with(name, None)
    }

    /// A hash with a key (`hmac(sha256)`, `cmac(aes)`).
    ///
    /// ALG_SET_KEY, setsockopt(2). Policy: `bind` with `alg-type` and `name`, which carries key, operation
    /// and data. Errors: `EACCES`, `ENOENT`, `EINVAL` for a key of the wrong length.
    pub fn keyed(name: &str, key: &[u8]) -> io::Result<Self> {
        Self::with(name, Some(key))
    }

    fn with(name: &str, key: Option<&[u8]>) -> io::Result<Self> {
        let transform = transform("hash", name, key)?;
        let operation = operation(&transform)?;
        Ok(Self {
            _transform: transform,
            operation,
        })
    }

    /// Hashes more data.
    ///
    /// send(2) with MSG_MORE. Policy: part of `bind`. Errors: `ENOKEY` where a key is missing.
    pub fn update(&self, data: &[u8]) -> io::Result<()> {
        for mut piece in data.chunks(PIECE) {
            while !piece.is_empty() {
                match self.operation.send_with(piece, MessageFlags::MORE)? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    sent => piece = piece.get(sent..).unwrap_or_default(),
                }
            }
        }
        Ok(())
    }

    /// The digest of all that was given since the last one.
    ///
    /// recv(2). Policy: part of `bind`. Errors: `ENOKEY` where a key is missing.
    pub fn finish(&self) -> io::Result<Vec<u8>> {
        self.operation.recv_vec(DIGEST)
    }

    /// The digest of this data.
    ///
    /// send(2), recv(2). Policy: part of `bind`. Errors: `ENOKEY` where a key is missing.
    pub fn digest(&self, data: &[u8]) -> io::Result<Vec<u8>> {
        self.update(data)?;
        self.finish()
    }
}

/// A symmetric cipher without authentication: `cbc(aes)`, `ctr(aes)`.
///
/// ```no_run
/// use sockgate_guest::alg::AlgCipher;
///
/// let cipher = AlgCipher::new("cbc(aes)", &[7; 16])?;
/// let secret = cipher.encrypt(&[0; 16], b"sixteen bytes ..")?;
/// assert_eq!(cipher.decrypt(&[0; 16], &secret)?, b"sixteen bytes ..");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AlgCipher {
    _transform: Socket,
    operation: Socket,
}

impl AlgCipher {
    /// A cipher with its key. [`Errno::INVAL`](crate::Errno::INVAL) where the key's length is wrong.
    ///
    /// socket(2), bind(2). Policy: `bind` with `alg-type` and `name`, which carries key, operation and
    /// data. Errors: `EACCES`.
    pub fn new(name: &str, key: &[u8]) -> io::Result<Self> {
        let transform = transform("skcipher", name, Some(key))?;
        let operation = operation(&transform)?;
        Ok(Self {
            _transform: transform,
            operation,
        })
    }

    /// Encrypts. `iv` has the cipher's own length (empty for `ecb`), `data` is a multiple of its block.
    /// Data beyond 16 KiB go through the kernel in pieces, each going on where the last one ended.
    ///
    /// sendmsg(2) with ALG_SET_OP and ALG_SET_IV, recv(2). Policy: part of `bind`. Errors: `EINVAL` for
    /// lengths that do not fit.
    pub fn encrypt(&self, iv: &[u8], data: &[u8]) -> io::Result<Vec<u8>> {
        self.compute(AlgOperation::Encrypt, iv, data)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) made.
    ///
    /// sendmsg(2) with ALG_SET_OP and ALG_SET_IV, recv(2). Policy: part of `bind`. Errors: `EINVAL` for
    /// lengths that do not fit.
    pub fn decrypt(&self, iv: &[u8], data: &[u8]) -> io::Result<Vec<u8>> {
        self.compute(AlgOperation::Decrypt, iv, data)
    }

    fn compute(&self, what: AlgOperation, iv: &[u8], data: &[u8]) -> io::Result<Vec<u8>> {
        let mut result = Vec::with_capacity(data.len());
        let mut pieces = data.chunks(PIECE).peekable();
        let mut first = true;
        while let Some(piece) = pieces.next() {
            let mut message = MessageOut::new().piece(piece);
            if pieces.peek().is_some() {
                message = message.flags(MessageFlags::MORE);
            }
            if first {
                message = directed(message, what, iv);
                first = false;
            }
            send_whole(&self.operation, &message)?;
            let end = result.len() + piece.len();
            while result.len() < end {
                let part = self.operation.recv_vec(end - result.len())?;
                if part.is_empty() {
                    return Err(malformed("less from a cipher than it was given"));
                }
                result.extend(part);
            }
        }
        Ok(result)
    }
}

/// A message with the control data that begins an operation.
fn directed<'a>(message: MessageOut<'a>, what: AlgOperation, iv: &'a [u8]) -> MessageOut<'a> {
    let message = message.ancillary(AncillaryOut::AlgOperation(what));
    match iv {
        [] => message,
        iv => message.ancillary(AncillaryOut::AlgIv(iv)),
    }
}

/// A cipher with authentication: `gcm(aes)`, `ccm(aes)`, `rfc7539(chacha20,poly1305)`.
///
/// ```no_run
/// use sockgate_guest::alg::AlgAead;
///
/// let cipher = AlgAead::new("gcm(aes)", &[7; 16], 16)?;
/// let sealed = cipher.encrypt(&[0; 12], b"header", b"secret")?;
/// assert_eq!(cipher.decrypt(&[0; 12], b"header", &sealed)?, b"secret");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AlgAead {
    _transform: Socket,
    operation: Socket,
    tag: usize,
}

impl AlgAead {
    /// A cipher with its key and the length of its tag in bytes.
    ///
    /// socket(2), bind(2). Policy: `bind` with `alg-type` and `name`, which carries key, operation and
    /// data. Errors: `EACCES`.
    pub fn new(name: &str, key: &[u8], tag_length: u32) -> io::Result<Self> {
        let transform = transform("aead", name, Some(key))?;
        transform.set_raw_option_length(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, tag_length)?;
        let operation = operation(&transform)?;
        Ok(Self {
            _transform: transform,
            operation,
            tag: tag_length as usize,
        })
    }

    /// Encrypts `plain` and authenticates it together with `associated`: the ciphertext and its tag. One
    /// message holds it all, so that it must fit a send buffer (some 100 KiB).
    ///
    /// sendmsg(2) with ALG_SET_OP and ALG_SET_IV, recv(2). Policy: part of `bind`. Errors: `EINVAL` for
    /// lengths that do not fit.
    pub fn encrypt(&self, iv: &[u8], associated: &[u8], plain: &[u8]) -> io::Result<Vec<u8>> {
        let length = plain.len() + self.tag;
        self.compute(AlgOperation::Encrypt, iv, associated, plain, length)
    }

    /// Verifies and decrypts. [`Errno::BADMSG`](crate::Errno::BADMSG) where the tag does not fit.
    ///
    /// sendmsg(2) with ALG_SET_OP and ALG_SET_IV, recv(2). Policy: part of `bind`. Errors: `EINVAL` for
    /// lengths that do not fit.
    pub fn decrypt(&self, iv: &[u8], associated: &[u8], sealed: &[u8]) -> io::Result<Vec<u8>> {
        let length = sealed.len().checked_sub(self.tag).ok_or_else(|| {
            let (length, tag) = (sealed.len(), self.tag);
            unfit(format!(
                "{length} bytes to decrypt, of which {tag} should be the tag"
            ))
        })?;
        self.compute(AlgOperation::Decrypt, iv, associated, sealed, length)
    }

    /// The kernel repeats the associated data in front of `length` bytes of result.
    fn compute(
        &self,
        what: AlgOperation,
        iv: &[u8],
        associated: &[u8],
        data: &[u8],
        length: usize,
    ) -> io::Result<Vec<u8>> {
        let associated_length = u32::try_from(associated.len())
            .map_err(|_| unfit("more than 4 GiB of associated data"))?;
        let message = MessageOut::new()
            .piece(associated)
            .piece(data)
            .ancillary(AncillaryOut::AlgAssociatedLength(associated_length));
        send_whole(&self.operation, &directed(message, what, iv))?;
        let expected = associated.len() + length;
        // Where nothing is to come out the kernel still has to be asked, or it verifies nothing.
        let mut result = self.operation.recv_vec(expected.max(1))?;
        if result.len() != expected {
            return Err(malformed("less from a cipher than it was given"));
        }
        result.drain(..associated.len());
        Ok(result)
    }
}

/// A generator of random bytes: `stdrng`, `drbg_nopr_sha256`, `jitterentropy_rng`.
///
/// ```no_run
/// let mut key = [0; 32];
/// sockgate_guest::alg::AlgRng::new("jitterentropy_rng")?.fill(&mut key)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AlgRng {
    _transform: Socket,
    operation: Socket,
}

impl AlgRng {
    /// A generator that needs no seed, or has one.
    ///
    /// socket(2), bind(2). Policy: `bind` with `alg-type` and `name`, which carries key, operation and
    /// data. Errors: `EACCES`.
    pub fn new(name: &str) -> io::Result<Self> {
        Self::with(name, None)
    }

    /// A generator with this seed; an empty one makes a DRBG take its own entropy.
    ///
    /// ALG_SET_KEY, setsockopt(2). Policy: `bind` with `alg-type` and `name`, which carries key, operation
    /// and data. Errors: `EACCES`, `ENOENT`.
    pub fn seeded(name: &str, seed: &[u8]) -> io::Result<Self> {
        Self::with(name, Some(seed))
    }

    fn with(name: &str, seed: Option<&[u8]>) -> io::Result<Self> {
        let transform = transform("rng", name, seed)?;
        let operation = operation(&transform)?;
        Ok(Self {
            _transform: transform,
            operation,
        })
    }

    /// Fills the buffer.
    ///
    /// recv(2). Policy: part of `bind`. Errors: `EAGAIN` where the generator has no seed.
    pub fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        for piece in buffer.chunks_mut(RANDOM) {
            let mut filled = 0;
            while filled < piece.len() {
                filled += match self.operation.recv(&mut piece[filled..])? {
                    0 => return Err(malformed("nothing from a random number generator")),
                    length => length,
                };
            }
        }
        Ok(())
    }
}
