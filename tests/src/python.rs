//! The native side of the suites `convenience*`: one Python server that does with each connection what its first
//! line says (`tests/native/convenience.py`).

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result};

use crate::native::{Native, told};
use crate::port::free_port;
use crate::skip::patience;

/// A running server, on the loopback addresses of both IP versions, TCP and UDP.
pub struct PythonServer {
    /// The program itself.
    pub native: Native,
    /// Its port.
    pub port: u16,
    /// Addresses of listeners that answer nobody: a connection to them stays under way.
    pub holes: Vec<String>,
}

impl PythonServer {
    /// Starts it, with a hole at each of these hosts.
    pub fn start(python: &Path, holes: &[&str]) -> Result<PythonServer> {
        let port = free_port()?;
        let port_word = port.to_string();
        let words = ["serve", &port_word]
            .into_iter()
            .chain(holes.iter().copied());
        let native = Native::python(python, "convenience.py", words)?;
        native.wait_for_line("listening", patience())?;
        let holes = told(&native.stdout.lines(), "hole");
        Ok(PythonServer {
            native,
            port,
            holes,
        })
    }

    /// Its address over IPv4.
    pub fn v4(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its address over IPv6.
    pub fn v6(&self) -> String {
        format!("[::1]:{}", self.port)
    }

    /// The first hole.
    pub fn hole(&self) -> Result<&str> {
        let hole = self.holes.first();
        hole.map(String::as_str).context("there is no hole")
    }

    /// Lets the connection that waits under this name go on.
    pub fn release(&self, name: &str) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(format!("release\n{name}\n").as_bytes())?;
        Ok(())
    }
}
