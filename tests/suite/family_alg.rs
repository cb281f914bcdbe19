//! The kernel's algorithms (AF_ALG) through a guest: openssl agrees with every result, and nothing is computed
//! that the policy does not name.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Need, Tool, folder, kernel, oracle, patience, policy_path, steps, told,
};

/// Grants one algorithm.
fn only(alg_type: &str, name: &str) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"one\"\nfamily = [\"alg\"]\nops = [\"bind\"]\n\
         alg-type = [\"{alg_type}\"]\nname = [\"{name}\"]\n"
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in which no stretch repeats soon.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * at / 7 + at) as u8).collect()
}

/// What the guest prints for this computation, by its policy's rule for just that.
fn computed(alg_type: &str, words: &[&str], data: &[u8]) -> Result<Ended> {
    let run = GuestRun::new("family_alg").policy_text(&only(alg_type, words[1]));
    words
        .iter()
        .fold(run, |run, word| run.argument(*word))
        .input(data)
        .finish(patience())?
        .success()
}

/// What openssl(1) answers to this on its stdin.
fn openssl(openssl: &Path, words: &[&str], data: &[u8]) -> Result<Vec<u8>> {
    let place = folder()?;
    let (input, output) = (place.path().join("in"), place.path().join("out"));
    fs::write(&input, data)?;
    let status = Command::new(openssl)
        .args(words)
        .arg("-in")
        .arg(&input)
        .arg("-out")
        .arg(&output)
        .status()?;
    ensure!(status.success(), "openssl {words:?} ended with {status}");
    Ok(fs::read(output)?)
}

const SIZES: [usize; 7] = [0, 1, 63, 64, 65, 4096, 100_000];

fn sizes() -> String {
    SIZES.map(|size| size.to_string()).join(",")
}

#[test]
fn openssl_agrees_with_every_hash() -> Result<()> {
    let name = "openssl_agrees_with_every_hash";
    let (Some(_), Some(tool)) = (
        kernel::has(Need::AlgHash, name),
        oracle(Tool::Openssl, name),
    ) else {
        return Ok(());
    };
    let data = text(SIZES[6]);
    let key = "00112233445566778899aabbccddeeff";
    for hash in ["sha1", "sha256", "sha512"] {
        let (digest, mac) = (format!("-{hash}"), format!("hexkey:{key}"));
        let hmac = format!("hmac({hash})");
        let plain = computed("hash", &["hash", hash, &sizes()], &data)?;
        let keyed = computed("hash", &["hmac", &hmac, key, &sizes()], &data)?;
        let (mut plain, mut keyed) = (plain.stdout.lines(), keyed.stdout.lines());
        for size in SIZES {
            let data = &data[..size];
            let wanted = openssl_digest(&tool, &[&digest], data)?;
            assert_eq!(plain.next(), Some(wanted.as_str()), "{hash} of {size}");
            let wanted = openssl_digest(&tool, &[&digest, "-mac", "HMAC", "-macopt", &mac], data)?;
            assert_eq!(keyed.next(), Some(wanted.as_str()), "{hmac} of {size}");
        }
    }
    Ok(())
}

/// `openssl dgst`, which takes the file last.
fn openssl_digest(tool: &Path, words: &[&str], data: &[u8]) -> Result<String> {
    let place = folder()?;
    let input = place.path().join("in");
    fs::write(&input, data)?;
    let answer = Command::new(tool)
        .arg("dgst")
        .args(words)
        .arg("-r")
        .arg(&input)
        .output()?;
    let shown = String::from_utf8(answer.stdout)?;
    let digest = shown.split_whitespace().next();
    Ok(digest.context("openssl printed no digest")?.to_owned())
}

#[test]
fn openssl_agrees_with_every_cipher_both_ways() -> Result<()> {
    let name = "openssl_agrees_with_every_cipher_both_ways";
    let (Some(_), Some(tool)) = (
        kernel::has(Need::AlgSkcipher, name),
        oracle(Tool::Openssl, name),
    ) else {
        return Ok(());
    };
    let iv = "0f0e0d0c0b0a09080706050403020100";
    for (cipher, option, key) in [
        (
            "cbc(aes)",
            "-aes-128-cbc",
            "2b7e151628aed2a6abf7158809cf4f3c",
        ),
        (
            "ctr(aes)",
            "-aes-256-ctr",
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        ),
        (
            "ecb(aes)",
            "-aes-128-ecb",
            "2b7e151628aed2a6abf7158809cf4f3c",
        ),
    ] {
        // More than the guest's library gives the kernel at once.
        let plain = text(40_000);
        let words = ["enc", option, "-nopad", "-K", key, "-iv", iv];
        // ecb has no vector, and openssl wants none.
        let ecb = cipher.starts_with("ecb");
        let words = if ecb { &words[..5] } else { &words[..] };
        let vector = if ecb { "-" } else { iv };
        let secret = openssl(&tool, words, &plain)?;
        let ended = computed("skcipher", &["encrypt", cipher, key, vector], &plain)?;
        ensure!(ended.stdout == hex(&secret), "{cipher} encrypts otherwise");
        let ended = computed("skcipher", &["decrypt", cipher, key, vector], &secret)?;
        ensure!(ended.stdout == hex(&plain), "{cipher} decrypts otherwise");
    }
    Ok(())
}

