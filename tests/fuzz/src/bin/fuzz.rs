//! What libFuzzer drives: the target that the variable `SOCKGATE_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sockgate_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("SOCKGATE_FUZZ_TARGET").unwrap_or_default();
    match Target::named(&name) {
        Some(target) => target,
        None => {
            eprintln!("SOCKGATE_FUZZ_TARGET names no target");
            std::process::exit(2)
        }
    }
});

fuzz_target!(|data: &[u8]| TARGET.run(data));
