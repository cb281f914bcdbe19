//! Guests of several families behind the second wall (every guest of this file runs under `--harden`), on
//! kernels that have more of it and on those that have less.

use std::fs;

use anyhow::{Result, ensure};
use sockgate_tests::{
    GuestRun, Native, Need, Tool, folder, kernel, net_and_python, oracle, patience, policy_path,
    root, sha256, told,
};

#[test]
fn a_bus_hears_what_a_hardened_guest_sends() -> Result<()> {
    let name = "a_bus_hears_what_a_hardened_guest_sends";
    let Some(_kernel) = kernel::has(Need::CanRaw, name) else {
        return Ok(());
    };
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    net.vcan("vcan0")?;
    let frames = |words: &[&str]| {
        let script = root().join("tests/native/frames.py");
        Native::start(net.command(&python).arg(script).args(words))
    };
    let listener = frames(&["hear-can", "vcan0"])?;
    listener.wait_for_line("listening", patience())?;
    let send = |frame: &str| {
        GuestRun::new("cansend")
            .net(&net)
            .policy(policy_path("cansend"))
            .variable("interface", "vcan0")
            .argument("vcan0")
            .argument(frame)
            .finish(patience())
    };
    send("7E0#0102")?.success()?;
    // The twin.
    let refused = send("123#01")?;
    ensure!(!refused.status.success(), "{refused:?}");
    refused.audit.denied("send-to")?;
    frames(&["say-can", "vcan0", "7FF#"])?.finish(patience())?;
    let heard = told(&listener.finish(patience())?, "heard");
    ensure!(heard.iter().any(|frame| frame == "7E0#0102"), "{heard:?}");
    ensure!(
        !heard.iter().any(|frame| frame.starts_with("123")),
        "{heard:?}"
    );
    Ok(())
}

#[test]
fn a_machine_answers_a_hardened_guest_by_vsock() -> Result<()> {
    let name = "a_machine_answers_a_hardened_guest_by_vsock";
    let Some(_kernel) = kernel::has(Need::VsockStream, name) else {
        return Ok(());
    };
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = ["serve", "vsock", "stream", "4294967295:7071", "1"];
    let server = Native::python(&python, "families_misc.py", server)?;
    server.wait_for_line("listening", patience())?;
    let call = |port: u16| {
        GuestRun::new("family_misc_steps")
            .policy_text(
                "version = 1\n[[allow]]\nid = \"one\"\nfamily = [\"vsock\"]\ntype = [\"stream\"]\n\
                 ops = [\"connect\", \"ioctl\"]\nioctl = [\"vm-sockets.get-local-cid\"]\n\
                 cid = [\"local\"]\nport = [\"7071\"]\n",
            )
            .argument("s = socket vsock stream")
            .argument(format!("connect s vsock:1:{port}"))
            .argument("push s 1 1")
            .argument("pull s 1")
            .finish(patience())
    };
    let refused = call(7072)?;
    refused.audit.denied("connect")?;
    let ended = call(7071)?.success()?;
    ensure!(ended.step("pull s 1")?.starts_with("ok "), "{ended:?}");
    server.finish(patience())?;
    Ok(())
}

#[test]
fn the_kernel_computes_for_a_hardened_guest() -> Result<()> {
    let name = "the_kernel_computes_for_a_hardened_guest";
    let Some(_kernel) = kernel::has(Need::AlgHash, name) else {
        return Ok(());
    };
    let place = folder()?;
    fs::write(place.path().join("text"), "abc")?;
    let ended = GuestRun::new("kernel-crypto")
        .policy(policy_path("kernel-crypto"))
        .directory(place.path(), "/d")
        .argument("sum")
        .argument("/d/text")
        .finish(patience())?
        .success()?;
    let digest = sha256(b"abc");
    ensure!(ended.stdout.starts_with(&digest), "{}", ended.stdout);
    Ok(())
}
