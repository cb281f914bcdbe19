//! Names.

use sockgate_policy::Family;

use super::bindings::sockgate::sockets::addresses::SocketAddress;
use super::bindings::sockgate::sockets::names as wit;
use super::bindings::sockgate::sockets::types::Timeout;
use super::convert::{
    self, address_from_wit, address_to_wit, family_from_wit, family_to_wit, ip_from_wit, ip_to_wit,
    protocol_from_wit, protocol_to_wit, socket_type_from_wit, socket_type_to_wit, timeout_from_wit,
};
use super::{NameRefusal, Refusal, SocketsCtxView};
use crate::socket::names::{self, AddressInfo};
use crate::socket::{Eai, Failure, Hints, Host, Lookup, LookupFlags, NameFlags};

fn lookup_flags(flags: wit::LookupFlags) -> LookupFlags {
    const FLAGS: &[(wit::LookupFlags, LookupFlags)] = &[
        (wit::LookupFlags::PASSIVE, LookupFlags::PASSIVE),
        (
            wit::LookupFlags::CANONICAL_NAME,
            LookupFlags::CANONICAL_NAME,
        ),
        (wit::LookupFlags::NUMERIC_HOST, LookupFlags::NUMERIC_HOST),
        (
            wit::LookupFlags::NUMERIC_SERVICE,
            LookupFlags::NUMERIC_SERVICE,
        ),
        (wit::LookupFlags::V4_MAPPED, LookupFlags::V4_MAPPED),
        (wit::LookupFlags::ALL, LookupFlags::ALL),
        (
            wit::LookupFlags::ADDRESS_CONFIG,
            LookupFlags::ADDRESS_CONFIG,
        ),
    ];
    FLAGS
        .iter()
        .filter(|(wit, _)| flags.contains(*wit))
        .fold(LookupFlags::empty(), |sum, (_, flag)| sum | *flag)
}

fn name_flags(flags: wit::NameFlags) -> NameFlags {
    const FLAGS: &[(wit::NameFlags, NameFlags)] = &[
        (wit::NameFlags::NUMERIC_HOST, NameFlags::NUMERIC_HOST),
        (wit::NameFlags::NUMERIC_SERVICE, NameFlags::NUMERIC_SERVICE),
        (wit::NameFlags::NAME_REQUIRED, NameFlags::NAME_REQUIRED),
        (wit::NameFlags::DATAGRAM, NameFlags::DATAGRAM),
        (wit::NameFlags::NO_FQDN, NameFlags::NO_FQDN),
        (wit::NameFlags::INTERNATIONAL, NameFlags::INTERNATIONAL),
    ];
    FLAGS
        .iter()
        .filter(|(wit, _)| flags.contains(*wit))
        .fold(NameFlags::empty(), |sum, (_, flag)| sum | *flag)
}

fn info_to_wit(info: &AddressInfo) -> wit::AddressInfo {
    wit::AddressInfo {
        family: family_to_wit(info.family),
        socket_type: socket_type_to_wit(info.socket_type),
        protocol: protocol_to_wit(names::kind_of(info)),
        canonical_name: info.canonical_name.clone(),
        address: address_to_wit(&info.address),
    }
}

fn entry_to_wit(entry: Host) -> wit::HostEntry {
    wit::HostEntry {
        name: entry.name,
        aliases: entry.aliases,
        addresses: entry.addresses.into_iter().map(ip_to_wit).collect(),
    }
}

fn eai(eai: Eai) -> wit::NameError {
    match eai {
        Eai::AGAIN => wit::NameError::Again,
        Eai::BADFLAGS => wit::NameError::Badflags,
        Eai::FAIL => wit::NameError::Fail,
        Eai::FAMILY => wit::NameError::Family,
        Eai::MEMORY => wit::NameError::Memory,
        Eai::NONAME => wit::NameError::Noname,
        Eai::OVERFLOW => wit::NameError::Overflow,
        Eai::SERVICE => wit::NameError::Service,
        Eai::SOCKTYPE => wit::NameError::Socktype,
        Eai::NODATA => wit::NameError::Nodata,
        Eai::ADDRFAMILY => wit::NameError::Addrfamily,
        Eai::System(errno) => wit::NameError::System(convert::errno(errno)),
        Eai::Code(code) => wit::NameError::Other(code),
    }
}

