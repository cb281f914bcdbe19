//! C: the generated header and source compile, and a program in plain C can use them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_bindings_test::generate_c;
use sockgate_tests::{folder, skip};

/// A C program that takes only the header: names and shapes that people write by hand.
const PROGRAM: &str = r#"
#include <string.h>
#include "guest.h"

bool fetch(sockgate_sockets_socket_own_socket_t *out, uint16_t port) {
    sockgate_sockets_types_family_t family = { .tag = SOCKGATE_SOCKETS_TYPES_FAMILY_INET };
    sockgate_sockets_types_socket_type_t type = { .tag = SOCKGATE_SOCKETS_TYPES_SOCKET_TYPE_STREAM };
    sockgate_sockets_types_protocol_t protocol = { .tag = SOCKGATE_SOCKETS_TYPES_PROTOCOL_TCP };
    sockgate_sockets_errors_errno_t error;
    if (!sockgate_sockets_socket_static_socket_create(&family, &type, &protocol, out, &error))
        return error == SOCKGATE_SOCKETS_ERRORS_ERRNO_ACCES;

    sockgate_sockets_socket_socket_address_t address;
    memset(&address, 0, sizeof address);
    address.tag = SOCKGATE_SOCKETS_ADDRESSES_SOCKET_ADDRESS_INET;
    address.val.inet.port = port;
    sockgate_sockets_socket_borrow_socket_t socket = sockgate_sockets_socket_borrow_socket(*out);
    return sockgate_sockets_socket_method_socket_connect(socket, &address, &error);
}
"#;

#[test]
fn header_source_and_a_program_compile() -> Result<()> {
    if Command::new("gcc").arg("--version").output().is_err() {
        skip("header_source_and_a_program_compile", "gcc is missing");
        return Ok(());
    }
    let place = folder()?;
    let names = generate_c("guest", place.path())?;
    ensure!(
        names.iter().any(|name| name == "guest.h"),
        "no guest.h in {names:?}"
    );
    fs::write(place.path().join("program.c"), PROGRAM)?;
    for source in ["guest.c", "program.c"] {
        check_c(place.path(), source)?;
    }
    Ok(())
}

/// gcc without code generation, warnings as errors.
///
/// What the generator writes for wasm names imports by attributes that gcc does not know, and packs
/// 32-bit pointers: both are right for the target and none of ours to mend.
fn check_c(folder: &Path, source: &str) -> Result<()> {
    let answer = Command::new("gcc")
        .current_dir(folder)
        .args([
            "-std=c11",
            "-fsyntax-only",
            "-Wall",
            "-Werror",
            "-Wno-attributes",
        ])
        .args(["-Wno-int-to-pointer-cast", "-Wno-pointer-to-int-cast"])
        .arg(source)
        .output()
        .context("cannot start gcc")?;
    let complaint = String::from_utf8_lossy(&answer.stderr);
    ensure!(
        answer.status.success(),
        "gcc refuses {source}:\n{complaint}"
    );
    Ok(())
}
