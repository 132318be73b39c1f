//! Where reports go: one format to standard output, and any number of them to files.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::artifacts::Artifacts;
use super::env::Env;
use super::exit;
use super::failure::Failure;
use super::form::{Form, Output};
use super::output::{self, visible};
use super::report_file::{ReportFile, is_stdout};
use crate::experiment::{Source, load_all};
use crate::report::suite::Part;
use crate::report::{Style, View, markdown};

#[derive(Debug)]
pub(super) struct Outputs {
    pub stdout: Form,
    files: Vec<(Form, ReportFile)>,
    /// What is written while a run goes on.
    events: Option<ReportFile>,
    artifacts: Option<Artifacts>,
}

impl Outputs {
    /// Errors when two formats have one place, or when a file could not be written.
    pub(super) fn new(asked: &[Output]) -> Result<Self, Failure> {
        let (mut stdout, mut files) = (None, Vec::<(Form, ReportFile)>::new());
        for Output { form, file } in asked {
            let Some(path) = file.as_deref().filter(|path| !is_stdout(path)) else {
                if stdout.replace(*form).is_some() {
                    return Err(Failure::usage("two output formats for standard output")
                        .hint("write the others to files: `-o junit=FILE`"));
                }
                continue;
            };
            add(&mut files, *form, ReportFile::new(path)?)?;
        }
        // Files are written beside the text, not instead of it.
        Ok(Self { stdout: stdout.unwrap_or(Form::Text), files, events: None, artifacts: None })
    }

    /// The same with a file for events. Errors: a report has that place.
    pub(super) fn beside_events(self, events: Option<ReportFile>) -> Result<Self, Failure> {
        match self.files.iter().find(|(_, file)| Some(file) == events.as_ref()) {
            None => Ok(Self { events, ..self }),
            Some((_, file)) => {
                let path = file.path().display();
                Err(Failure::usage(format!("{path} would have both a report and events")))
            }
        }
    }

    /// The same with a folder of artifacts, in which reports are files beside the others.
    pub(super) fn with_artifacts(mut self, folder: Option<&Path>) -> Result<Self, Failure> {
        self.artifacts = folder.map(Artifacts::new).transpose()?;
        if let Some(artifacts) = &self.artifacts {
            for (form, file) in artifacts.reports()? {
                add(&mut self.files, form, file)?;
            }
        }
        Ok(self)
    }

    pub(super) fn artifacts_folder(&self) -> Option<&Path> {
        self.artifacts.as_ref().map(Artifacts::folder)
    }

    fn paths(&self) -> impl Iterator<Item = &ReportFile> {
        self.files.iter().map(|(_, file)| file).chain(&self.events)
    }

    /// Refuses to write over what the command reads.
    pub(super) fn refuse_inputs(&self, inputs: &[PathBuf]) -> Result<(), Failure> {
        let is_input = |file: &&ReportFile| inputs.iter().any(|one| file.is(one));
        match self.paths().find(is_input) {
            None => Ok(()),
            Some(file) => {
                let path = file.path().display();
                Err(Failure::usage(format!("the report would replace {path}, which is read here"))
                    .hint("write the report to another file"))
            }
        }
    }

    /// Whether a file may be one that would have been read by what could not be read itself.
    pub(super) fn may_replace_input(&self, names: impl IntoIterator<Item = String>) -> bool {
        // What was read from standard input is gone.
        let names = names.into_iter().filter(|name| name != "-");
        let sources = names.filter_map(|name| load_all(&name).ok());
        let sources: Vec<Source> = sources.flatten().collect();
        self.paths().any(|file| {
            let name = file.path().file_name().unwrap_or_default().to_string_lossy();
            sources
                .iter()
                .any(|source| file.is(Path::new(source.name())) || source.text().contains(&*name))
        })
    }

    /// Refuses the formats that have nothing to print of a plan.
    pub(super) fn refuse_unplanned(&self) -> Result<(), Failure> {
        let planned =
            |form: Form| matches!(form, Form::Text | Form::Wide | Form::Json | Form::Yaml);
        if self.files.iter().map(|(form, _)| *form).chain([self.stdout]).all(planned) {
            return Ok(());
        }
        Err(Failure::usage("--dry-run prints a plan, which this output format cannot show")
            .hint("use `-o text`, `-o json` or `-o yaml`"))
    }

