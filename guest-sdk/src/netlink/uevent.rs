//! Device events: NETLINK_KOBJECT_UEVENT, group 1.

/// One event of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    /// What happened: `add`, `remove`, `change` ...
    pub action: String,
    /// The device's path beneath /sys.
    pub path: String,
    /// Everything else, by name, in the kernel's order.
    pub properties: Vec<(String, String)>,
}

impl Uevent {
    /// The event in what was received ([`NetlinkSocket::recv_bytes`](super::NetlinkSocket::recv_bytes));
    /// none where it is none, such as what udevd sends.
    ///
    /// ```no_run
    /// use sockgate_guest::Protocol;
    /// use sockgate_guest::netlink::{NetlinkAddress, NetlinkSocket, uevent::Uevent};
    ///
    /// let address = NetlinkAddress::auto().group(1);
    /// let socket = NetlinkSocket::bind(Protocol::NetlinkKobjectUevent, address)?;
    /// println!("{:?}", Uevent::decode(&socket.recv_bytes()?));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut parts = bytes.split(|&byte| byte == 0);
        let head = text(parts.next()?);
        let (action, path) = head.split_once('@')?;
        let properties = parts.filter(|part| !part.is_empty()).filter_map(|part| {
            let part = text(part);
            let (name, value) = part.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Some(Self {
            action: action.to_owned(),
            path: path.to_owned(),
            properties: properties.collect(),
        })
    }

    /// A property by name (`SUBSYSTEM`, `INTERFACE` ...).
    pub fn property(&self, name: &str) -> Option<&str> {
        let found = self.properties.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read() {
        let bytes = b"add@/devices/virtual/net/vcan0\0ACTION=add\0SUBSYSTEM=net\0SEQNUM=7\0";
        let event = Uevent::decode(bytes).unwrap();
        assert_eq!(
            (event.action.as_str(), event.path.as_str()),
            ("add", "/devices/virtual/net/vcan0")
        );
        assert_eq!(event.property("SUBSYSTEM"), Some("net"));
        assert_eq!(event.property("NOTHING"), None);
        assert_eq!(Uevent::decode(b"libudev\0\xfe\xed"), None);
    }
}
