//! Ways to use up the host: guests that take without end, and kernels that have nothing left. The witness is the
//! command's process: its descriptors, its memory, and how it ended.

use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Attack, Ended, Guest, GuestRun, Tool, folder, oracle, patience, steps, tcp_echo,
};

const SECTION: &str = "Resources";

/// What a guest may make the host hold above its idle.
const MEMORY: u64 = 64 << 20;

/// A guest of `tests/guests/src/bin/attack_resources.rs` that takes so many of one thing.
fn taking(case: &str, count: usize, sockets: usize) -> Result<(Guest, String)> {
    let policy = format!(
        "version = 1\n[limits]\nsockets = {sockets}\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
         ops = [\"socketpair\", \"connect\", \"descriptor-send\", \"descriptor-receive\"]\n\
         abstract = [\"*\"]\nkinds = [\"socket\"]\n"
    );
    let guest = GuestRun::new("attack_resources")
        .policy_text(&policy)
        .without_audit()
        .argument(case)
        .argument(count.to_string())
        .start()?;
    let held = guest.wait_for_line("holds ", patience())?;
    Ok((guest, held))
}

/// How many descriptors and how much memory a guest of these holds above an idle one.
fn above_idle(case: &str, count: usize, sockets: usize) -> Result<(String, usize, u64)> {
    let (idle, _) = taking("handles", 0, sockets)?;
    let (guest, held) = taking(case, count, sockets)?;
    let descriptors = guest.descriptors()?.saturating_sub(idle.descriptors()?);
    let memory = guest.peak_memory()?.saturating_sub(idle.peak_memory()?);
    println!(
        "{case}: holds {held}; {descriptors} descriptors, {} KiB",
        memory >> 10
    );
    Ok((held, descriptors, memory))
}

/// The errno behind `N then ERRNO`.
fn errno(held: &str) -> Result<&str> {
    let (_, errno) = held.split_once(" then ").context("no outcome")?;
    Ok(errno)
}

#[test]
fn what_a_guest_holds_is_counted() -> Result<()> {
    const LIMIT: usize = 16;
    for (case, phrase) in [
        ("sockets", "sockets without end"),
        ("pollers", "descriptors without end"),
        ("descriptors", "descriptors without end"),
    ] {
        let (held, descriptors, _) = above_idle(case, 1000, LIMIT)?;
        let (_, wide, _) = above_idle(case, 4 * LIMIT, 1000)?;
        // What arrives beyond the limit is closed on arrival, and its message is there without it.
        let got = match case {
            "descriptors" => "the messages alone",
            _ => errno(&held)?,
        };
        Attack::new(format!("{case}-without-end"), SECTION, phrase)
            .tried(format!(
                "takes {case} until it gets no more, under a limit of {LIMIT}"
            ))
            .got(got)
            .checked("the host holds no more descriptors than the limit says")
            .saw(
                format!("/proc/PID/fd, more than {LIMIT} above idle"),
                descriptors > LIMIT,
                wide > LIMIT,
            )
            .state()?;
    }
    Ok(())
}

/// A little less than wasmtime lets one store hold.
const MOST_HANDLES: usize = 60_000;

#[test]
fn what_a_guest_takes_stays_within_its_memory() -> Result<()> {
    // The guest's own memory shows that the witness sees such amounts.
    let (_, _, seen) = above_idle("memory", 200, 256)?;
    for (case, phrase) in [
        ("pollables", "pollables without end"),
        ("bytes", "bytes without end"),
        ("datagrams", "bytes without end"),
        ("in-flight", "memory without end"),
    ] {
        let (held, _, memory) = above_idle(case, MOST_HANDLES, 256)?;
        Attack::new(format!("{case}-in-memory"), SECTION, phrase)
            .tried(format!("takes {case} until it gets no more"))
            .got(format!("as many as fit: {held}"))
            .checked("the host's memory stays within 64 MiB above idle")
            .saw("VmHWM of the host", memory > MEMORY, seen > MEMORY)
            .state()?;
    }
    Ok(())
}

/// Whether the command ended otherwise than by its guest's own will.
fn fell(ended: &Ended) -> bool {
    !ended.status.success() || ended.stderr.contains("panicked")
}

/// What a command that does not survive looks like.
fn fallen() -> Result<bool> {
    Ok(fell(&steps(["panic"]).finish(patience())?))
}

/// The guest talks to an echo over a connection; the kernel fails one call of the host's on the way.
#[test]
fn a_kernel_out_of_everything_is_an_error_of_one_call() -> Result<()> {
    let name = "a_kernel_out_of_everything_is_an_error_of_one_call";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let echo = tcp_echo("127.0.0.1:0")?;
    let port = echo.port();
    let control = fallen()?;
    let connect = format!("connect s 127.0.0.1:{port}");
    let again = format!("connect t 127.0.0.1:{port}");
    let script = [
        "s = socket inet stream",
        "s = socket inet stream",
        connect.as_str(),
        "send s one",
        "send s one",
        "recv s 8",
        "p = pair stream",
        "p = pair stream",
        "d = dup p",
        "d = dup p",
        // Whatever came of those, the host goes on.
        "t = socket inet stream",
        again.as_str(),
        "send t known",
        "recv t 16",
    ];
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"echo\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"connect\"]\n\
         cidr = [\"127.0.0.1\"]\nport = [\"{port}\"]\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
         type = [\"stream\"]\nops = [\"socketpair\"]\n"
    );
    let run = || steps(script).policy_text(&policy).strace(&strace);
    // How many calls of each kind the host makes for itself before the guest begins.
    let quiet = run().finish(patience())?.success()?;
    let earlier = |calls: &str| -> Result<usize> {
        let log = quiet.syscalls()?;
        let of_guest = log.of_guest()?;
        let of_guest = of_guest.iter().filter(|call| call.name == calls);
        Ok(log.of(calls).count() - of_guest.count())
    };
    for errno in ["ENOBUFS", "EMFILE", "ENFILE", "ENOMEM"] {
        for calls in ["socket", "socketpair", "sendto", "connect"] {
            let first = earlier(calls)? + 1;
            let ended = run()
                .inject(&format!("{calls}:error={errno}:when={first}"))
                .finish(patience())?;
            let log = ended.syscalls()?;
            let injected = log
                .of(calls)
                .filter(|call| call.line.contains("(INJECTED)"));
            assert_eq!(injected.count(), 1, "{calls} {errno}");
            assert_eq!(ended.step("recv t 16")?, "\"known\"", "{}", ended.stdout);
            let got = errno.trim_start_matches('E').to_lowercase();
            let told = format!(" -> {got}");
            let told = ended.stdout.lines().filter(|line| line.ends_with(&told));
            assert_eq!(told.count(), 1, "{}", ended.stdout);
            Attack::new(
                format!("{got}-in-{calls}"),
                SECTION,
                &format!("{errno} injected"),
            )
            .tried(format!("goes on where {calls}(2) fails with {errno}"))
            .got(got)
            .saw("the command's end", fell(&ended), control)
            .state()?;
        }
    }
    Ok(())
}

/// Every second wait is interrupted, as by a signal. What does not wait no signal interrupts.
#[test]
fn interruptions_are_tried_again() -> Result<()> {
    let name = "interruptions_are_tried_again";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let echo = tcp_echo("127.0.0.1:0")?;
    let connect = format!("connect s 127.0.0.1:{}", echo.port());
    let words: Vec<String> = (0..20)
        .map(|number| format!("send s word{number}"))
        .collect();
    let rooms: Vec<String> = (0..20)
        .map(|number| format!("recv s {}", 6 + number))
        .collect();
    let mut script = vec!["s = socket inet stream", &connect];
    for (send, recv) in words.iter().zip(&rooms) {
        script.extend([send.as_str(), recv]);
    }
    for wait in ["park", "ready"] {
        let ended = steps(&script)
            .allow(&format!("tcp connect 127.0.0.1:{}", echo.port()))
            .wait_kind(wait)
            .strace(&strace)
            .inject("ppoll,poll,epoll_wait,epoll_pwait:error=EINTR:when=1+2")
            .finish(patience())?;
        let log = ended.syscalls()?;
        let injected = log
            .sockets()
            .filter(|call| call.line.contains("(INJECTED)"))
            .count();
        ensure!(injected > 0, "{wait}: no call was interrupted");
        for (number, recv) in rooms.iter().enumerate() {
            assert_eq!(ended.step(recv)?, format!("\"word{number}\""), "{wait}");
        }
        Attack::new(format!("eintr-storm-{wait}"), SECTION, "EINTR storms")
            .tried(format!(
                "talks while every second wait is interrupted ({wait})"
            ))
            .got("every word")
            .checked(format!(
                "{injected} waits were interrupted, and a native echo lost no word"
            ))
            .saw("the command's end", fell(&ended), fallen()?)
            .state()?;
    }
    Ok(())
}

/// A peer that reads nothing, and one that resets the connection, while the guest sends and receives.
#[test]
fn peers_that_hang_or_reset_hold_nothing_up() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let rule = format!("tcp connect 127.0.0.1:{port}");
    let connect = format!("connect s 127.0.0.1:{port}");
    let (_, _, seen) = above_idle("memory", 200, 256)?;
    let place = folder()?;

    // Slow: it takes a few bytes, and then none.
    let begin = ["s = socket inet stream", &connect, "timeout s 100"];
    let more = [
        "fill s",
        "send s more",
        "fill s",
        "send s more",
        "until /steps/measured",
        "say done",
    ];
    let idle = steps(begin.iter().chain(&["until /steps/measured", "say done"]))
        .allow(&rule)
        .directory(place.path(), "/steps")
        .start()?;
    let _silent = listener.accept()?;
    idle.wait_for_line("timeout s 100", patience())?;
    let guest = steps(begin.iter().chain(&more))
        .allow(&rule)
        .directory(place.path(), "/steps")
        .start()?;
    let (mut slow, _) = listener.accept()?;
    slow.read_exact(&mut [0; 16])?;
    guest.wait_for_line("send s more", patience())?;
    let deadline = Instant::now() + patience();
    while guest.stdout.text().matches("send s more ->").count() < 2 {
        ensure!(Instant::now() < deadline, "{}", guest.stdout.text());
        std::thread::sleep(Duration::from_millis(10));
    }
    let memory = guest.peak_memory()?.saturating_sub(idle.peak_memory()?);
    std::fs::write(place.path().join("measured"), "")?;
    let ended = guest.wait(patience())?.success()?;
    Attack::new("slow-reader", SECTION, "a slow reader")
        .tried("sends to a peer that reads nothing until it may not send more")
        .got(format!("what fits: {}", ended.step("fill s")?))
        .checked("it is told to try again or that its time is over, and the host's memory stays")
        .saw(
            "VmHWM of the host, 64 MiB above idle",
            memory > MEMORY,
            seen > MEMORY,
        )
        .state()?;

    // Reset: in the middle of a receive, of sends, and before anything.
    for (id, step) in [
        ("rst-in-recv", "recv s 16"),
        ("rst-in-send", "send s more"),
        ("rst-before", "peer s"),
    ] {
        let guest = steps([
            begin[0],
            &connect,
            "say connected",
            "until /steps/reset",
            "send s one",
            step,
            "send s two",
        ])
        .allow(&rule)
        .directory(place.path(), "/steps")
        .start()?;
        let (peer, _) = listener.accept()?;
        guest.wait_for_line("say connected", patience())?;
        let peer = socket2::SockRef::from(&peer.as_fd())
            .set_linger(Some(Duration::ZERO))
            .map(|()| peer)?;
        drop(peer);
        std::fs::write(place.path().join("reset"), "")?;
        let ended = guest.wait(patience())?;
        std::fs::remove_file(place.path().join("reset"))?;
        Attack::new(id, SECTION, "RST in the middle")
            .tried("goes on with a connection that its peer has reset")
            .got(ended.step("send s one")?)
            .saw("the command's end", fell(&ended), fallen()?)
            .state()?;
    }
    Ok(())
}

