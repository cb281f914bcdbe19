//! Reliable datagrams: Documentation/networking/rds.rst.

use libc::c_int;

use super::super::Result;
use super::find::built;
use super::look::{Kind, Look, Setting, Trial};

const SOL_RDS: c_int = 276;
const SO_RDS_TRANSPORT: c_int = 8;
const RDS_TRANS_TCP: c_int = 2;

const KIND: Kind = Kind::new(
    "seqpacket",
    None,
    (libc::AF_RDS, libc::SOCK_SEQPACKET, 0),
    built("CONFIG_RDS", "rds"),
)
.settings(&[Setting::new(
    "SO_RDS_TRANSPORT tcp",
    SOL_RDS,
    SO_RDS_TRANSPORT,
    built("CONFIG_RDS_TCP", "rds_tcp"),
)
.tried_with(Trial::Int(RDS_TRANS_TCP))]);

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    look.kinds("rds", &[KIND])
}
