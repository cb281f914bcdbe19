//! CAN XL: frames of up to 2048 bytes, where the kernel's virtual bus carries them.

use anyhow::{Result, ensure};
use sockgate_tests::{Frames, GuestRun, Need, Net, hex, kernel, patience};

/// struct canxl_frame, linux/can.h: priority, flags (CANXL_XLF), SDU type, length, acceptance field, data.
fn frame(length: u16) -> String {
    let mut bytes = 0x123u32.to_le_bytes().to_vec();
    bytes.extend([0x80, 3]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(0x1234_5678u32.to_le_bytes());
    bytes.extend((0..length).map(|place| place as u8));
    hex(&bytes)
}

#[test]
fn frames_go_through_whole_and_need_their_own_word() -> Result<()> {
    let name = "frames_go_through_whole_and_need_their_own_word";
    if kernel::has(Need::CanXl, name).is_none() {
        return Ok(());
    }
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    net.vcan_of("vcan0", Frames::Xl)?;
    let run = |keys: &str, length| {
        let policy = format!(
            "version = 1\n[[allow]]\nid = \"xl\"\nfamily = [\"can\"]\nprotocol = [\"raw\"]\n\
             ops = [\"bind\", \"send-to\", \"receive\"]\ninterface = [\"vcan0\"]\ncan-id = [\"0x123\"]\n\
             options = {{ set = [\"can-raw.xl-frames\"] }}\n{keys}\n"
        );
        let send = format!("send s {}", frame(length));
        let steps = [
            "s = can",
            "xl s 1",
            "bind s vcan0",
            "r = can",
            "xl r 1",
            "bind r vcan0",
            "timeout r 2000",
            &send,
            "recv r 2060",
        ];
        let run = GuestRun::new("family_can").net(&net).policy_text(&policy);
        let run = steps.iter().fold(run, |run, step| run.argument(*step));
        run.finish(patience())?.success()
    };
    for length in [1, 64, 2048] {
        let ended = run("xl = true", length)?;
        // The guest prints what it received behind an `x`.
        let received = format!("recv r 2060 -> x{}", frame(length));
        ensure!(ended.stdout.contains(&received), "{}", ended.stdout);
    }
    // The twin: the same grant without the word.
    let ended = run("fd = true", 64)?;
    let refused = format!("send s {} -> acces", frame(64));
    ensure!(ended.stdout.contains(&refused), "{}", ended.stdout);
    ended.audit.denied("send-to")?;
    Ok(())
}