/// The processor time that a process has used, in clock ticks: proc_pid_stat(5).
fn ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

/// Ticks within half a second.
fn busy(pid: u32) -> Result<u64> {
    let before = ticks(pid)?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(ticks(pid)? - before)
}

#[test]
fn the_shortest_and_the_longest_time_out_hold() -> Result<()> {
    let wait = |nanoseconds: u64, count: usize| {
        GuestRun::new("embed_blocked")
            .allow("unix-stream socketpair")
            .argument("recv")
            .argument(count.to_string())
            .argument("none")
            .argument(nanoseconds.to_string())
    };
    let spinning = steps(["spin"]).start()?;
    spinning.wait_for_line("@guest", patience())?;
    let seen = busy(spinning.pid())?;
    ensure!(seen > 0, "a guest that spins takes no time");

    for (id, phrase, nanoseconds) in [
        ("timeout-none", "timeout 0", 0),
        ("timeout-1-ns", "timeout 1 ns", 1),
    ] {
        let ended = wait(nanoseconds, 1000).finish(patience())?;
        ensure!(ended.stdout.ends_with("done"), "{ended:?}");
        ensure!(
            ended
                .stdout
                .lines()
                .filter(|line| line.starts_with("ETIMEDOUT"))
                .count()
                == 1000
                || ended
                    .stdout
                    .lines()
                    .filter(|line| line.starts_with("EAGAIN"))
                    .count()
                    == 1000,
            "{}",
            ended.stdout
        );
        Attack::new(id, SECTION, phrase)
            .tried("receives a thousand times with that time-out, where nothing comes")
            .got("a thousand answers")
            .checked("the guest ended by itself")
            .saw("the command's end", fell(&ended), fallen()?)
            .state()?;
    }
    let longest = wait(u64::MAX, 1).start()?;
    longest.wait_for_line("ready", patience())?;
    let used = busy(longest.pid())?;
    let went_on = longest.stdout.text().lines().count() > 1;
    Attack::new("timeout-longest", SECTION, "timeout 2^64-1")
        .tried("waits for 2^64-1 ns")
        .got("no answer")
        .checked("it sleeps, and takes no processor time")
        .saw(
            "ticks of the process, many within half a second",
            used > 10 || went_on,
            seen > 10,
        )
        .state()
}
