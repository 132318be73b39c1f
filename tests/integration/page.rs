//! The page and the picture of a run: in a browser without a network, and as the README shows it.

use std::path::{Path, PathBuf};
use std::process::Command;

use outage::timeline::attempts::{AttemptEncoder, Phases};
use outage::timeline::{Attempt, AttemptWriter, Outcome, Phase, ProbeFile, ProbeSpan};

use super::offline::{copy_run, hostile_run, recorded};
use super::program::Home;
use super::{Test, study, test};

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = vec![
        test("page::the_readme_shows_a_recorded_run", the_readme_shows_a_recorded_run),
        test("page::a_page_asks_for_nothing", a_page_asks_for_nothing),
    ];
    let in_browser: [(&str, fn()); 6] = [
        ("page::an_hour_is_drawn_in_a_second", an_hour_is_drawn_in_a_second),
        ("page::a_browser_draws_it", a_browser_draws_it),
        ("page::a_link_leads_to_a_moment", a_link_leads_to_a_moment),
        ("page::a_suite_links_to_its_runs", a_suite_links_to_its_runs),
        ("page::a_study_shows_every_run", a_study_shows_every_run),
        ("page::hostile_names_stay_text", hostile_names_stay_text),
    ];
    let required = std::env::var_os("OUTAGE_REQUIRE_CHROMIUM").is_some();
    let skipped = browser().is_none() && !required;
    if skipped {
        eprintln!(
            "the tests of a page in a browser are skipped: no chromium on PATH, and OUTAGE_CHROMIUM names none"
        );
    }
    tests.extend(in_browser.map(|(name, body)| test(name, body).ignored(skipped)));
    tests
}

/// `OUTAGE_CHROMIUM`, or what is on `PATH`.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("OUTAGE_CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let installed = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file());
    named.or(installed)
}

/// What a browser without a network makes of a page: its DOM once the script has run. Whatever the
/// browser says on its console (an error, or what the Content-Security-Policy refused) fails.
fn dom(home: &Home, page: &Path, fragment: &str) -> String {
    let browser = browser().expect("chromium: OUTAGE_REQUIRE_CHROMIUM is set");
    let data = home.path().join("browser");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        // Nothing resolves, and whatever is asked for by address goes to a proxy that is not there.
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9"])
        .args(["--proxy-bypass-list=<-loopback>", "--enable-logging=stderr", "--dump-dom"])
        .args(["--window-size=1280,900", "--timeout=20000"])
        .arg(format!("--user-data-dir={}", data.display()))
        .arg(format!("file://{}{fragment}", page.display()))
        .env("HOME", home.path())
        .output()
        .expect("the browser starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{}", console.join("\n"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn page(home: &Home, runs: &[&str]) -> PathBuf {
    let file = home.path().join("page.html");
    let form = format!("html={}", file.display());
    home.run(&[&["report"][..], runs, &["-o", &form]].concat()).exits(0);
    file
}

fn run(name: &str) -> String {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name);
    run.to_string_lossy().into_owned()
}

fn the_readme_shows_a_recorded_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let picture = Home::new().run(&["report", &run("worker-stop"), "-o", "svg"]);
    picture.exits(0);
    let shown = std::fs::read_to_string(root.join("docs/worker-stop.svg")).unwrap_or_default();
    assert!(
        picture.stdout == shown,
        "`kubectl outage report tests/recorded/worker-stop -o svg >docs/worker-stop.svg`"
    );
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains("(docs/worker-stop.svg)") && readme.len() <= 8 * 1024);
}

/// Of every recorded run: no address but names that are never asked for.
fn a_page_asks_for_nothing() {
    let home = Home::new();
    for folder in recorded() {
        for form in ["html", "svg"] {
            let page = home.run(&["report", &folder.to_string_lossy(), "-o", form]);
            page.exits(0);
            let text = page.stdout.replace("http://www.w3.org/2000/svg", "");
            for asks in ["src=", "url(http", "@import", "fetch(", "xlink", "<iframe", "<image"] {
                assert!(!text.contains(asks), "{form} of {}: {asks}", folder.display());
            }
            assert!(!text.contains(" style=") && !text.contains(" onerror="), "{form}");
        }
    }
}

fn a_browser_draws_it() {
    let home = Home::new();
    for folder in recorded() {
        let dom = dom(&home, &page(&home, &[&folder.to_string_lossy()]), "");
        assert!(dom.contains("data-drawn-ms="), "the script did not come to its end");
        // It is drawn for the window: wider than what was written.
        assert!(!dom.contains("viewBox=\"0 0 860 "), "{}", folder.display());
        assert!(dom.contains("aria-label=\"fast-detection-worker: Ready"), "{}", folder.display());
        assert!(dom.contains("class=\"asked\" d=\"M"), "{}", folder.display());
    }
}

