//! Policies as text: files, and lines for the operator's shell.

use arbitrary::{Result, Unstructured};
use sockgate_policy::{LoadErrors, Policy, Question, Source};

/// Questions that every policy is asked.
const QUESTIONS: [&str; 10] = [
    "tcp connect 10.1.2.3:443",
    "tcp listen [::]:80 peer 10.0.0.1:1234",
    "udp send-to 192.168.0.255:53",
    "udp receive 10.0.0.1:53 from 127.0.0.1:5353",
    "unix connect /run/x.sock",
    "unix bind @name",
    "resolve db.example.com",
    "reverse-resolve 10.0.0.1",
    "can-raw send-to interface=can0 can-id=0x123",
    "vsock-stream connect cid=2 port=1234",
];

/// A whole file. What loads answers questions; what does not says where and why.
pub fn file(input: &mut Unstructured<'_>) -> Result<()> {
    let bytes = input.bytes(input.len())?;
    let text = String::from_utf8_lossy(bytes);
    let source = Source::new("fuzz.toml", &text).with_variable("port", "80");
    match Policy::from_toml(&source) {
        Ok(policy) => asked(&policy),
        Err(errors) => explained(&errors, &text),
    }
    Ok(())
}

/// A line. If it grants what it literally says, it is a question as well, and grants that.
pub fn line(input: &mut Unstructured<'_>) -> Result<()> {
    let bytes = input.bytes(input.len())?;
    let line = String::from_utf8_lossy(bytes);
    let question = Question::parse(&line);
    if let Err(error) = &question {
        assert!(!error.to_string().is_empty());
    }
    match Policy::allow_line(&line) {
        Ok(policy) => {
            asked(&policy);
            if let Ok(question) = question {
                let _ = policy.explain(&question).to_string();
            }
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
    Ok(())
}

/// Every error has a message, a mend, and a place that is in the text.
fn explained(errors: &LoadErrors, text: &str) {
    assert!(errors.iter().count() > 0);
    assert!(!errors.to_string().is_empty());
    let lines = text.split('\n').count();
    for error in errors.iter() {
        assert!(!error.message().is_empty());
        if let Some((line, column)) = error.position() {
            assert!(
                (1..=lines).contains(&line),
                "line {line} of {lines}: {error}"
            );
            assert!(column >= 1, "{error}");
        }
    }
}

fn asked(policy: &Policy) {
    for warning in policy.warnings() {
        assert!(!warning.to_string().is_empty());
    }
    for text in QUESTIONS {
        let question = Question::parse(text).expect("a question");
        let explanation = policy.explain(&question);
        assert_eq!(explanation.granted(), explanation.change.is_none());
        assert!(!explanation.to_string().is_empty());
        let granting = explanation
            .candidates
            .iter()
            .any(|rule| rule.lacks.is_none());
        // A deny rule may stand above it, but nothing is granted without a rule.
        assert!(granting || !explanation.granted(), "{explanation}");
    }
    // A policy merged with one that grants nothing is the same policy.
    let merged = policy.clone().merge(Policy::deny_all());
    let merged = merged.expect("nothing clashes with no rules");
    assert!(policy.rule_ids().eq(merged.rule_ids()));
}
