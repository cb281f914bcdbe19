//! Where a source file can be mutated, and into what: by rules over its syntax, never by choice.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::Result;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Block, Expr, ExprBinary, ExprMethodCall, Pat, Signature, Stmt};

mod functions;
mod syntax;

pub use functions::{Names, Passage, passages};

use functions::answer;
use syntax::{
    Matches, called, changes_in_place, has_let, is_test, logic, opposite, parse, rules,
    rules_by_itself, squeezed, takes_all,
};

/// What is done to a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A condition that always holds.
    True,
    /// A condition that never holds.
    False,
    /// A condition with `let` that never holds.
    NeverLet,
    /// The opposite truth.
    Inverted,
    /// Another expression in its place, and how that is called.
    Instead { code: String, says: String },
    /// A refusal, in whose place the function goes on with this.
    Passed(&'static str),
    /// A statement that is left out.
    LeftOut,
    /// An arm of a match that is left to the last one, which takes everything.
    ArmLeftOut,
    /// A function that answers this at once.
    Answers(bool),
    /// A question to the policy that every refusal behind it lets pass: the permit is made though denied.
    Granted,
}

impl Change {
    /// As the report and the list of equivalents call it.
    fn says(&self) -> &str {
        match self {
            Change::True | Change::Answers(true) => "true",
            Change::False | Change::NeverLet | Change::Answers(false) => "false",
            Change::Inverted => "inverted",
            Change::Instead { says, .. } => says,
            Change::Passed(code) => code,
            Change::LeftOut => "left out",
            Change::ArmLeftOut => "arm left out",
            Change::Granted => "granted though denied",
        }
    }
}

/// One mutation of one place.
#[derive(Clone, Debug)]
pub struct Point {
    /// The bytes of the source that it is about; empty where something is only put in.
    pub range: Range<usize>,
    /// From 1.
    pub line: usize,
    /// The function that it lies in, led by its type.
    pub function: String,
    pub change: Change,
    /// What stands there, and what comes in its place; told from others of the same words by a number.
    pub text: String,
}

/// Whose questions to the policy count.
#[derive(Clone, Copy, PartialEq)]
pub enum Asks {
    /// The policy's own: those to itself.
    Itself,
    /// The host's: those to its gate. Mutated there are these, steps that may refuse, refusals, and the conditions
    /// that these depend on; what else a call does, such as counting bytes, is no matter of the policy.
    Gate,
}

/// Every mutation of a file, in the order of its text.
pub fn points(source: &str, names: &Names, asks: Asks) -> Result<Vec<Point>> {
    let file = parse(source)?;
    let mut finder = Finder {
        source,
        names,
        asks,
        points: Vec::new(),
        handled: BTreeSet::new(),
        owner: None,
        function: String::new(),
        answer: String::new(),
        constant: false,
        decides: asks == Asks::Itself,
    };
    finder.visit_file(&file);
    let mut points = finder.points;
    number(&mut points);
    Ok(points)
}

/// Tells points of the same function and the same words from each other.
fn number(points: &mut [Point]) {
    for place in 1..points.len() {
        let (before, rest) = points.split_at_mut(place);
        let point = &mut rest[0];
        let same = before
            .iter()
            .filter(|other| other.function == point.function)
            .filter(|other| {
                other
                    .text
                    .strip_prefix(&point.text)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(" #"))
            })
            .count();
        if same > 0 {
            point.text = format!("{} #{}", point.text, same + 1);
        }
    }
}

struct Finder<'a> {
    source: &'a str,
    names: &'a Names,
    asks: Asks,
    points: Vec<Point>,
    /// Where expressions lie that were dealt with as conditions.
    handled: BTreeSet<(usize, usize)>,
    owner: Option<String>,
    function: String,
    /// What the function answers.
    answer: String,
    /// Within what the compiler evaluates.
    constant: bool,
    /// Within a condition that a verdict depends on.
    decides: bool,
}

/// Methods whose closure says yes or no.
const PREDICATES: [&str; 11] = [
    "all",
    "any",
    "filter",
    "find",
    "is_none_or",
    "is_ok_and",
    "is_some_and",
    "position",
    "retain",
    "skip_while",
    "take_while",
];

