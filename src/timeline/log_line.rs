//! Lines of logs: which say what went wrong.

/// `E` and `F` are klog's severities error and fatal, before the month and day. A container's log
/// has a time and a stream before each line.
pub(crate) fn is_error(line: &str) -> bool {
    let line = line.split_once(" stderr F ").map_or(line, |(_, message)| message);
    let after = line.strip_prefix(['E', 'F']).and_then(|rest| rest.split_once(' '));
    after.is_some_and(|(date, _)| date.len() == 4 && date.bytes().all(|b| b.is_ascii_digit()))
}

/// The same of any program, as far as its words tell.
pub(crate) fn complains(line: &str) -> bool {
    let words = line.to_lowercase();
    is_error(line)
        || ["error", "err=", "fail", "panic", "fatal"].iter().any(|word| words.contains(word))
}
