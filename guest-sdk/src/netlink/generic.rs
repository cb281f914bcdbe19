//! Generic netlink: families that the kernel numbers as they come; linux/genetlink.h.

use std::io;

use super::{Attribute, AttributeList, NetlinkMessage, NetlinkRequest, NetlinkSocket};
use crate::wire::malformed;

/// GENL_ID_CTRL: the family that knows the others.
const CONTROLLER: u16 = 0x10;
/// CTRL_CMD_GETFAMILY
const GET_FAMILY: u8 = 3;
/// CTRL_ATTR_FAMILY_NAME
const FAMILY_NAME: u16 = 2;
/// Bytes of a struct genlmsghdr.
pub const HEADER: usize = 4;

/// A family of generic netlink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenericFamily {
    /// The kind that its messages have.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Its multicast groups, by name and number.
    pub groups: Vec<(String, u32)>,
}

impl GenericFamily {
    /// The number of one of its groups.
    pub fn group(&self, name: &str) -> Option<u32> {
        let found = self.groups.iter().find(|(group, _)| group == name);
        found.map(|(_, number)| *number)
    }

    /// The family in an answer of the controller.
    ///
    /// Pure: no grant. Errors: [`InvalidData`](std::io::ErrorKind::InvalidData) for what is cut short.
    pub fn decode(message: &NetlinkMessage) -> io::Result<Self> {
        let mut family = Self::default();
        for attribute in message.attributes(HEADER) {
            let attribute = attribute?;
            match attribute.kind {
                1 => family.id = attribute.u16()?,
                FAMILY_NAME => family.name = attribute.text(),
                3 => family.version = attribute.u32()?,
                7 => family.groups = groups(attribute)?,
                _ => {}
            }
        }
        Ok(family)
    }
}

/// The groups in a CTRL_ATTR_MCAST_GROUPS.
fn groups(list: Attribute<'_>) -> io::Result<Vec<(String, u32)>> {
    let mut groups = Vec::new();
    for group in list.nested() {
        let (mut name, mut number) = (String::new(), 0);
        for attribute in group?.nested() {
            let attribute = attribute?;
            match attribute.kind {
                1 => name = attribute.text(),
                2 => number = attribute.u32()?,
                _ => {}
            }
        }
        groups.push((name, number));
    }
    Ok(groups)
}

/// A request of a family: its command and version, then attributes.
pub fn command(family: u16, command: u8, version: u8) -> NetlinkRequest {
    NetlinkRequest::new(family).header([command, version, 0, 0])
}

/// Looks a family up by name (`nlctrl`, `nl80211`, `TIPCv2` ...). [`Errno::NOENT`](crate::Errno::NOENT)
/// where there is none.
///
/// ```no_run
/// use sockgate_guest::Protocol;
/// use sockgate_guest::netlink::{NetlinkSocket, generic};
///
/// let socket = NetlinkSocket::open(Protocol::NetlinkGeneric)?;
/// println!("{:?}", generic::family(&socket, "nlctrl")?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// CTRL_CMD_GETFAMILY, genl(8). Policy: that message under `protocol = ["generic"]`.
pub fn family(socket: &NetlinkSocket, name: &str) -> io::Result<GenericFamily> {
    let attributes = AttributeList::new().text(FAMILY_NAME, name);
    let request = command(CONTROLLER, GET_FAMILY, 1).attributes(attributes);
    let answer = socket.request(&request)?;
    let first = answer
        .first()
        .ok_or_else(|| malformed("an empty answer from the controller of generic netlink"))?;
    GenericFamily::decode(first)
}

/// All families.
///
/// CTRL_CMD_GETFAMILY, genl(8). Policy: that message under `protocol = ["generic"]`. Errors: `EACCES`.
pub fn families(socket: &NetlinkSocket) -> io::Result<Vec<GenericFamily>> {
    let answer = socket.dump(&command(CONTROLLER, GET_FAMILY, 1))?;
    answer.iter().map(GenericFamily::decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_read() {
        let group = AttributeList::new().number(2, 9).text(1, "notify");
        let groups = AttributeList::new().nested(1, &group);
        let list = AttributeList::new()
            .bytes(1, &[0x10, 0])
            .text(2, "nlctrl")
            .number(3, 2)
            .nested(7, &groups);
        let message = NetlinkMessage {
            payload: [&[1, 2, 0, 0], list.encode().unwrap()].concat(),
            ..NetlinkMessage::default()
        };
        let family = GenericFamily::decode(&message).unwrap();
        assert_eq!(
            (family.id, family.name.as_str(), family.version),
            (16, "nlctrl", 2)
        );
        assert_eq!(
            (family.group("notify"), family.group("other")),
            (Some(9), None)
        );
    }
}
