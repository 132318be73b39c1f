//! Where an experiment comes from: a file, or the binary; and how the files beside it are found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::decode::{KIND, STUDY};
use super::diagnostic::{Diagnostic, Diagnostics, SourceFile};
use super::schema::API_VERSION;
use super::tree::Node;
use super::{builtin, suggest, yaml};
use crate::timeline::bounded::{io_problem, read_text, read_text_from};

/// Stands for standard input.
const STDIN: &str = "-";
/// What standard input is called in diagnostics.
const STDIN_NAME: &str = "<stdin>";

/// The names of built-in files begin so in diagnostics.
const BUILT_IN: &str = "built-in:";

/// So many names are offered in the place of one that is unknown.
const NEAREST: usize = 3;

/// An experiment's text, and where the files that it names are looked for.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    file: Arc<SourceFile>,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// Beside a file in this directory.
    Directory(PathBuf),
    BuiltIn,
}

impl Source {
    /// A text that did not come from a file (standard input, a test). The files that it names are
    /// looked for in `directory`.
    pub(crate) fn from_text(
        name: impl Into<String>,
        text: impl Into<String>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        let file = Arc::new(SourceFile { name: name.into(), text: text.into() });
        Self { file, place: Place::Directory(directory.into()) }
    }

    /// A text that stands beside the built-in experiments, and may name what they name.
    pub(crate) fn beside_built_in(name: &str, text: impl Into<String>) -> Self {
        let file = SourceFile { name: format!("built-in:experiments/{name}"), text: text.into() };
        Self { file: Arc::new(file), place: Place::BuiltIn }
    }

    pub(crate) fn built_in(name: &str) -> Option<Self> {
        let (path, text) = builtin::experiment(name)?;
        Some(Self { file: built_in_file(path, text), place: Place::BuiltIn })
    }

    /// Standard input. Errors: why it can't be read.
    fn from_stdin() -> Result<Self, Diagnostics> {
        static WAS_READ: AtomicBool = AtomicBool::new(false);
        if WAS_READ.swap(true, Ordering::Relaxed) {
            return Err(Diagnostic::error("standard input (`-`) was given twice").into());
        }
        Self::peek_stdin()
    }

    /// The same, which can still be loaded afterwards.
    fn peek_stdin() -> Result<Self, Diagnostics> {
        static TEXT: OnceLock<Result<String, String>> = OnceLock::new();
        let read = || read_text_from(io::stdin().lock()).map_err(|why| why.to_string());
        match TEXT.get_or_init(read) {
            Err(why) => Err(Diagnostic::error(format!("cannot read standard input: {why}")).into()),
            Ok(text) if text.trim().is_empty() => {
                Err(Diagnostic::error("standard input is empty").into())
            }
            Ok(text) => Ok(Self::from_text(STDIN_NAME, text.as_str(), "")),
        }
    }

    fn from_file(path: &Path) -> Result<Self, Diagnostics> {
        let text = read_text(path)
            .map_err(|why| Diagnostic::error(format!("cannot read {}: {why}", path.display())))?;
        Ok(Self::from_text(
            path.display().to_string(),
            text,
            path.parent().unwrap_or(Path::new("")),
        ))
    }

    /// The file under which a person knows it.
    pub(crate) fn name(&self) -> &str {
        &self.file.name
    }

    /// The path of its file; `None`: it is not in one.
    pub(crate) fn path(&self) -> Option<&str> {
        Some(self.name()).filter(|name| !self.is_built_in() && Path::new(name).is_file())
    }

    fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn)
    }

    pub(crate) fn text(&self) -> &str {
        &self.file.text
    }

    /// Whether it is YAML of something else: neither its kind nor its apiVersion is, or resembles,
    /// an experiment's.
    pub(crate) fn is_foreign(&self) -> bool {
        let resembles = |node: Option<&Node>, ours: &str| {
            let text = node.and_then(Node::text).unwrap_or_default();
            suggest::closest(text, [ours]).is_some()
        };
        let is_ours = |document: &Node| {
            let version = document.get("apiVersion");
            let group = API_VERSION.split('/').next().unwrap_or_default();
            resembles(document.get("kind"), KIND)
                || resembles(version, API_VERSION)
                || version
                    .and_then(Node::text)
                    .is_some_and(|version| version.split('/').next().is_some_and(|of| of == group))
        };
        let mut problems = Diagnostics::default();
        let documents = yaml::parse(&self.file, &mut problems);
        !problems.has_errors() && documents.is_some_and(|all| !all.iter().any(is_ours))
    }

    /// What the paths of the files that it names are relative to, in words.
    pub(crate) fn place(&self) -> &'static str {
        if self.name() == STDIN_NAME {
            "the working directory"
        } else {
            "the experiment's own file"
        }
    }

    /// Name and text, for diagnostics.
    pub(crate) fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    /// Its own file and those that it names, by their paths from it. What is built in has none.
    pub(crate) fn paths<'p>(&self, named: impl IntoIterator<Item = &'p Path>) -> Vec<PathBuf> {
        let Place::Directory(directory) = &self.place else { return Vec::new() };
        let named = named.into_iter().map(|path| directory.join(path));
        named.chain([PathBuf::from(self.name())]).collect()
    }

    /// Whether a text is the path of a file, from the experiment's own.
    pub(crate) fn is_beside(&self, text: &str) -> bool {
        let Place::Directory(directory) = &self.place else { return false };
        !text.trim().is_empty() && !text.contains('\n') && directory.join(text).is_file()
    }

    fn built_in_folder(&self) -> &Path {
        let path = Path::new(self.name().strip_prefix(BUILT_IN).unwrap_or_default());
        path.parent().unwrap_or(Path::new(""))
    }

    /// Loads an experiment that this file names: a file by its path from this one, or a built-in one
    /// by its name.
    pub(super) fn load_beside(&self, path_or_name: &str) -> Result<Self, Diagnostics> {
        match &self.place {
            _ if !is_path(path_or_name) => load(path_or_name),
            Place::Directory(directory) => Self::from_file(&directory.join(path_or_name)),
            Place::BuiltIn => {
                let found = builtin::file(&self.built_in_folder().join(path_or_name));
                let (path, text) = found.ok_or_else(|| {
                    Diagnostic::error(format!("cannot read {path_or_name}: not built in"))
                })?;
                Ok(Self { file: built_in_file(path, text), place: Place::BuiltIn })
            }
        }
    }

    /// Reads a file that the experiment names, by its path from the experiment's own. Errors: why
    /// it can't be read, a fragment.
    pub(crate) fn read_beside(&self, path: &Path) -> Result<Arc<SourceFile>, String> {
        match &self.place {
            Place::Directory(directory) => {
                let whole = directory.join(path);
                let name = builtin::tidy(&whole).display().to_string();
                let text = read_text(&whole).map_err(|why| why.to_string())?;
                Ok(Arc::new(SourceFile { text, name }))
            }
            Place::BuiltIn => {
                let found = builtin::file(&self.built_in_folder().join(path));
                found
                    .map(|(path, text)| built_in_file(path, text))
                    .ok_or_else(|| "not built in".to_owned())
            }
        }
    }
}

fn built_in_file(path: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { name: format!("{BUILT_IN}{path}"), text: text.to_owned() })
}

pub(crate) fn built_in_names() -> Vec<&'static str> {
    builtin::names(builtin::EXPERIMENTS).collect()
}

pub(crate) fn built_in_studies() -> Vec<&'static str> {
    builtin::names(builtin::STUDIES).collect()
}

/// Whether a file says that it is a study, or nearly so.
pub(crate) fn is_study(source: &Source) -> bool {
    let documents = yaml::parse(source.file(), &mut Diagnostics::default()).unwrap_or_default();
    let kind = documents.first().and_then(|document| document.text_at("kind"));
    kind.is_some_and(|kind| suggest::closest(kind, [STUDY]).is_some())
}