impl Finder<'_> {
    fn add(&mut self, range: Range<usize>, line: usize, what: &str, change: Change) {
        let step = matches!(
            change,
            Change::Granted | Change::LeftOut | Change::Passed(_)
        );
        if self.constant || self.function.is_empty() || !(self.decides || step) {
            return;
        }
        let words: Vec<&str> = what.split_whitespace().collect();
        let mut text = words.join(" ");
        if let Some((end, _)) = text.char_indices().nth(200) {
            text.truncate(end);
            text.push_str("...");
        }
        let text = format!("{text} -> {}", change.says());
        let known = |point: &Point| point.range == range && point.text == text;
        if self.points.iter().any(known) {
            return;
        }
        self.points.push(Point {
            range,
            line,
            function: self.function.clone(),
            text,
            change,
        });
    }

    fn at(&mut self, node: &impl Spanned, change: Change) {
        let span = node.span();
        let range = span.byte_range();
        let source = self.source;
        self.add(range.clone(), span.start().line, &source[range], change);
    }

    /// Something put in, about `node`.
    fn put(&mut self, offset: usize, node: &impl Spanned, change: Change) {
        let span = node.span();
        let source = self.source;
        let what = &source[span.byte_range()];
        self.add(offset..offset, span.start().line, what, change);
    }

    /// True the first time.
    fn first(&mut self, node: &impl Spanned) -> bool {
        let range = node.span().byte_range();
        self.handled.insert((range.start, range.end))
    }

    /// What is true or false.
    fn boolean(&mut self, expr: &Expr) {
        if !self.first(expr) {
            return;
        }
        match expr {
            Expr::Paren(paren) => self.boolean(&paren.expr),
            Expr::Block(block) => self.tail(&block.block),
            Expr::If(choice) => {
                self.tail(&choice.then_branch);
                if let Some((_, other)) = &choice.else_branch {
                    self.boolean(other);
                }
            }
            Expr::Match(choice) => {
                for arm in &choice.arms {
                    self.boolean(&arm.body);
                }
            }
            // A literal is inverted wherever it stands.
            Expr::Lit(_)
            | Expr::Return(_)
            | Expr::Continue(_)
            | Expr::Break(_)
            | Expr::Try(_)
            | Expr::Let(_) => {}
            _ if has_let(expr) => {
                self.put(expr.span().byte_range().start, expr, Change::NeverLet);
            }
            _ => {
                self.at(expr, Change::True);
                self.at(expr, Change::False);
                self.negation(expr);
            }
        }
    }

    /// `!x`: `x`. What `x` would be by itself is the whole's already.
    fn negation(&mut self, expr: &Expr) {
        if let Expr::Unary(unary) = expr {
            self.at(expr, Change::Inverted);
            self.first(&unary.expr);
        }
    }

    fn tail(&mut self, block: &Block) {
        if let Some(Stmt::Expr(expr, None)) = block.stmts.last() {
            self.boolean(expr);
        }
    }

    /// A condition, with or without `let`.
    fn condition(&mut self, expr: &Expr) {
        if has_let(expr) {
            if self.first(expr) {
                self.put(expr.span().byte_range().start, expr, Change::NeverLet);
            }
        } else {
            self.boolean(expr);
        }
    }

    /// The same, where `rules` says that a verdict depends on it.
    fn decisive(&mut self, expr: &Expr, rules: bool) {
        if self.decides {
            self.condition(expr);
        } else if rules {
            self.decides = true;
            self.condition(expr);
            self.visit_expr(expr);
            self.decides = false;
        }
    }

    /// One side of `&&` or `||`: as if it were not there.
    fn operand(&mut self, expr: &Expr, and: bool) {
        let chain = matches!(expr, Expr::Binary(inner) if logic(&inner.op) == Some(and));
        if chain || matches!(expr, Expr::Let(_) | Expr::Lit(_)) || !self.first(expr) {
            return;
        }
        self.at(expr, if and { Change::True } else { Change::False });
        self.negation(expr);
    }

    /// Whether the expression is true or false by its looks.
    fn is_evidently_bool(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Binary(binary) => logic(&binary.op).is_some() || opposite(&binary.op).is_some(),
            Expr::MethodCall(call) => self.names.is_bool(&call.method.to_string()),
            Expr::Call(call) => called(&call.func).is_some_and(|name| self.names.is_bool(&name)),
            Expr::Macro(call) => call.mac.path.is_ident("matches"),
            Expr::Unary(unary) => {
                matches!(unary.op, syn::UnOp::Not(_)) && self.is_evidently_bool(&unary.expr)
            }
            _ => false,
        }
    }

    /// Whether the call asks the policy and may be refused.
    fn asks_policy(&self, expr: &Expr) -> bool {
        let refusing = |name: &str| self.names.refusing.contains(name);
        match expr {
            Expr::MethodCall(call) if refusing(&call.method.to_string()) => {
                let receiver = squeezed(&call.receiver.to_token_stream().to_string());
                match self.asks {
                    Asks::Itself => receiver == "self",
                    Asks::Gate => receiver == "gate" || receiver.ends_with("gate()"),
                }
            }
            Expr::Call(call) if self.asks == Asks::Itself => {
                called(&call.func).is_some_and(|name| refusing(&name))
            }
            _ => false,
        }
    }

    /// What takes the place of `Err(...)` where the function's type has an answer without a value.
    fn pass(&self) -> Option<&'static str> {
        let answer = &self.answer;
        if answer.starts_with("Result<(),") || answer.ends_with("Outcome<()>") {
            Some("Ok(())")
        } else if answer.starts_with("Result<Option<") {
            Some("Ok(None)")
        } else {
            None
        }
    }

    fn function(&mut self, signature: &Signature, body: &Block) {
        let answer = answer(signature);
        // Text for people is no verdict, and what the compiler evaluates cannot be switched.
        let text = ["String", "Vec<String>", "fmt::Result"].contains(&&*answer);
        if text || signature.constness.is_some() {
            return;
        }
        if self.asks == Asks::Gate && !rules(signature) && !rules(body) {
            return;
        }
        let name = match &self.owner {
            Some(owner) => format!("{owner}::{}", signature.ident),
            None => signature.ident.to_string(),
        };
        let before = (
            std::mem::replace(&mut self.function, name),
            std::mem::replace(&mut self.answer, answer),
        );
        let decides = self.decides;
        self.decides |= self.answer == "bool";
        if self.answer == "bool" {
            if body.stmts.len() > 1 {
                let start = body.span().byte_range().start + 1;
                self.put(start, &signature.ident, Change::Answers(true));
                self.put(start, &signature.ident, Change::Answers(false));
            }
            self.tail(body);
        }
        self.visit_block(body);
        self.decides = decides;
        (self.function, self.answer) = before;
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            self.function(&function.sig, &function.block);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            self.function(&function.sig, &function.block);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = item.trait_.as_ref().map(|(_, path, _)| path);
        let shows = of.and_then(|path| path.segments.last());
        if shows.is_some_and(|last| ["Display", "Debug"].contains(&&*last.ident.to_string())) {
            return;
        }
        let words = squeezed(&item.self_ty.to_token_stream().to_string());
        let name = words.split('<').next().unwrap_or_default().to_owned();
        let before = self.owner.replace(name);
        visit::visit_item_impl(self, item);
        self.owner = before;
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_pat(&mut self, _: &'ast Pat) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        let function = std::mem::replace(&mut self.function, item.ident.to_string());
        let constant = std::mem::replace(&mut self.constant, true);
        self.visit_expr(&item.expr);
        (self.function, self.constant) = (function, constant);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        let constant = std::mem::replace(&mut self.constant, false);
        let answer = std::mem::take(&mut self.answer);
        visit::visit_expr_closure(self, closure);
        (self.constant, self.answer) = (constant, answer);
    }

    fn visit_stmt(&mut self, stmt: &'ast Stmt) {
        if let Stmt::Expr(expr, Some(_)) = stmt {
            let acts = match expr {
                Expr::Binary(binary) => changes_in_place(&binary.op),
                Expr::Try(_) | Expr::MethodCall(_) | Expr::Call(_) | Expr::Assign(_) => true,
                _ => false,
            };
            if acts && (self.asks == Asks::Itself || rules_by_itself(expr)) {
                self.at(stmt, Change::LeftOut);
            }
        }
        visit::visit_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        if self.is_evidently_bool(expr) {
            self.boolean(expr);
        }
        if self.asks_policy(expr) {
            self.at(expr, Change::Granted);
        }
        visit::visit_expr(self, expr);
    }

    fn visit_expr_lit(&mut self, literal: &'ast syn::ExprLit) {
        if matches!(literal.lit, syn::Lit::Bool(_)) {
            self.at(literal, Change::Inverted);
        }
    }

    fn visit_expr_if(&mut self, choice: &'ast syn::ExprIf) {
        let decides = rules(&choice.cond)
            || rules(&choice.then_branch)
            || choice
                .else_branch
                .as_ref()
                .is_some_and(|(_, other)| rules(other));
        self.decisive(&choice.cond, decides);
        visit::visit_expr_if(self, choice);
    }

    fn visit_expr_while(&mut self, cycle: &'ast syn::ExprWhile) {
        self.decisive(&cycle.cond, rules(&cycle.cond) || rules(&cycle.body));
        visit::visit_expr_while(self, cycle);
    }

    fn visit_expr_match(&mut self, choice: &'ast syn::ExprMatch) {
        let last = choice.arms.last();
        let open = last.is_some_and(|arm| arm.guard.is_none() && takes_all(&arm.pat));
        let count = choice.arms.len();
        for (place, arm) in choice.arms.iter().enumerate() {
            let Arm { pat, guard, .. } = arm;
            match guard {
                Some((_, guard)) => self.decisive(guard, rules(guard) || rules(&arm.body)),
                None if open && place + 1 < count => {
                    self.put(pat.span().byte_range().end, pat, Change::ArmLeftOut);
                }
                None => {}
            }
        }
        visit::visit_expr_match(self, choice);
    }

    fn visit_expr_return(&mut self, answer: &'ast syn::ExprReturn) {
        if let Some(expr) = &answer.expr
            && self.answer == "bool"
        {
            self.boolean(expr);
        }
        visit::visit_expr_return(self, answer);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Some(pass) = self.pass()
            && called(&call.func).is_some_and(|name| name == "Err")
        {
            self.at(call, Change::Passed(pass));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let name = call.method.to_string();
        if PREDICATES.contains(&&*name)
            && let Some(Expr::Closure(closure)) = call.args.first()
        {
            self.decisive(&closure.body, rules(closure));
        }
        let swapped = match (&*name, call.args.len()) {
            ("all", 1) => Some("any"),
            ("any", 1) => Some("all"),
            ("min", _) => Some("max"),
            ("max", _) => Some("min"),
            _ => None,
        };
        if let Some(swapped) = swapped {
            let mut other = call.clone();
            other.method = syn::Ident::new(swapped, call.method.span());
            let code = other.to_token_stream().to_string();
            let says = format!("`{swapped}` for `{name}`");
            self.at(call, Change::Instead { code, says });
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        let ExprBinary {
            left, op, right, ..
        } = binary;
        let instead = |other: &str| {
            let [left, op, right] = [
                left.to_token_stream(),
                op.to_token_stream(),
                right.to_token_stream(),
            ];
            Change::Instead {
                code: format!("({left}) {other} ({right})"),
                says: format!("`{other}` for `{op}`"),
            }
        };
        if let Some(and) = logic(op) {
            if !has_let(left) && !has_let(right) {
                self.at(binary, instead(if and { "||" } else { "&&" }));
            }
            self.operand(left, and);
            self.operand(right, and);
        }
        if let Some(widened) = opposite(op) {
            self.at(binary, Change::Inverted);
            if let Some(other) = widened {
                self.at(binary, instead(other));
            }
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if call.path.is_ident("matches")
            && let Ok(Matches { expr, guard }) = call.parse_body()
        {
            if let Some(guard) = &guard {
                self.decisive(guard, false);
                self.visit_expr(guard);
            }
            self.visit_expr(&expr);
        }
    }
}
