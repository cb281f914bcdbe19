//! What pieces of syntax are.

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{BinOp, Expr, Pat};

pub(super) fn parse(source: &str) -> Result<syn::File> {
    syn::parse_file(source).context("not Rust as syn knows it")
}

pub(super) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Whether a piece of the host has to do with permits: makes, keeps or asks for one, or refuses.
pub(super) fn rules(piece: &impl ToTokens) -> bool {
    const WORDS: [&str; 10] = [
        "Denial", "Permit", "begin", "decide", "denial", "gate", "holds", "permit", "retire",
        "verdict",
    ];
    const BEGINNINGS: [&str; 7] = [
        "check_", "forget_", "judge", "lacks_", "may_", "refuse", "withhold",
    ];
    fn any(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                WORDS.contains(&&*name) || BEGINNINGS.iter().any(|word| name.starts_with(word))
            }
            TokenTree::Group(group) => any(group.stream()),
            _ => false,
        })
    }
    any(piece.to_token_stream())
}

/// Whether a statement of the host is about permits as a whole, and not only in what it is given.
pub(super) fn rules_by_itself(stmt: &Expr) -> bool {
    match stmt {
        Expr::Try(_) => rules(stmt),
        Expr::MethodCall(call) => rules(&call.method),
        Expr::Call(call) => rules(&call.func),
        Expr::Assign(assign) => rules(&assign.left),
        _ => false,
    }
}

/// The last name of a function's path.
pub(super) fn called(function: &Expr) -> Option<String> {
    match function {
        Expr::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        _ => None,
    }
}

/// Whether it is `&&` (true) or `||` (false).
pub(super) fn logic(op: &BinOp) -> Option<bool> {
    match op {
        BinOp::And(_) => Some(true),
        BinOp::Or(_) => Some(false),
        _ => None,
    }
}

/// A comparison, and what it is when widened by one, where there is an order.
pub(super) fn opposite(op: &BinOp) -> Option<Option<&'static str>> {
    Some(match op {
        BinOp::Eq(_) | BinOp::Ne(_) => None,
        BinOp::Lt(_) => Some("<="),
        BinOp::Le(_) => Some("<"),
        BinOp::Gt(_) => Some(">="),
        BinOp::Ge(_) => Some(">"),
        _ => return None,
    })
}

/// Whether a condition is, or is a chain with, a `let`.
pub(super) fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// Whether a pattern takes everything.
pub(super) fn takes_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        Pat::Ident(ident) => {
            let name = ident.ident.to_string();
            ident.subpat.is_none() && name.starts_with(|first: char| first.is_ascii_lowercase())
        }
        Pat::Tuple(tuple) => tuple.elems.iter().all(takes_all),
        _ => false,
    }
}

pub(super) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .meta
                .to_token_stream()
                .to_string()
                .contains("test")
    })
}

/// What `matches!` is given.
pub(super) struct Matches {
    pub(super) expr: Expr,
    pub(super) guard: Option<Expr>,
}

impl Parse for Matches {
    fn parse(input: ParseStream<'_>) -> syn::Result<Matches> {
        let expr = input.parse()?;
        input.parse::<syn::Token![,]>()?;
        Pat::parse_multi_with_leading_vert(input)?;
        let guard = match input.peek(syn::Token![if]) {
            true => {
                input.parse::<syn::Token![if]>()?;
                Some(input.parse()?)
            }
            false => None,
        };
        let _ = input.parse::<Option<syn::Token![,]>>()?;
        Ok(Matches { expr, guard })
    }
}

/// `|=`, `+=` and their kin.
pub(super) fn changes_in_place(op: &BinOp) -> bool {
    op.to_token_stream().to_string().ends_with('=') && opposite(op).is_none()
}