/// openssl's command does no AEAD: a script computes GCM from openssl's AES of single blocks.
#[test]
fn openssl_agrees_with_authenticated_encryption() -> Result<()> {
    let name = "openssl_agrees_with_authenticated_encryption";
    let (Some(_), Some(_), Some(python)) = (
        kernel::has(Need::AlgAead, name),
        oracle(Tool::Openssl, name),
        oracle(Tool::Python, name),
    ) else {
        return Ok(());
    };
    let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    let nonce = "cafebabefacedbaddecaf888";
    for (length, associated) in [
        (0, "-"),
        (1, "aabb"),
        (16, "-"),
        (5000, "feedfacedeadbeef00"),
    ] {
        let plain = text(length);
        let words = ["seal", "gcm(aes)", key, "10", nonce, associated];
        let sealed = computed("aead", &words, &plain)?.stdout;
        assert_eq!(sealed.len(), 2 * (length + 16));
        let aad = associated.trim_start_matches('-');
        let native = Native::python(
            &python,
            "families_misc.py",
            ["gcm-open", key, nonce, aad, &sealed],
        )?;
        let text = if plain.is_empty() {
            "-".to_owned()
        } else {
            hex(&plain)
        };
        assert_eq!(told(&native.finish(patience())?, "plain"), [text]);

        let bytes = from_hex(&sealed)?;
        let words = ["open", "gcm(aes)", key, "10", nonce, associated];
        assert_eq!(computed("aead", &words, &bytes)?.stdout, hex(&plain));
        // One bit of anything, and nothing comes out.
        let mut broken = bytes.clone();
        broken[length] ^= 1;
        let other = ["open", "gcm(aes)", key, "10", nonce, "ab"];
        for (words, data) in [(words, &broken), (other, &bytes)] {
            let run = GuestRun::new("family_alg").policy_text(&only("aead", "gcm(aes)"));
            let run = words.iter().fold(run, |run, word| run.argument(*word));
            let ended = run.input(data).finish(patience())?;
            ensure!(!ended.status.success(), "a broken message was opened");
            ensure!(ended.stderr.contains("EBADMSG"), "{}", ended.stderr);
        }
    }
    Ok(())
}

fn from_hex(digits: &str) -> Result<Vec<u8>> {
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| Ok(u8::from_str_radix(&digits[at..at + 2], 16)?))
        .collect()
}

#[test]
fn random_bytes_come_and_differ() -> Result<()> {
    let name = "random_bytes_come_and_differ";
    let Some(_kernel) = kernel::has(Need::AlgRng, name) else {
        return Ok(());
    };
    // 300 bytes take three calls: the kernel gives 128 at once.
    let words = [
        "rng",
        "stdrng",
        "300",
        "00112233445566778899aabbccddeeff0011",
    ];
    let one = computed("rng", &words, b"")?.stdout;
    let other = computed("rng", &words, b"")?.stdout;
    assert_eq!((one.len(), other.len()), (600, 600));
    assert_ne!(one, other);
    let bytes = from_hex(&one)?;
    let mut seen = [false; 256];
    bytes
        .iter()
        .for_each(|byte| seen[usize::from(*byte)] = true);
    let kinds = seen.iter().filter(|seen| **seen).count();
    ensure!(kinds > 100, "300 random bytes of only {kinds} kinds");
    ensure!(bytes[..128] != bytes[128..256]);
    Ok(())
}

