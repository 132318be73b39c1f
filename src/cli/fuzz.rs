//! Every reader of what others write, by name: `tests/fuzz` gives them changed files.

use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;

use super::diagnostics::render;
use super::form::Form;
use super::judge;
use crate::agent::protocol::{Frames, FromAgent, Message, ToAgent};
use crate::compare::Baseline;
use crate::engine::undo::ledger::Ledger;
use crate::experiment::{Setting, Source, read_for, read_study};
use crate::kind_config::DEFAULT_KUBERNETES;
use crate::lint;
use crate::report::{Style, jsonl};
use crate::timeline::{AttemptReader, ProbeFile};
use crate::workload::Manifest;
use crate::yaml::{self, Diagnostics, SourceFile};
use crate::{cluster, http2, probe, resolver};

/// A reader, and what its inputs are made from.
pub struct Target {
    pub name: &'static str,
    pub seeds: Seeds,
    /// Reads an input, and shows what came of it. The folder is empty, and may be written to.
    pub read: fn(&[u8], &Path),
}

#[derive(Clone, Copy)]
pub enum Seeds {
    /// Files below these folders of the repository whose names end so.
    Files(&'static [&'static str], &'static str),
    Texts(&'static [&'static [u8]]),
}

const EXPERIMENTS: &[&str] = &["experiments", "tests/cases"];
const WORKLOADS: &[&str] = &["experiments/workloads", "tests/apps"];

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "experiment", seeds: Seeds::Files(EXPERIMENTS, ".yaml"), read: experiment },
    Target { name: "study", seeds: Seeds::Files(&["experiments/studies"], ".yaml"), read: study },
    Target {
        name: "kind-config",
        seeds: Seeds::Files(&["kind-configs", "tests/cases"], ".yaml"),
        read: kind_config,
    },
    Target { name: "workload", seeds: Seeds::Files(WORKLOADS, ".yaml"), read: workload },
    Target { name: "kubeconfig", seeds: Seeds::Texts(KUBECONFIGS), read: kubeconfig },
    Target { name: "timeline", seeds: Seeds::Files(RECORDED, "events.jsonl"), read: timeline },
    Target { name: "attempts", seeds: Seeds::Files(RECORDED, ".attempts"), read: attempts },
    Target { name: "baseline", seeds: Seeds::Texts(BASELINES), read: baseline },
    Target { name: "ledger", seeds: Seeds::Texts(LEDGERS), read: ledger },
    Target { name: "agent", seeds: Seeds::Texts(FRAMES), read: agent },
    Target { name: "http1", seeds: Seeds::Texts(HTTP1), read: http1 },
    Target { name: "http2", seeds: Seeds::Texts(HTTP2), read: http2 },
    Target { name: "dns", seeds: Seeds::Texts(DNS), read: dns },
];

const RECORDED: &[&str] = &["tests/recorded"];
const KUBECONFIGS: &[&[u8]] = &[
    b"apiVersion: v1\nkind: Config\ncurrent-context: a\n\
      contexts:\n- name: a\n  context: {cluster: a, user: a, namespace: web}\n\
      clusters:\n- name: a\n  cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: YQ==}\n\
      users:\n- name: a\n  user: {token: abc}\n",
    b"{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"users\":[{\"name\":\"a\",\"user\":{\"exec\":{\"apiVersion\":\
      \"client.authentication.k8s.io/v1\",\"command\":\"x\",\"args\":[\"y\"],\"env\":[{\"name\":\"A\",\"value\":\"b\"}]}}}]}",
];
const BASELINES: &[&[u8]] = &[b"{\"format\":\"outage.baseline/v1\",\"entries\":[]}"];
const LEDGERS: &[&[u8]] =
    &[b"{\"settled\":1}\n{\"watched\":{\"id\":1,\"until\":\"2026-01-01T00:00:00Z\"}}\n"];
const FRAMES: &[&[u8]] = &[
    b"\x07\0\0\0J\"stop\"",
    b"\x28\0\0\0J{\"ping\":{\"at\":123456,\"received\":1234567}}",
    b"\x0a\0\0\0A\x03\0web\x01\x02\0\0",
    b"\x12\0\0\0K\x01\0\0\0\0\0\0\0A\x03\0web\x01\x02\0\0",
];
const HTTP1: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Backend: web-1\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 Service Unavailable\r\n\r\n",
];
const HTTP2: &[&[u8]] = &[
    b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88",
    b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x01\0\0\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x05\0\x01\0\0\0\x01hello",
    b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0",
];
const DNS_QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\x07default\0\0\x01\0\x01";
const DNS: &[&[u8]] = &[
    b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x03web\x07default\0\0\x01\0\x01\
      \xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x02\xc0\x0c\xc0\x0c\0\x01\0\x01\0\0\0\x09\0\x04\x0a\0\0\x01",
    b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0\x03web\x07default\0\0\x01\0\x01",
];

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn draw(problems: &Diagnostics) {
    render(problems, None, 80);
}

