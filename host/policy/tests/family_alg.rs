//! Verdicts on the kernel's algorithms: who may use which, and what comes with it.

mod common;

use common::{data, fresh, gate, lines, option};
use sockgate_policy::{
    Address, AlgAddress, AncillaryKind, Family, Gate, Kind, Origin, Policy, SocketFacts, SocketType,
};

const ALG: Kind = Kind {
    family: Family::Alg,
    socket_type: SocketType::SeqPacket,
    protocol: 0,
};

fn algorithm(alg_type: &str, name: &str) -> Address {
    Address::Alg(AlgAddress {
        alg_type: alg_type.to_owned(),
        name: name.to_owned(),
        feature: 0,
        mask: 0,
    })
}

/// A socket bound to an algorithm.
fn bound(alg_type: &str, name: &str) -> SocketFacts {
    SocketFacts {
        local: Some(algorithm(alg_type, name)),
        ..fresh(ALG)
    }
}

/// What accept(2) makes of it.
fn operation(alg_type: &str, name: &str) -> SocketFacts {
    SocketFacts {
        origin: Origin::Accept,
        peer: Some(algorithm(alg_type, name)),
        ..bound(alg_type, name)
    }
}

const HASHES: &str = "[[allow]]\nid='hashes'\nfamily=['alg']\nops=['bind']\nalg-type=['hash']\n\
                      name=['sha256', 'hmac(sha*)']";

#[test]
fn an_algorithm_is_granted_by_type_and_name() {
    let gate = gate(HASHES);
    assert!(gate.create(ALG).is_ok());
    for granted in ["sha256", "hmac(sha256)", "hmac(sha512)"] {
        assert!(gate.bind(&fresh(ALG), &algorithm("hash", granted)).is_ok());
    }
    for (alg_type, name) in [
        ("hash", "sha1"),
        ("hash", "sha256-generic"),
        ("hash", "SHA256"),
        ("hash", "hmac(md5)"),
        ("hash", ""),
        ("skcipher", "sha256"),
        ("", "sha256"),
    ] {
        let asked = algorithm(alg_type, name);
        assert!(gate.bind(&fresh(ALG), &asked).is_err(), "{asked}");
    }
}

#[test]
fn what_stands_behind_a_nul_grants_nothing() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['alg']\nops=['bind']\nalg-type=['*hash']\nname=['*-generic']",
    );
    assert!(
        gate.bind(&fresh(ALG), &algorithm("hash", "md5-generic"))
            .is_ok()
    );
    for (alg_type, name) in [("hash", "md5\0-generic"), ("aead\0hash", "md5-generic")] {
        assert!(gate.bind(&fresh(ALG), &algorithm(alg_type, name)).is_err());
    }
}

#[test]
fn bind_carries_the_operation_its_key_and_its_parameters() {
    let gate = gate(HASHES);
    let parent = bound("hash", "hmac(sha256)");
    assert!(gate.accepting(&parent).is_ok());
    let own = algorithm("hash", "hmac(sha256)");
    let permit = gate.accept(&parent, &own).unwrap();
    for kind in 2..=4 {
        let parameter = AncillaryKind::Raw { level: 279, kind };
        assert!(permit.ancillary_out().contains(parameter));
        assert!(!permit.ancillary_in().contains(parameter));
    }
    assert!(gate.converse(&operation("hash", "hmac(sha256)")).is_ok());
    for listed in ["alg.set-key", "alg.set-aead-authsize"] {
        assert!(gate.set_option(&parent, option(listed), b"key").is_ok());
    }
    for unlisted in ["alg.set-key-by-key-serial", "alg.set-drbg-entropy"] {
        assert!(gate.set_option(&parent, option(unlisted), &[0; 4]).is_err());
    }
    // A key that was set stands in no later operation's way.
    let mut keyed = parent.clone();
    keyed.options.remember(option("alg.set-key"), b"key");
    assert!(gate.accept(&keyed, &own).is_ok() && gate.bind(&keyed, &own).is_ok());
}

#[test]
fn an_algorithm_that_is_not_granted_has_no_operation() {
    let gate = gate(HASHES);
    let other = bound("skcipher", "cbc(aes)");
    let own = algorithm("skcipher", "cbc(aes)");
    assert!(gate.accepting(&other).is_err());
    assert!(gate.accept(&other, &own).is_err());
    assert!(gate.converse(&operation("skcipher", "cbc(aes)")).is_err());
    assert!(gate.listen(&other).is_err() && gate.pair(ALG).is_err());
    assert!(gate.send_to(&fresh(ALG), &own, &data(&fresh(ALG))).is_err());
    assert!(gate.connect(&fresh(ALG), &own).is_err());
}

#[test]
fn deny_takes_an_algorithm_or_the_use_of_keys_away() {
    let all = "[[allow]]\nid='a'\nfamily=['alg']\nops=['bind']\nalg-type=['*']\nname=['*']\n";
    let weak = gate(&format!(
        "{all}[[deny]]\nid='weak'\nfamily=['alg']\nname=['*md5*', '*des*']"
    ));
    assert!(weak.bind(&fresh(ALG), &algorithm("hash", "sha256")).is_ok());
    for denied in ["md5", "hmac(md5)", "cbc(des3_ede)"] {
        assert!(weak.bind(&fresh(ALG), &algorithm("hash", denied)).is_err());
    }
    let keyless = gate(&format!(
        "{all}[[deny]]\nid='k'\nfamily=['alg']\noptions={{set=['alg.set-key']}}"
    ));
    let parent = bound("hash", "hmac(sha256)");
    assert!(
        keyless
            .set_option(&parent, option("alg.set-key"), b"key")
            .is_err()
    );
    assert!(keyless.accepting(&parent).is_ok());
}

#[test]
fn nothing_and_lines() {
    let none = Gate::new(Policy::deny_all());
    assert!(none.create(ALG).is_err());
    assert!(
        none.bind(&fresh(ALG), &algorithm("hash", "sha256"))
            .is_err()
    );
    assert!(none.accepting(&bound("hash", "sha256")).is_err());
    let line = lines(&["alg bind alg-type=rng name=stdrng"]);
    assert!(line.bind(&fresh(ALG), &algorithm("rng", "stdrng")).is_ok());
    assert!(
        line.bind(&fresh(ALG), &algorithm("rng", "jitterentropy_rng"))
            .is_err()
    );
}

#[test]
fn a_deny_rule_takes_an_operation_s_parameters_away() {
    let granted = "[[allow]]\nid = \"cipher\"\nfamily = [\"alg\"]\nops = [\"bind\"]\nalg-type = [\"skcipher\"]\n";
    let denied =
        "[[deny]]\nid = \"bare\"\nfamily = [\"alg\"]\nancillary = { send = [\"algorithm\"] }\n";
    let carries = |text: &str| {
        let permit = gate(text)
            .converse(&operation("skcipher", "cbc(aes)"))
            .unwrap();
        permit.ancillary_out().contains(AncillaryKind::Algorithm)
    };
    assert!(carries(granted));
    assert!(!carries(&format!("{granted}{denied}")));
}