/// 3.6 million attempts: 1000 a second, of which some time out in the first minute.
fn an_hour_is_drawn_in_a_second() {
    const ATTEMPTS: u64 = 3_600_000;
    let home = Home::new();
    let folder = home.runs().join("2026-hour");
    copy_run(Path::new(&run("worker-stop")), &folder);
    let file = folder.join("web.attempts");
    let mut span = ProbeFile::new(std::fs::read(&file).unwrap()).unwrap().span;
    // That of an earlier version has no checksums.
    (span.interval_ns, span.format) = (1_000_000, ProbeSpan::FORMAT.into());
    let mut writer = AttemptWriter::new(std::fs::File::create(&file).unwrap(), &span).unwrap();
    let (mut encoder, mut records) = (AttemptEncoder::default(), Vec::new());
    for slot in 0..ATTEMPTS {
        let fails = (10_000..60_000).contains(&slot) && slot % 7 < 3;
        let outcome = if fails { Outcome::Timeout(Phase::Connect) } else { Outcome::Ok };
        let phases = Phases { first_byte_us: 300 + slot % 977, ..Phases::default() };
        encoder.attempt(&Attempt { slot, outcome, phases, ..Attempt::default() }, &mut records);
        if records.len() > 1 << 16 {
            writer.append(&std::mem::take(&mut records)).unwrap();
        }
    }
    writer.append(&records).and_then(|()| writer.finish()).unwrap();
    let page = page(&home, &[&folder.to_string_lossy()]);
    let bytes = std::fs::metadata(&page).unwrap().len();
    assert!(bytes <= 5_000_000, "{bytes} bytes");
    let dom = dom(&home, &page, "");
    let took = dom.split("data-drawn-ms=\"").nth(1).expect("drawn").split('"').next().unwrap();
    assert!(took.parse::<u32>().unwrap() < 1000, "{took} ms");
}

fn a_link_leads_to_a_moment() {
    let home = Home::new();
    let page = page(&home, &[&run("worker-stop")]);
    assert!(dom(&home, &page, "").contains("<p class=\"moment\" role=\"status\" hidden=\"\">"));
    let dom = dom(&home, &page, "#t=4.2");
    let panel = dom.split("<p class=\"moment\" role=\"status\">").nth(1).expect("a panel");
    let panel = panel.split("</p>").next().unwrap();
    assert!(panel.starts_with("At +4.200s:"), "{panel}");
    assert!(panel.contains("nodeStop: stop requested") && panel.contains("2 ready"), "{panel}");
    assert!(panel.contains("web: ") && panel.contains(" failed (timeout "), "{panel}");
    assert!(dom.contains("<div class=\"cursor\" style=\"left: "), "the cursor is at the moment");
}

fn a_suite_links_to_its_runs() {
    let home = Home::new();
    let runs = ["worker-stop", "node-pause", "worker-stop-with-stale-ports"].map(run);
    let page = page(&home, &runs.each_ref().map(String::as_str));
    let id = "20261122-083622-f189";
    let dom = dom(&home, &page, &format!("#run={id}&t=-1"));
    assert!(
        dom.contains(&format!("href=\"#run={id}\"")) && dom.contains(&format!("id=\"run={id}\""))
    );
    assert!(dom.contains("At -1.000s:"));
    assert_eq!(dom.matches("<section class=\"run\"").count(), 3);
}

fn a_study_shows_every_run() {
    let home = Home::new();
    let markup = "settings=</title></svg><img src=x onerror=alert(1)>\"'&";
    study::stored(&home, "settings", ["settings=default", markup]);
    let page = page(&home, &["settings"]);
    let text = std::fs::read_to_string(&page).unwrap();
    let dom = dom(&home, &page, "#cell=2");
    assert!(
        dom.contains("data-drawn-ms=") && !dom.contains("<img") && dom.contains("&lt;img src=x")
    );
    for wanted in [
        "id=\"cell=1\"",
        "id=\"cell=2\"",
        "class=\"density\"",
        "class=\"median\"",
        "Study settings",
    ] {
        assert!(dom.contains(wanted), "{wanted}");
    }
    let report = home.run(&["report", "settings", "-o", "json"]).exits(0).stdout.clone();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    for run in
        report["cells"].as_array().unwrap().iter().flat_map(|cell| cell["runs"].as_array().unwrap())
    {
        let id = run["run"].as_str().unwrap();
        let row = text.split(&format!("<tr id=\"run={id}\">")).nth(1).expect("a row for each run");
        let row = row.split("</tr>").next().unwrap();
        let dot = dom.contains(&format!("href=\"#run={id}\""));
        assert_eq!(dot, !run["values"].as_object().unwrap().is_empty(), "{id}");
        assert_eq!(
            row.contains("left out"),
            run["counted"] == false,
            "the page agrees with JSON: {row}"
        );
    }
    let picture = home.run(&["report", "settings", "-o", "svg"]);
    picture.exits(0).prints("settings=default").prints("detection");
    assert!(!picture.stdout.contains("<img"));
    for asks in ["src=", "url(http", "@import", "fetch(", "xlink", "<iframe", " style="] {
        assert!(!text.replace("img src=", "").contains(asks), "{asks}");
    }
}

/// What a cluster names is never markup: not in a table, not in a picture, not in the script's data.
fn hostile_names_stay_text() {
    let home = Home::new();
    let markup = "</script></title></svg><img src=x onerror=alert(1)>\u{1b}[31m\u{202e}\"'&";
    let folder = home.runs().join("2026-hostile");
    hostile_run(Path::new(&run("node-pause")), &folder, markup);
    let page = page(&home, &[&folder.to_string_lossy()]);
    let dom = dom(&home, &page, "#t=5");
    assert!(dom.contains("data-drawn-ms=") && !dom.contains("<img"));
    assert!(dom.contains("&lt;img src=x onerror=alert(1)&gt;"));
    let picture = home.run(&["report", &folder.to_string_lossy(), "-o", "svg"]);
    picture.exits(0);
    assert!(!picture.stdout.contains("<img"));
}