/// A file, the name of what is built in, or standard input, where it is a study. It can still be
/// loaded as an experiment.
pub(crate) fn as_study(path_or_name: &str) -> Option<Source> {
    let source = match path_or_name {
        STDIN => Source::peek_stdin(),
        _ => load_study(path_or_name),
    };
    source.ok().filter(is_study)
}

/// Loads a study: a path, the name of a built-in one, or `-` for standard input.
pub(crate) fn load_study(path_or_name: &str) -> Result<Source, Diagnostics> {
    let path = Path::new(path_or_name);
    if path_or_name == STDIN {
        return Source::from_stdin();
    }
    match builtin::named(builtin::STUDIES, path_or_name) {
        Some((path, text)) => Ok(Source { file: built_in_file(path, text), place: Place::BuiltIn }),
        None if is_path(path_or_name) || path.is_file() => Source::from_file(path),
        None => {
            let all = built_in_studies();
            let message =
                format!("no such file or built-in study: {}", super::tree::quoted(path_or_name));
            let hint = suggest::hint(path_or_name, &all, "the built-in studies are");
            Err(Diagnostic::error(message).hint_if(hint).into())
        }
    }
}

/// Loads one experiment: a path (it has a `/` or ends in `.yaml`, `.yml` or `.json`), the name of a
/// built-in one, or `-` for standard input, whose relative paths are of the working directory.
///
/// Errors: no such file, not readable, an unknown name; the hint names those that are near.
pub(crate) fn load(path_or_name: &str) -> Result<Source, Diagnostics> {
    let path = Path::new(path_or_name);
    if path_or_name == STDIN {
        return Source::from_stdin();
    }
    if !is_path(path_or_name) {
        match Source::built_in(path_or_name) {
            Some(source) => return Ok(source),
            None if !path.is_file() => return Err(unknown_name(path_or_name)),
            None => {}
        }
    }
    Source::from_file(path).map_err(|mut problems| {
        let built_in = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .filter(|stem| builtin::experiment(stem).is_some());
        if let (Some(name), false) = (built_in, path.exists()) {
            problems = problems
                .into_iter()
                .map(|d| d.hint(format!("`{name}` is built in: pass its name without -f")))
                .collect();
        }
        problems
    })
}

/// Loads one experiment, or all files `*.yaml` and `*.yml` of a directory, by name.
///
/// Errors: as `load`; and a directory without any.
pub(crate) fn load_all(path_or_name: &str) -> Result<Vec<Source>, Diagnostics> {
    let is_built_in = !is_path(path_or_name) && builtin::experiment(path_or_name).is_some();
    match Path::new(path_or_name).is_dir() && !is_built_in {
        true => load_directory(Path::new(path_or_name)),
        false => Ok(vec![load(path_or_name)?]),
    }
}

/// Loads a file of another kind, or all of a directory. What is given is a path, or `-`.
pub(crate) fn load_files(path: &Path) -> Result<Vec<Source>, Diagnostics> {
    match path.is_dir() {
        true => load_directory(path),
        false => Ok(vec![load_file(path)?]),
    }
}

/// Loads one file, or standard input.
pub(crate) fn load_file(path: &Path) -> Result<Source, Diagnostics> {
    if path == Path::new(STDIN) { Source::from_stdin() } else { Source::from_file(path) }
}

