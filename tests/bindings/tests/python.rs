//! Python: the generated package imports, and a component made of ten lines runs under the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_bindings_test::wit;
use sockgate_tests::{GuestRun, Tool, folder, oracle, patience, root};

/// Runs a command; an error shows what it printed.
fn succeed(command: &mut Command) -> Result<String> {
    let answer = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let stdout = String::from_utf8_lossy(&answer.stdout).into_owned();
    ensure!(
        answer.status.success(),
        "{command:?} ended with {}:\n{stdout}{}",
        answer.status,
        String::from_utf8_lossy(&answer.stderr)
    );
    Ok(stdout)
}

#[test]
fn bindings_compile_and_import() -> Result<()> {
    let Some(componentize) = oracle(Tool::ComponentizePy, "bindings_compile_and_import") else {
        return Ok(());
    };
    let place = folder()?;
    let bindings = place.path().join("bindings");
    succeed(
        Command::new(&componentize)
            .arg("--wit-path")
            .arg(wit())
            .args(["--world", "guest", "bindings"])
            .arg(&bindings),
    )?;
    // Only what is made of our package: componentize-py's own runtime files beside it are written for the
    // Python that it brings along, which may be newer than this machine's.
    let python = componentize.with_file_name("python");
    succeed(
        Command::new(&python)
            .args(["-m", "compileall", "-q"])
            .arg(bindings.join("wit_world")),
    )?;
    let names = succeed(Command::new(&python).current_dir(&bindings).args([
        "-c",
        "from wit_world.imports import socket, errors, names, options, readiness, subscribe, files\n\
         print(socket.Socket.send_many.__name__, errors.Errno.ACCES.name)",
    ]))?;
    assert_eq!(names.trim(), "send_many ACCES");
    Ok(())
}

/// A component made of tests/bindings/python/app.py.
fn component(componentize: &Path, folder: &Path) -> Result<PathBuf> {
    let sources = root().join("tests/bindings/python");
    let component = folder.join("app.wasm");
    // Python writes its bytecode beside what it imports, so it gets a copy.
    let app = folder.join("app");
    fs::create_dir(&app)?;
    fs::copy(sources.join("app.py"), app.join("app.py"))?;
    succeed(
        Command::new(componentize)
            .arg("--wit-path")
            .arg(wit())
            .arg("--wit-path")
            .arg(sources.join("wit"))
            .args(["--world", "sockgate:bindings-test/app", "componentize"])
            .arg("--python-path")
            .arg(&app)
            .args(["app", "--output"])
            .arg(&component),
    )?;
    Ok(component)
}

#[test]
fn a_python_guest_runs_under_a_policy_and_without_one() -> Result<()> {
    let name = "a_python_guest_runs_under_a_policy_and_without_one";
    let Some(componentize) = oracle(Tool::ComponentizePy, name) else {
        return Ok(());
    };
    let place = folder()?;
    let component = component(&componentize, place.path())?;

    // It holds a whole Python, which the command compiles first.
    let compiling = patience() * 5;
    let granted = GuestRun::new(&component)
        .policy(root().join("examples/policies/socketpair.toml"))
        .finish(compiling)?
        .success()?;
    assert_eq!(granted.stdout, "received: through a pair");

    let refused = GuestRun::new(&component).finish(compiling)?.success()?;
    assert_eq!(refused.stdout, "refused: ACCES");
    refused.audit.denied("socketpair")?;
    Ok(())
}
