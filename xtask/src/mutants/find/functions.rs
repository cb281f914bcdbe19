//! What functions answer: which say yes or no, which refuse, and where a refusal can be let pass.

use std::collections::BTreeSet;

use anyhow::Result;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, ReturnType, Signature};

use super::syntax::{parse, squeezed};

/// What the rules need to know of all files together.
#[derive(Debug, Default)]
pub struct Names {
    /// Functions that answer `bool`, and those that answer something else.
    bools: BTreeSet<String>,
    others: BTreeSet<String>,
    /// Functions that answer with a refusal where the policy denies.
    pub(super) refusing: BTreeSet<String>,
}

impl Names {
    /// Learns the functions of a file.
    pub fn learn(&mut self, source: &str) -> Result<()> {
        self.visit_file(&parse(source)?);
        Ok(())
    }

    pub(super) fn is_bool(&self, name: &str) -> bool {
        const KNOWN: [&str; 9] = [
            "all",
            "any",
            "contains",
            "contains_key",
            "ends_with",
            "eq_ignore_ascii_case",
            "intersects",
            "starts_with",
            "matches",
        ];
        let known = KNOWN.contains(&name) || name.starts_with("is_") || self.bools.contains(name);
        known && !self.others.contains(name)
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        let name = signature.ident.to_string();
        let answer = answer(signature);
        if answer == "bool" {
            self.bools.insert(name);
            return;
        }
        if answer.ends_with(",Denial>") || answer.ends_with(",Reason>") {
            self.refusing.insert(name.clone());
        }
        self.others.insert(name);
    }
}

/// The type that a function answers, without white space.
pub(super) fn answer(signature: &Signature) -> String {
    match &signature.output {
        ReturnType::Default => "()".to_owned(),
        ReturnType::Type(_, answer) => squeezed(&answer.to_token_stream().to_string()),
    }
}

/// Where a refusal can be let pass: a function that judges, and what it answers instead.
pub struct Passage {
    /// Behind the brace that opens its body.
    pub at: usize,
    pub answer: &'static str,
}

/// The functions of a file that answer with a grant or a verdict.
pub fn passages(source: &str) -> Result<Vec<Passage>> {
    struct Passages(Vec<Passage>);
    impl<'ast> Visit<'ast> for Passages {
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            self.function(&function.sig, &function.block);
        }
        fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
            self.function(&function.sig, &function.block);
        }
    }
    impl Passages {
        fn function(&mut self, signature: &Signature, body: &Block) {
            let answer = match &*answer(signature) {
                "Result<Grant,Reason>" => "Ok(crate::judge::Grant::without_rule(\"(mutant)\"))",
                "Result<Verdict,Denial>" if signature.receiver().is_some() => {
                    "Ok(Verdict { grant: crate::judge::Grant::without_rule(\"(mutant)\"), \
                     generation: self.generation(), meters: None, unguarded: None })"
                }
                _ => return,
            };
            let at = body.span().byte_range().start + 1;
            self.0.push(Passage { at, answer });
        }
    }
    let mut passages = Passages(Vec::new());
    passages.visit_file(&parse(source)?);
    Ok(passages.0)
}