#[test]
fn the_example_seals_files_as_openssl_opens_them() -> Result<()> {
    let name = "the_example_seals_files_as_openssl_opens_them";
    if kernel::has(Need::AlgAead, name).is_none() || kernel::has(Need::AlgHash, name).is_none() {
        return Ok(());
    }
    let (Some(python), Some(tool)) = (oracle(Tool::Python, name), oracle(Tool::Openssl, name))
    else {
        return Ok(());
    };
    let place = folder()?;
    let at = |name: &str| place.path().join(name);
    // Just two pieces, two and a bit, none.
    let files = [("even", 65_536), ("odd", 70_001), ("empty", 0)];
    for (file, length) in files {
        fs::write(at(file), text(length))?;
    }
    fs::write(at("key"), text(32))?;
    let run = |words: &[&str]| {
        let run = GuestRun::new("kernel-crypto")
            .policy(policy_path("kernel-crypto"))
            .directory(place.path(), "/d");
        words.iter().fold(run, |run, word| run.argument(*word))
    };
    let ended = run(&["sum", "/d/even", "/d/odd", "/d/empty"])
        .finish(patience())?
        .success()?;
    let mut wanted = Vec::new();
    for (file, length) in files {
        let digest = openssl_digest(&tool, &["-sha256"], &text(length))?;
        wanted.push(format!("{digest}  /d/{file}"));
    }
    assert_eq!(ended.stdout, wanted.join("\n"));

    for (file, length) in files {
        let (plain, sealed) = (format!("/d/{file}"), format!("/d/{file}.sealed"));
        run(&["seal", "/d/key", &plain, &sealed])
            .finish(patience())?
            .success()?;
        let opened = at("opened");
        let words = [
            OsString::from("gcm-open-file"),
            at("key").into_os_string(),
            at(&format!("{file}.sealed")).into_os_string(),
            opened.clone().into_os_string(),
        ];
        Native::python(&python, "families_misc.py", words)?.finish(patience())?;
        ensure!(fs::read(&opened)? == text(length), "{file} opens otherwise");

        // And the other way: what the script seals, the guest opens.
        let other = at("other");
        let words = [
            OsString::from("gcm-seal-file"),
            at("key").into_os_string(),
            "0102030405060708".into(),
            at(file).into_os_string(),
            other.into_os_string(),
        ];
        Native::python(&python, "families_misc.py", words)?.finish(patience())?;
        run(&["open", "/d/key", "/d/other", "/d/again"])
            .finish(patience())?
            .success()?;
        ensure!(
            fs::read(at("again"))? == text(length),
            "{file} comes back otherwise"
        );
    }
    // A file whose last piece was cut off is none.
    let sealed = fs::read(at("odd.sealed"))?;
    fs::write(at("cut"), &sealed[..8 + 32_768 + 16])?;
    let ended = run(&["open", "/d/key", "/d/cut", "/d/again"]).finish(patience())?;
    ensure!(
        !ended.status.success() && ended.stderr.contains("EBADMSG"),
        "{ended:?}"
    );

    // The twin: without the rule for ciphers, checksums alone.
    let policy = fs::read_to_string(policy_path("kernel-crypto"))?;
    let policy = policy.replace("\"gcm(aes)\"", "\"ccm(aes)\"");
    let ended = GuestRun::new("kernel-crypto")
        .policy_text(&policy)
        .directory(place.path(), "/d")
        .argument("seal")
        .argument("/d/key")
        .argument("/d/odd")
        .argument("/d/none")
        .finish(patience())?;
    ensure!(!ended.status.success(), "{ended:?}");
    let denied = ended.audit.denied("bind")?;
    assert_eq!(
        (denied.address(), denied.errno()),
        ("aead gcm(aes)", "acces")
    );
    ensure!(
        !at("none").exists(),
        "it made the file before it had the cipher"
    );
    Ok(())
}