    /// Writes everything that was asked for; the exit code that this alone asks for.
    pub(super) fn report(&self, parts: &[Part<View<'_>>], env: &Env) -> u8 {
        let code = self.write_reports(parts);
        print_report(parts, self.stdout, env);
        exit::gravest([code, self.add_summary(env, || markdown::render(parts))])
    }

    /// Adds to the job summary of GitHub Actions, where that is asked for; the exit code that this
    /// asks for.
    pub(super) fn add_summary(&self, env: &Env, text: impl FnOnce() -> String) -> u8 {
        let file = env.step_summary.as_ref().filter(|_| self.stdout == Form::Github);
        file.map_or(exit::PASS, |file| append(file, &text()))
    }

    /// Writes what is not for people, who have seen it already.
    pub(super) fn write_for_programs(&self, parts: &[Part<View<'_>>], env: &Env) -> u8 {
        if self.stdout.is_for_people() {
            self.write_reports(parts)
        } else {
            self.report(parts, env)
        }
    }

    pub(super) fn write_reports(&self, parts: &[Part<View<'_>>]) -> u8 {
        let files = self.write_files(|form, out| {
            form.write(parts, &Style { width: 100, ..Style::default() }, out)
        });
        let artifacts = self.artifacts.iter().map(|artifacts| match artifacts.copy_runs(parts) {
            Ok(()) => exit::PASS,
            Err(error) => {
                let folder = artifacts.folder().display();
                complain!("error: cannot copy the runs to {folder}: {error}");
                exit::INCONCLUSIVE
            }
        });
        exit::gravest(artifacts.chain([files]))
    }

    /// Writes the files, each whether or not the others could be written.
    pub(super) fn write_files(&self, write: impl Fn(Form, &mut dyn Write) -> io::Result<()>) -> u8 {
        exit::gravest(self.files.iter().map(
            |(form, file)| match file.write(|out| write(*form, out)) {
                Ok(()) => exit::PASS,
                Err(error) => {
                    complain!(
                        "error: cannot write the report to {}: {error}",
                        file.path().display()
                    );
                    exit::INCONCLUSIVE
                }
            },
        ))
    }
}

/// Errors when another format has the file.
fn add(files: &mut Vec<(Form, ReportFile)>, form: Form, file: ReportFile) -> Result<(), Failure> {
    if files.iter().any(|(_, other)| *other == file) {
        let path = file.path().display();
        return Err(Failure::usage(format!("two output formats for the file {path}")));
    }
    files.push((form, file));
    Ok(())
}

/// Adds to a file that other commands have written to before; the exit code that this asks for.
fn append(file: &Path, text: &str) -> u8 {
    let open = OpenOptions::new().create(true).append(true).open(file);
    match open.and_then(|mut file| file.write_all(visible(text).as_bytes())) {
        Ok(()) => exit::PASS,
        Err(error) => {
            complain!("error: cannot write the job summary to {}: {error}", file.display());
            exit::INCONCLUSIVE
        }
    }
}

pub(super) fn print_report(parts: &[Part<View<'_>>], form: Form, env: &Env) {
    output::stream(|out| form.write(parts, &env.style(), out));
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::run;
    use super::*;

    fn outputs(typed: &[&str]) -> Result<Outputs, String> {
        let typed: Vec<&str> = ["run"].iter().chain(typed).copied().collect();
        Outputs::new(&run(&typed).output).map_err(|failure| failure.text())
    }

    #[test]
    fn files_stand_beside_one_format_on_standard_output() {
        let folder = tempfile::tempdir().unwrap();
        let at = |form: &str, name: &str| format!("{form}={}", folder.path().join(name).display());
        let (junit, again) = (at("junit", "a.xml"), at("json", "../x/./a.xml"));
        assert_eq!(outputs(&[]).unwrap().stdout, Form::Text);
        assert_eq!(outputs(&["-o", "wide"]).unwrap().stdout, Form::Wide);
        let both = outputs(&["-o", &junit, "-o", "json=-"]).unwrap();
        assert_eq!((both.stdout, both.files.len()), (Form::Json, 1));
        let beside = outputs(&["-o", &junit]).unwrap();
        assert_eq!((beside.stdout, beside.files.len()), (Form::Text, 1));
        assert!(outputs(&["-o", "json", "-o", "text"]).unwrap_err().contains("standard output"));
        assert!(outputs(&["-o", &junit, "-o", &junit]).unwrap_err().contains("two output formats"));
        assert!(outputs(&["-o", &again]).unwrap_err().contains("its directory does not exist"));
        assert!(beside.refuse_unplanned().is_err());
        assert!(outputs(&["-o", &at("json", "p.json")]).unwrap().refuse_unplanned().is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a check leaves nothing");
    }

    #[test]
    fn a_report_replaces_neither_a_record_nor_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let client = concat!(env!("CARGO_MANIFEST_DIR"), "/src/experiment/testdata/client");
        for name in ["pem", "key"] {
            std::fs::copy(format!("{client}.{name}"), path(&format!("c.{name}"))).unwrap();
        }
        let web = include_str!("../experiment/testdata/web.yaml");
        std::fs::write(path("web.yaml"), web).unwrap();
        let config = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: test\nnodes: [{role: control-plane}, {role: worker}]\n";
        std::fs::write(path("kind.yaml"), config).unwrap();
        std::fs::write(path("order.json"), "{}").unwrap();
        let more = "service: web, tls: true, method: POST, body: {file: order.json}, ca: {file: c.pem}, \
                    clientCertificate: {file: ./c.pem}, clientKey: {file: c.key}, ";
        let good = include_str!("../experiment/testdata/good.yaml")
            .replace("service: web, p", &format!("{more}p"));
        std::fs::write(path("x.yaml"), good).unwrap();
        let source = crate::experiment::load(&path("x.yaml").to_string_lossy()).unwrap();
        let inputs = crate::experiment::parse(source).unwrap().files();
        let refused = |name: &str| {
            let asked = format!("json={}", path(name).display());
            outputs(&["-o", &asked])?.refuse_inputs(&inputs).map_err(|failure| failure.text())
        };
        for name in ["x.yaml", "web.yaml", "kind.yaml", "order.json", "c.pem", "c.key"] {
            assert!(refused(name).unwrap_err().contains("which is read here"), "{name}");
        }
        assert_eq!(refused("report.json"), Ok(()));
        std::fs::create_dir_all(path("run/sub")).unwrap();
        std::fs::write(path("run/events.jsonl"), "").unwrap();
        std::os::unix::fs::symlink(path("run"), path("latest")).unwrap();
        for name in ["run/events.jsonl", "run/new.json", "run/sub/x", "latest/y"] {
            assert!(refused(name).unwrap_err().contains("is in the folder of a run"), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_gone_costs_the_others_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let at = |name: &str| format!("junit={}", folder.path().join(name).display());
        let both = outputs(&["-o", &at("sub/a.xml"), "-o", &at("b.xml")]).unwrap();
        std::fs::remove_dir(folder.path().join("sub")).unwrap();
        assert_eq!(both.write_reports(&[]), exit::INCONCLUSIVE);
        assert!(folder.path().join("b.xml").is_file());
    }
}