impl wit::Host for SocketsCtxView<'_> {
    fn convert_name_error(&mut self, refusal: NameRefusal) -> wasmtime::Result<wit::NameError> {
        match refusal {
            NameRefusal::Name(answer) => Ok(eai(answer)),
            NameRefusal::Other(other) => Ok(wit::NameError::System(other.errno()?)),
        }
    }

    async fn look_up(
        &mut self,
        query: wit::Lookup,
        timeout: Timeout,
    ) -> Result<Vec<wit::AddressInfo>, NameRefusal> {
        let hints = Hints {
            family: query.family.map(family_from_wit),
            socket_type: query.socket_type.map(socket_type_from_wit),
            protocol: query
                .protocol
                .and_then(|protocol| protocol_from_wit(Family::Inet, protocol)),
            flags: lookup_flags(query.flags),
        };
        let lookup = Lookup {
            host: query.host,
            service: query.service,
            hints,
        };
        let answers = self
            .ctx
            .guest()
            .look_up(lookup, timeout_from_wit(timeout))
            .await?;
        Ok(answers.iter().map(info_to_wit).collect())
    }

    async fn name_of(
        &mut self,
        address: SocketAddress,
        flags: wit::NameFlags,
        timeout: Timeout,
    ) -> Result<(Vec<u8>, String), NameRefusal> {
        let address = address_from_wit(address)?.ok_or(NameRefusal::Name(Eai::FAMILY))?;
        let (host, service) = self
            .ctx
            .guest()
            .name_of(&address, name_flags(flags), timeout_from_wit(timeout))
            .await?;
        Ok((host, String::from_utf8_lossy(&service).into_owned()))
    }

    async fn host_by_name(
        &mut self,
        name: Vec<u8>,
        timeout: Timeout,
    ) -> Result<wit::HostEntry, NameRefusal> {
        Ok(entry_to_wit(
            self.ctx
                .guest()
                .host_by_name(name, timeout_from_wit(timeout))
                .await?,
        ))
    }

    async fn host_by_address(
        &mut self,
        address: wit::IpAddress,
        timeout: Timeout,
    ) -> Result<wit::HostEntry, NameRefusal> {
        let address = ip_from_wit(address);
        Ok(entry_to_wit(
            self.ctx
                .guest()
                .host_by_address(address, timeout_from_wit(timeout))
                .await?,
        ))
    }

    async fn host_name(&mut self) -> Result<Vec<u8>, Refusal> {
        Ok(self.ctx.guest().host_name()?)
    }

    async fn set_host_name(&mut self, name: Vec<u8>) -> Result<(), Refusal> {
        Ok(self.ctx.guest().set_host_name(&name)?)
    }

    async fn interfaces(&mut self) -> Result<Vec<wit::NetworkInterface>, Refusal> {
        let found = self.ctx.guest().interfaces()?;
        Ok(found
            .into_iter()
            .map(|(index, name)| wit::NetworkInterface { index, name })
            .collect())
    }

    async fn interface_index(&mut self, name: String) -> Result<u32, Refusal> {
        Ok(self.ctx.guest().interface_index(&name)?)
    }

    async fn interface_name(&mut self, index: u32) -> Result<String, Refusal> {
        Ok(self.ctx.guest().interface_name(index)?)
    }

    async fn service_by_name(
        &mut self,
        name: String,
        protocol: Option<String>,
    ) -> Result<wit::Service, Refusal> {
        Ok(service(names::service_by_name(&name, protocol.as_deref())?))
    }

    async fn service_by_port(
        &mut self,
        port: u16,
        protocol: Option<String>,
    ) -> Result<wit::Service, Refusal> {
        Ok(service(names::service_by_port(port, protocol.as_deref())?))
    }

    async fn protocol_by_name(&mut self, name: String) -> Result<wit::ProtocolEntry, Refusal> {
        Ok(protocol_entry(names::protocol_by_name(&name)?))
    }

    async fn protocol_by_number(&mut self, number: u32) -> Result<wit::ProtocolEntry, Refusal> {
        Ok(protocol_entry(names::protocol_by_number(number)?))
    }
}

fn service(service: names::Service) -> wit::Service {
    wit::Service {
        name: service.name,
        aliases: service.aliases,
        port: service.port,
        protocol: service.protocol,
    }
}

fn protocol_entry(protocol: names::Protocol) -> wit::ProtocolEntry {
    wit::ProtocolEntry {
        name: protocol.name,
        aliases: protocol.aliases,
        number: protocol.number,
    }
}

impl From<Failure> for NameRefusal {
    fn from(failure: Failure) -> NameRefusal {
        NameRefusal::Other(failure.into())
    }
}
