//! A machine whose names are all known: tests/native/names.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::isolated::{instead_of, isolated};
use crate::native::Native;
use crate::oracle::{Tool, oracle};
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

/// Runs the test `name` within an [`isolated`] namespace that has this name server, where there is a Python for it.
pub fn with_names(name: &str, test: impl FnOnce(&Native) -> Result<()>) -> Result<()> {
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    isolated(name, &[], || {
        let server = name_server(&python)?;
        test(&server)
    })
}

/// The names that the server was asked for so far.
pub fn asked_names(server: &Native) -> Vec<String> {
    let lines = server.stdout.lines();
    let names = lines.iter().filter_map(|line| line.strip_prefix("asked "));
    names.map(str::to_owned).collect()
}
