//! Netlink messages and their attributes: struct nlmsghdr, struct nlattr (netlink(7), linux/netlink.h).

use std::io;

use crate::consts::NLM_F_REQUEST;
use crate::wire::{Fields, malformed, unfit};

/// Bytes of a struct nlmsghdr.
const HEADER: usize = 16;
/// Bytes of a struct nlattr.
const ATTRIBUTE: usize = 4;
/// NLA_F_NESTED
const NESTED: u16 = 0x8000;
/// NLA_TYPE_MASK
const KIND: u16 = 0x3fff;

/// A netlink message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetlinkMessage {
    /// nlmsg_type
    pub kind: u16,
    /// nlmsg_flags, `NLM_F_*` in [`consts`](crate::consts).
    pub flags: u16,
    /// nlmsg_seq: an answer has that of its request.
    pub sequence: u32,
    /// nlmsg_pid: the port that it is for or from.
    pub port: u32,
    /// What follows the header: a fixed part of the kind's own size, then attributes.
    pub payload: Vec<u8>,
}

impl NetlinkMessage {
    /// The message as it is sent, padded to four bytes.
    ///
    /// Pure: no grant. Errors: [`InvalidInput`](io::ErrorKind::InvalidInput) for more than a length field
    /// can say.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let length = u32::try_from(HEADER + self.payload.len())
            .map_err(|_| unfit("a netlink message of more than 4 GiB"))?;
        let mut bytes = Vec::with_capacity(padded(HEADER + self.payload.len()));
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.sequence.to_le_bytes());
        bytes.extend(self.port.to_le_bytes());
        bytes.extend(&self.payload);
        bytes.resize(padded(bytes.len()), 0);
        Ok(bytes)
    }

    /// All messages of what was received; an error where a length is wrong.
    ///
    /// Pure: no grant; netlink(7).
    pub fn decode_all(bytes: &[u8]) -> io::Result<Vec<Self>> {
        let mut messages = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (message, length) = Self::decode(rest)
                .ok_or_else(|| malformed("a netlink message of a wrong length"))?;
            messages.push(message);
            rest = rest.get(padded(length)..).unwrap_or_default();
        }
        Ok(messages)
    }

    /// The first message and its length without padding.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut fields = Fields::new(bytes);
        let length = fields.u32()? as usize;
        let message = Self {
            kind: fields.u16()?,
            flags: fields.u16()?,
            sequence: fields.u32()?,
            port: fields.u32()?,
            payload: fields.take(length.checked_sub(HEADER)?)?.to_vec(),
        };
        Some((message, length))
    }

    /// The attributes behind a fixed part of `header` bytes; one error where that is cut.
    pub fn attributes(&self, header: usize) -> Attributes<'_> {
        match self.payload.get(padded(header)..) {
            Some(rest) => Attributes { rest: Some(rest) },
            None => Attributes { rest: Some(&[0]) },
        }
    }
}

/// The next multiple of four.
fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// One attribute of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// nla_type, without its two flags.
    pub kind: u16,
    /// Its bytes, without padding.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    fn number<const N: usize>(&self) -> io::Result<[u8; N]> {
        self.value.try_into().map_err(|_| {
            let (kind, length) = (self.kind, self.value.len());
            malformed(&format!(
                "{length} bytes in the netlink attribute {kind} of {N}"
            ))
        })
    }

    /// The value as a number of one byte.
    ///
    /// Errors: [`InvalidData`](io::ErrorKind::InvalidData) for another length.
    pub fn u8(&self) -> io::Result<u8> {
        self.number().map(u8::from_le_bytes)
    }

    /// The value as a number of two bytes.
    ///
    /// Errors: [`InvalidData`](io::ErrorKind::InvalidData) for another length.
    pub fn u16(&self) -> io::Result<u16> {
        self.number().map(u16::from_le_bytes)
    }

    /// The value as a number of four bytes.
    ///
    /// Errors: [`InvalidData`](io::ErrorKind::InvalidData) for another length.
    pub fn u32(&self) -> io::Result<u32> {
        self.number().map(u32::from_le_bytes)
    }

    /// The value as a number of eight bytes.
    ///
    /// Errors: [`InvalidData`](io::ErrorKind::InvalidData) for another length.
    pub fn u64(&self) -> io::Result<u64> {
        self.number().map(u64::from_le_bytes)
    }

    /// The value as text, up to its first NUL; what is not UTF-8 in it is replaced.
    pub fn text(&self) -> String {
        let text = self.value.split(|&byte| byte == 0).next();
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    }

    /// The attributes in it.
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}

/// The attributes of a message, one after the other. A wrong length is one error, and the end.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Attributes<'a> {
    /// The attributes in these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: Some(bytes) }
    }

    fn take(bytes: &'a [u8]) -> Option<(Attribute<'a>, &'a [u8])> {
        let mut fields = Fields::new(bytes);
        let length = usize::from(fields.u16()?);
        let kind = fields.u16()? & KIND;
        let value = fields.take(length.checked_sub(ATTRIBUTE)?)?;
        let rest = bytes.get(padded(length)..).unwrap_or_default();
        Some((Attribute { kind, value }, rest))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = io::Result<Attribute<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take().filter(|rest| !rest.is_empty())?;
        match Self::take(rest) {
            Some((attribute, rest)) => {
                self.rest = Some(rest);
                Some(Ok(attribute))
            }
            None => Some(Err(malformed("a netlink attribute of a wrong length"))),
        }
    }
}