#[test]
fn nothing_is_computed_without_a_grant() -> Result<()> {
    let name = "nothing_is_computed_without_a_grant";
    let (Some(_), Some(strace)) = (kernel::has(Need::AlgHash, name), oracle(Tool::Strace, name))
    else {
        return Ok(());
    };
    let guest = |steps: &[&str]| {
        steps
            .iter()
            .fold(GuestRun::new("family_misc_steps"), |run, step| {
                run.argument(*step)
            })
            .strace(&strace)
    };
    let ended = guest(&["s = socket alg seqpacket"]).finish(patience())?;
    assert_eq!(ended.step("s = socket alg seqpacket")?, "acces");
    ended.audit.denied("socket")?;
    ensure!(ended.made("socket")?.is_empty());

    // With one: what it names, and neither another name of it nor what stands behind a NUL.
    let tried = [
        "bind s alg:hash:sha1",
        "bind s alg:hash:sha256-generic",
        "bind s alg:hash:sha1%00sha256",
        "bind s alg:skcipher:sha256",
        "bind s alg:hash:hmac(sha256)",
    ];
    let start = ["s = socket alg seqpacket", "early = accept s"];
    let end = [
        "bind s alg:hash:sha256",
        "o = accept s",
        "send o abc",
        "bind s alg:hash:md5",
        "recv-hex o 64",
        "p = accept o",
        "listen s",
        "connect s alg:hash:sha256",
    ];
    let all: Vec<&str> = start.iter().chain(&tried).chain(&end).copied().collect();
    let ended = guest(&all)
        .policy_text(&only("hash", "sha256"))
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("early = accept s")?, "acces");
    for step in tried {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    assert_eq!(ended.step("bind s alg:hash:sha256")?, "ok");
    assert_eq!(ended.step("bind s alg:hash:md5")?, "acces");
    // FIPS 180-2, B.1
    assert_eq!(
        ended.step("recv-hex o 64")?,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(ended.step("connect s alg:hash:sha256")?, "acces");
    // Accepting comes with `bind`, and what stands before it on other sockets is nothing here.
    assert_eq!(ended.step("listen s")?, "opnotsupp");
    let bound = ended.made("bind")?;
    ensure!(bound.len() == 1 && bound[0].contains("sha256"), "{bound:?}");
    assert_eq!(ended.made("accept4")?.len(), 2);
    ensure!(ended.made("connect")?.is_empty());
    let denied = ended.audit.of("bind").filter(|record| record.is_denied());
    assert_eq!(denied.count(), tried.len() + 1);
    Ok(())
}

/// A key goes with the algorithm that it is set on, and none comes out of the host's keyrings.
#[test]
fn a_key_is_set_on_the_granted_algorithm_alone() -> Result<()> {
    let name = "a_key_is_set_on_the_granted_algorithm_alone";
    let (Some(_), Some(strace)) = (kernel::has(Need::AlgHash, name), oracle(Tool::Strace, name))
    else {
        return Ok(());
    };
    let words = [
        "s = socket alg seqpacket",
        "bind s alg:skcipher:cbc(aes)",
        "set s 279 1 x00112233445566778899aabbccddeeff",
        "o = accept s",
        "bind s alg:hash:hmac(sha256)",
        "set s 279 7 x01000000",
        "set s 279 1 x6b6579",
        "k = accept s",
        "send k data",
        "recv-hex k 64",
    ];
    let ended = words
        .iter()
        .fold(GuestRun::new("family_misc_steps"), |run, step| {
            run.argument(*step)
        })
        .policy_text(&only("hash", "hmac(sha256)"))
        .strace(&strace)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("bind s alg:skcipher:cbc(aes)")?, "acces");
    // The kernel itself knows no key of a socket that is bound to nothing.
    assert_eq!(ended.step(words[2])?, "noprotoopt");
    assert_eq!(ended.step("o = accept s")?, "acces");
    assert_eq!(ended.step("set s 279 7 x01000000")?, "acces");
    assert_eq!(ended.step("set s 279 1 x6b6579")?, "ok");
    // HMAC-SHA256 of `data` under `key`.
    assert_eq!(
        ended.step("recv-hex k 64")?,
        "5031fe3d989c6d1537a013fa6e739da23463fdaec3b70137d828e36ace221bd0"
    );
    let set = ended.made("setsockopt")?;
    assert_eq!(set.len(), 2, "{set:?}");
    Ok(())
}

/// What an algorithm's socket is bound to cannot be asked of it, so that none comes in from outside.
#[test]
fn an_arriving_algorithm_is_closed() -> Result<()> {
    let name = "an_arriving_algorithm_is_closed";
    let (Some(_), Some(python)) = (kernel::has(Need::AlgHash, name), oracle(Tool::Python, name))
    else {
        return Ok(());
    };
    for what in ["alg", "alg-operation"] {
        let place = folder()?;
        let path = place.path().join("hand-over");
        let policy = format!(
            "{}[[allow]]\nid = \"in\"\nfamily = [\"unix\"]\nops = [\"listen\", \"descriptor-receive\"]\n\
             kinds = [\"socket\"]\npeer = \"*\"\nlocal = {{ root = \"{}\", path = [\"hand-over\"] }}\n",
            only("*", "*"),
            place.path().display()
        );
        let bind = format!("bind s path:{}", path.display());
        let guest = steps([
            "s = socket unix stream",
            bind.as_str(),
            "listen s",
            "c = accept s",
            "recv-msg c 100 2048",
            "send c !",
        ])
        .policy_text(&policy)
        .start()?;
        guest.wait_for_line("listen s -> ok", patience())?;
        let path = path.display().to_string();
        let words = ["hand-over", &path, what, "hash:sha256"];
        let native = Native::python(&python, "families_misc.py", words)?;
        native.finish(patience())?;
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(ended.step("recv-msg c 100 2048")?, "\"socket\"", "{what}");
        let denied = ended.audit.denied("descriptor-receive")?;
        if !denied
            .reason()
            .contains("does not tell what it is bound to")
        {
            bail!("{denied:?}");
        }
    }
    Ok(())
}
