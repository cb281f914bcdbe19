//! A thousand clients at once against one guest server, in both waits.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{GuestRun, descriptors, free_port, patience};

const CLIENTS: usize = 1000;
/// Bytes of each client, more than the guest takes at once.
const BYTES: usize = 40_000;
/// What this process and the command need besides the clients.
const OTHERS: u64 = 100;

/// Lower-case text of this client alone.
fn text(client: usize) -> Vec<u8> {
    let letters =
        (0..BYTES).map(|at| b'a' + ((at * 7 + client * 13 + at / 26 * client) % 26) as u8);
    letters.collect()
}

fn a_thousand_clients(name: &str, wait: &str) -> Result<()> {
    if !descriptors(name, CLIENTS as u64 + OTHERS)? {
        return Ok(());
    }
    let address = format!("127.0.0.1:{}", free_port()?);
    let policy = format!(
        "version = 1\n[limits]\nsockets = {}\n[[allow]]\nid = \"clients\"\nfamily = [\"inet\"]\n\
         type = [\"stream\"]\nops = [\"listen\"]\nlocal = {{ cidr = [\"127.0.0.1\"], port = [\"{}\"] }}\n\
         peer = {{ class = [\"loopback\"] }}\n",
        CLIENTS + 10,
        address.rsplit(':').next().context("no port")?,
    );
    let guest = GuestRun::new("many-clients")
        .wait_kind(wait)
        .policy_text(&policy)
        .argument("--clients")
        .argument(CLIENTS.to_string())
        .argument(&address)
        .start()?;
    guest.wait_for_line("listening on ", patience())?;

    let start = Instant::now();
    let mut clients = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        let client = TcpStream::connect(&address).with_context(|| format!("client {number}"))?;
        client.set_read_timeout(Some(patience()))?;
        client.set_write_timeout(Some(patience()))?;
        clients.push(client);
    }
    // In two parts and rounds, so that every client has sent before the first is read, and all are open
    // until the last has its answer.
    let half = BYTES / 2;
    for part in [0..half, half..BYTES] {
        for (number, client) in clients.iter_mut().enumerate() {
            client.write_all(&text(number)[part.clone()])?;
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let mut answer = vec![0; part.len()];
            client
                .read_exact(&mut answer)
                .with_context(|| format!("client {number}"))?;
            let wanted = text(number)[part.clone()].to_ascii_uppercase();
            ensure!(answer == wanted, "client {number} got other bytes");
        }
    }
    for client in &clients {
        client.shutdown(Shutdown::Write)?;
    }
    for (number, client) in clients.iter_mut().enumerate() {
        ensure!(client.read(&mut [0])? == 0, "client {number} got too much");
    }
    println!(
        "{wait}: {CLIENTS} clients, {} bytes each way, {:.2?}",
        CLIENTS * BYTES,
        start.elapsed()
    );
    let ended = guest.wait(patience())?.success()?;
    let last = ended.stdout.lines().last().unwrap_or_default().to_owned();
    assert_eq!(
        last,
        format!("{CLIENTS} clients, at most {CLIENTS} at once")
    );
    ensure!(ended.stderr.is_empty(), "{}", ended.stderr);
    ensure!(ended.audit.of("accept").count() >= CLIENTS);
    Ok(())
}

#[test]
fn a_thousand_clients_in_park() -> Result<()> {
    a_thousand_clients("a_thousand_clients_in_park", "park")
}

#[test]
fn a_thousand_clients_in_ready() -> Result<()> {
    a_thousand_clients("a_thousand_clients_in_ready", "ready")
}

#[test]
fn the_policys_limit_holds_with_as_many_clients() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let guest = GuestRun::new("many-clients")
        .policy_text(&format!(
            "version = 1\n[limits]\nsockets = 5\n[[allow]]\nid = \"clients\"\nfamily = [\"inet\"]\n\
             type = [\"stream\"]\nops = [\"listen\"]\nlocal = {{ cidr = [\"127.0.0.1\"], port = [\"{}\"] }}\n",
            address.rsplit(':').next().context("no port")?
        ))
        .argument(&address)
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let clients: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(&address))
        .collect::<Result<_, _>>()?;
    // The listener and three or four clients are all that five sockets are good for (the poller may count).
    let line = guest
        .stderr
        .wait_for(patience(), |line| line.contains("no more for now"))?;
    ensure!(line.contains("EMFILE"), "{line}");
    ensure!(
        guest
            .audit()?
            .records()
            .iter()
            .any(|record| record.verdict() == "limit")
    );
    // Whoever waits is served when others leave.
    let mut clients = clients.into_iter();
    let mut last = clients.next_back().context("no client")?;
    last.set_read_timeout(Some(patience()))?;
    last.write_all(b"me too")?;
    drop(clients);
    let mut answer = [0; 6];
    last.read_exact(&mut answer)?;
    assert_eq!(&answer, b"ME TOO");
    Ok(())
}