/// Attributes to send.
///
/// ```
/// use sockgate_guest::netlink::AttributeList;
///
/// let list = AttributeList::new().text(3, "eth0").number(4, 1500);
/// assert_eq!(list.encode()?.len(), 20);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AttributeList {
    bytes: Vec<u8>,
    /// The first attribute that was too long.
    too_long: Option<u16>,
}

impl AttributeList {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an attribute of at most 65531 bytes.
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let Ok(length) = u16::try_from(ATTRIBUTE + value.len()) else {
            self.too_long.get_or_insert(kind & KIND);
            return self;
        };
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(value);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self
    }

    /// Appends text with its final NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Appends a number of four bytes.
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_le_bytes())
    }

    /// Appends a list of attributes as one attribute (NLA_F_NESTED).
    pub fn nested(mut self, kind: u16, list: &AttributeList) -> Self {
        self.too_long = self.too_long.or(list.too_long);
        self.bytes(kind | NESTED, &list.bytes)
    }

    /// The list as it is sent; refused where one of them was too long.
    ///
    /// Pure: no grant. Errors: [`InvalidInput`](io::ErrorKind::InvalidInput) for more than a length field
    /// can say.
    pub fn encode(&self) -> io::Result<&[u8]> {
        match self.too_long {
            None => Ok(&self.bytes),
            Some(kind) => {
                let text = format!("the netlink attribute {kind} has more than 65531 bytes");
                Err(unfit(text))
            }
        }
    }
}

/// A request: its kind, its flags, a fixed part, and attributes.
#[derive(Clone, Debug, Default)]
pub struct NetlinkRequest {
    pub(super) kind: u16,
    pub(super) flags: u16,
    header: Vec<u8>,
    attributes: AttributeList,
}

impl NetlinkRequest {
    /// A request of this kind (`RTM_GETLINK` ...).
    pub fn new(kind: u16) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Adds flags (`NLM_F_CREATE` ...). NLM_F_REQUEST, NLM_F_ACK and NLM_F_DUMP come by themselves.
    pub fn flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    /// The fixed part, as the kind has it (struct ifinfomsg ...).
    pub fn header(mut self, header: impl Into<Vec<u8>>) -> Self {
        self.header = header.into();
        self
    }

    /// The attributes.
    pub fn attributes(mut self, attributes: AttributeList) -> Self {
        self.attributes = attributes;
        self
    }

    /// The message with these further flags.
    pub(super) fn message(&self, flags: u16, sequence: u32) -> io::Result<NetlinkMessage> {
        let mut payload = self.header.clone();
        payload.resize(padded(payload.len()), 0);
        payload.extend(self.attributes.encode()?);
        Ok(NetlinkMessage {
            kind: self.kind,
            flags: self.flags | flags | NLM_F_REQUEST,
            sequence,
            port: 0,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn messages() -> impl Strategy<Value = NetlinkMessage> {
        let head = (any::<u16>(), any::<u16>(), any::<u32>(), any::<u32>());
        (head, vec(any::<u8>(), 0..50)).prop_map(|((kind, flags, sequence, port), payload)| {
            NetlinkMessage {
                kind,
                flags,
                sequence,
                port,
                payload,
            }
        })
    }

    proptest! {
        #[test]
        fn messages_survive_their_encoding(messages in vec(messages(), 0..4)) {
            let mut bytes = Vec::new();
            for message in &messages {
                bytes.extend(message.encode().unwrap());
            }
            prop_assert_eq!(NetlinkMessage::decode_all(&bytes).unwrap(), messages);
        }

        #[test]
        fn attributes_survive_their_encoding(
            attributes in vec((0..0x4000u16, vec(any::<u8>(), 0..40)), 0..6)
        ) {
            let list = attributes.iter().fold(AttributeList::new(), |list, (kind, value)| {
                list.bytes(*kind, value)
            });
            let bytes = list.encode().unwrap();
            let decoded: Vec<_> = Attributes::new(bytes)
                .map(|attribute| attribute.map(|found| (found.kind, found.value.to_vec())))
                .collect::<io::Result<_>>()
                .unwrap();
            prop_assert_eq!(decoded, attributes);
        }

        #[test]
        fn random_bytes_end(bytes in vec(any::<u8>(), 0..200)) {
            let parts = Attributes::new(&bytes);
            prop_assert!(parts.count() <= bytes.len() / 4 + 1);
            if let Ok(messages) = NetlinkMessage::decode_all(&bytes) {
                prop_assert!(messages.len() <= bytes.len() / HEADER);
            }
        }
    }

    #[test]
    fn wrong_lengths_are_one_error() {
        let mut attributes = Attributes::new(&[3, 0, 1, 0]);
        assert!(attributes.next().unwrap().is_err() && attributes.next().is_none());
        let message = NetlinkMessage::default();
        assert!(message.attributes(16).next().unwrap().is_err());
        assert!(NetlinkMessage::decode_all(&[17, 0, 0, 0]).is_err());
        let list = AttributeList::new().bytes(7, &[0; 65532]);
        assert!(AttributeList::new().nested(1, &list).encode().is_err());
    }
}
