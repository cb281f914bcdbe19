//! A machine whose names are all known: tests/native/names.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::isolated::instead_of;
use crate::native::Native;
use crate::place::root;
use crate::skip::patience;

/// Starts a name server on 127.0.0.1 that knows `tests/native/names/zone`, lays hosts, services and the
/// other files of that folder over those of /etc, and calls the machine `full`. Within an
/// [`isolated`](crate::isolated) test alone.
///
/// The server prints `asked NAME` for each query.
pub fn name_server(python: &Path) -> Result<Native> {
    let files = root().join("tests/native/names");
    for name in [
        "hosts",
        "services",
        "protocols",
        "nsswitch.conf",
        "resolv.conf",
    ] {
        instead_of(&Path::new("/etc").join(name), &files.join(name))?;
    }
    ensure!(Command::new("hostname").arg("full").status()?.success());
    let zone = files.join("zone");
    let server = Native::python(python, "names.py", ["serve".as_ref(), zone.as_os_str()])?;
    server.wait_for_line("ready", patience())?;
    Ok(server)
}
