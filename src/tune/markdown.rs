//! The choice as Markdown, for a document.

use std::fmt::Write;

use super::search::Tuned;
use super::text::{self, PREDICTED, Row};

pub(crate) fn render(tuned: &Tuned) -> String {
    let mut out = format!("{}\n\nGoals: {}.\n\n", text::title(tuned), text::goals(tuned));
    let rows = text::rows(tuned);
    let _ = writeln!(out, "| {} |", text::HEADER.join(" | ").to_lowercase());
    let _ = writeln!(out, "|{}", "---|".repeat(text::HEADER.len()));
    for Row { mark, cells } in &rows {
        let _ = writeln!(out, "| {mark} | {} |", cells.join(" | "));
    }
    let _ = writeln!(out, "\n{}.", text::legend(tuned));
    if let Some(found) = &tuned.recommendation {
        let settings = text::settings(&found.choice);
        let _ = writeln!(out, "\n**Recommended**: {settings}: {}.", found.reason);
        let _ = writeln!(out, "\n{}.", text::pods(found));
        for trap in &found.traps {
            let _ =
                writeln!(out, "\n- `{}`: {}; {} ({})", trap.name, trap.text, trap.why, trap.hint);
        }
        for patch in &found.patches {
            let _ = writeln!(out, "\n**{}**: {}", patch.platform, patch.how);
            if let Some(text) = &patch.text {
                let _ = write!(out, "\n```yaml\n{text}```\n");
            }
        }
    }
    for unmet in &tuned.unmet {
        let _ = writeln!(out, "\n{}.", text::impossible(unmet));
    }
    let _ = writeln!(out, "\nAll numbers are {PREDICTED}.");
    out
}