fn load_directory(path: &Path) -> Result<Vec<Source>, Diagnostics> {
    let cannot = |error: io::Error| {
        Diagnostic::error(format!("cannot read {}: {}", path.display(), io_problem(&error)))
    };
    let mut paths = Vec::new();
    for entry in path.read_dir().map_err(cannot)? {
        paths.push(entry.map_err(cannot)?.path());
    }
    paths.retain(|path| {
        path.is_file()
            && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
    });
    paths.sort();
    if paths.is_empty() {
        return Err(Diagnostic::error(format!("no *.yaml file in {}", path.display())).into());
    }
    let mut problems = Diagnostics::default();
    let loaded: Vec<Source> = paths
        .iter()
        .filter_map(|path| Source::from_file(path).map_err(|e| problems.extend(e)).ok())
        .collect();
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

fn is_path(text: &str) -> bool {
    text.contains(['/', '\\'])
        || [".yaml", ".yml", ".json"].iter().any(|ending| text.ends_with(ending))
}

fn unknown_name(name: &str) -> Diagnostics {
    const ALL: &str = "`kubectl outage get experiments` lists the built-in ones";
    let near = suggest::completed(name, built_in_names(), NEAREST);
    let hint = if near.is_empty() {
        ALL.into()
    } else {
        format!("did you mean {}? {ALL}", suggest::listed(&near, "or"))
    };
    let message = format!("no such file or built-in experiment: {}", super::tree::quoted(name));
    Diagnostic::error(message).hint(hint).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_in_experiment_finds_its_files() {
        let source = load("worker-stop-fast").unwrap();
        assert_eq!(source.name(), "built-in:experiments/worker-stop-fast.yaml");
        assert!(
            source.read_beside(Path::new("workloads/web.yaml")).unwrap().text.contains("nginx")
        );
        let config = source.read_beside(Path::new("../kind-configs/fast-detection.yaml")).unwrap();
        assert_eq!(config.name, "built-in:kind-configs/fast-detection.yaml");
        assert!(source.read_beside(Path::new("/etc/hostname")).is_err());
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_are_near() {
        let problem = |name: &str| load(name).unwrap_err().to_string();
        assert_eq!(
            problem("worker-stop-fats"),
            "error: no such file or built-in experiment: `worker-stop-fats` (did you mean \
             `worker-stop-fast`? `kubectl outage get experiments` lists the built-in ones)"
        );
        let none = problem("nodir");
        assert!(none.contains("experiment: `nodir`") && !none.contains("did you mean"), "{none}");
        let longer = problem("worker-stop");
        assert!(
            longer.contains("`worker-stop-default`") && longer.contains("`worker-stop-fast`"),
            "{longer}"
        );
        assert!(
            problem("worker-don").contains("did you mean `worker-down`?"),
            "{}",
            problem("worker-don")
        );
    }

    #[test]
    fn a_missing_file_whose_name_is_built_in_says_so() {
        let problem = load("nowhere/node-kill.yaml").unwrap_err().to_string();
        assert_eq!(
            problem,
            "error: cannot read nowhere/node-kill.yaml: no such file (`node-kill` is built in: pass its name without -f)"
        );
    }

    #[test]
    fn a_file_finds_its_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/a.yaml"), "x: 1").unwrap();
        std::fs::write(folder.path().join("b.yaml"), "y: 1").unwrap();
        let source = load(folder.path().join("sub/a.yaml").to_str().unwrap()).unwrap();
        let beside = source.read_beside(Path::new("../b.yaml")).unwrap();
        assert_eq!(beside.text, "y: 1");
        assert_eq!(beside.name, folder.path().join("b.yaml").display().to_string());
        assert_eq!(source.read_beside(Path::new("c.yaml")).unwrap_err(), "no such file");
        assert_eq!(source.read_beside(Path::new("..")).unwrap_err(), "is a directory");
    }

    #[test]
    fn a_directory_is_all_of_its_yaml_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "c.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let all = load_all(folder.path().to_str().unwrap()).unwrap();
        let names: Vec<_> = all
            .iter()
            .map(|source| Path::new(source.name()).file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.yml", "b.yaml"]);
        let empty = tempfile::tempdir().unwrap();
        assert!(
            load_all(empty.path().to_str().unwrap())
                .unwrap_err()
                .to_string()
                .contains("no *.yaml file")
        );
        assert!(
            load(folder.path().to_str().unwrap())
                .unwrap_err()
                .to_string()
                .contains("is a directory")
        );
    }

    #[test]
    fn what_is_not_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, b"a: \xff").unwrap();
        assert!(
            load(path.to_str().unwrap())
                .unwrap_err()
                .to_string()
                .contains("line 1, column 4 is not valid UTF-8")
        );
    }
}
