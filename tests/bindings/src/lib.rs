//! Bindings of the WIT package for languages that have no SDK here, made to prove that the package stays
//! usable from them. (The guest SDK proves it for Rust.)

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

/// The WIT package.
pub fn wit() -> PathBuf {
    sockgate_tests::root().join("wit")
}

/// Writes the C bindings of a world into a folder; answers the files' names.
pub fn generate_c(world: &str, folder: &Path) -> Result<Vec<String>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(wit())
        .with_context(|| format!("cannot read the WIT package at {}", wit().display()))?;
    let world = resolve
        .select_world(&[package], Some(world))
        .with_context(|| format!("the package has no world `{world}`"))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)
        .context("wit-bindgen-c makes no bindings of it")?;
    let mut names = Vec::new();
    for (name, contents) in files.iter() {
        fs::write(folder.join(name), contents)
            .with_context(|| format!("cannot write {name} into {}", folder.display()))?;
        names.push(name.to_owned());
    }
    Ok(names)
}