fn experiment(bytes: &[u8], _: &Path) {
    let Some(text) = text(bytes) else { return };
    match read_for(Source::beside_built_in("input.yaml", text), Setting::OWN).finish() {
        Err(problems) => draw(&problems),
        Ok(all) => all.iter().for_each(|one| draw(&one.warnings)),
    }
}

fn study(bytes: &[u8], _: &Path) {
    let Some(text) = text(bytes) else { return };
    match read_study(Source::beside_built_in("studies/input.yaml", text), Setting::OWN).finish() {
        Err(problems) => draw(&problems),
        Ok(study) => draw(&study.warnings),
    }
}

fn kind_config(bytes: &[u8], _: &Path) {
    let Some(text) = text(bytes) else { return };
    let file = Arc::new(SourceFile { name: "input.yaml".into(), text });
    match lint::lint(&file, DEFAULT_KUBERNETES) {
        Err(problems) => draw(&problems),
        Ok(linted) => draw(&linted.problems),
    }
}

fn workload(bytes: &[u8], _: &Path) {
    let Some(text) = text(bytes) else { return };
    let file = Arc::new(SourceFile { name: "input.yaml".into(), text });
    let mut problems = Diagnostics::default();
    let documents = yaml::parse(&file, &mut problems).unwrap_or_default();
    let (manifest, more) = Manifest::read(documents.iter().map(|document| (&file, document)));
    more.into_iter().for_each(|problem| problems.push(problem));
    manifest.services().for_each(|service| {
        manifest.behind(&service);
    });
    Manifest::recorded(&manifest.for_prediction());
    draw(&problems);
}

fn kubeconfig(bytes: &[u8], _: &Path) {
    if let Some(text) = text(bytes) {
        cluster::kubeconfig_of(&text);
    }
}

fn timeline(bytes: &[u8], folder: &Path) {
    if std::fs::write(folder.join("events.jsonl"), bytes).is_err() {
        return;
    }
    let Ok(run) = judge::judge(folder) else { return };
    let parts = judge::parts(std::slice::from_ref(&run));
    for form in Form::value_variants() {
        let mut out = Vec::new();
        // Its warnings go to standard error.
        let written = match form {
            Form::Jsonl => jsonl::write(run.view().timeline, &mut out),
            _ => form.write(&parts, &Style::default(), &mut out),
        };
        written.expect("memory takes all of it");
    }
}

fn attempts(bytes: &[u8], _: &Path) {
    AttemptReader::records(bytes).for_each(drop);
    if let Ok(file) = ProbeFile::new(bytes.to_vec()) {
        file.attempts().for_each(drop);
        file.last();
    }
}

fn baseline(bytes: &[u8], _: &Path) {
    if let Some(text) = text(bytes) {
        let _ = Baseline::parse(&text);
    }
}

fn ledger(bytes: &[u8], folder: &Path) {
    let path = folder.join("ledger");
    if std::fs::write(&path, bytes).is_ok()
        && let Ok(ledger) = Ledger::open(&path)
    {
        ledger.pending().iter().for_each(|entry| {
            entry.undo.describe();
        });
    }
}

fn agent(bytes: &[u8], _: &Path) {
    fn all<M: Message>(bytes: &[u8]) {
        let mut frames = Frames::default();
        for piece in bytes.chunks(7) {
            frames.push(piece);
            loop {
                match frames.message::<M>() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    }
    all::<ToAgent>(bytes);
    all::<FromAgent>(bytes);
}

fn http1(bytes: &[u8], _: &Path) {
    probe::testing::read_answers(bytes);
}

fn http2(bytes: &[u8], _: &Path) {
    probe::testing::read_http2_answers(bytes);
    let _ = http2::hpack::read(bytes, |_, _| {});
}

fn dns(bytes: &[u8], _: &Path) {
    resolver::read_answer(bytes, DNS_QUERY);
}
