//! A study: one experiment in several variants, its cells. What an axis sets is put into the
//! experiment's tree, so that whatever reads an experiment knows nothing of studies: any field can be
//! varied, and each mistake is reported at its place, in the study or in the experiment.
//!
//! ```text
//! study -> draft (decode/study.rs) -> combinations less the excluded -> the experiment's tree with their fields -> Parsed, a cell each
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decode::KIND;
use super::decode::fields::Cx;
use super::decode::study::{self as decode, Axis, AxisValue, Base, Draft, Exclusion};
use super::diagnostic::{Diagnostic, Diagnostics, Location, SourceFile, Span};
use super::files::Setting;
use super::parsed::{self, Parsed};
use super::schema::API_VERSION;
use super::source::Source;
use super::tree::{Node, Value, quoted};
use super::{matrix, suggest, yaml};

/// More than these is a mistake, or a month.
const MOST_CELLS: usize = 100;

/// A study without errors.
#[derive(Clone, Debug)]
pub(crate) struct Study {
    pub name: String,
    pub question: Option<String>,
    pub source: Source,
    /// How often each cell is run.
    pub repeat: u32,
    /// In how many rounds.
    pub rounds: u32,
    /// `None`: a new one.
    pub seed: Option<u64>,
    /// For how many nodes the load is predicted.
    pub nodes: u32,
    pub cells: Vec<Cell>,
    pub warnings: Diagnostics,
}

/// One combination of a study's values, and the experiment with them.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// `settings=tuned,fault=nodeKill`; `all` where nothing is varied.
    pub name: String,
    pub choices: Vec<Choice>,
    /// It is called `STUDY[CELL]`.
    pub parsed: Parsed,
}

/// The value that a cell has on an axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Choice {
    /// The axis.
    pub axis: String,
    /// The name of its value.
    pub value: String,
}

/// A study, read: the cells that could be understood, each with what is wrong with it so far.
pub(crate) struct StudyReading {
    /// Whoever knows more may add to the problems of its cells.
    pub study: Study,
    problems: Diagnostics,
    inserted: Inserted,
}

/// How what comes from the study is told from the rest of an experiment that has a file of its own:
/// its places lie behind the end of that file's text.
#[derive(Clone)]
struct Inserted {
    study: Arc<SourceFile>,
    /// The experiment's file; `None`: it is in the study itself.
    base: Option<Arc<SourceFile>>,
}

impl Inserted {
    fn offset(&self) -> usize {
        self.base.as_ref().map_or(0, |base| base.text.len() + 1)
    }

    fn moved(&self, node: &Node) -> Node {
        let by = self.offset();
        let shift = |span: Span| Span { start: span.start + by, end: span.end + by, ..span };
        let value = match &node.value {
            Value::List(items) => Value::List(items.iter().map(|item| self.moved(item)).collect()),
            Value::Map(entries) => Value::Map(
                entries.iter().map(|(key, node)| (key.clone(), self.moved(node))).collect(),
            ),
            scalar => scalar.clone(),
        };
        Node { value, span: shift(node.span), key: node.key.map(shift), short: node.short }
    }

    /// The same problem at its real place.
    fn located(&self, mut problem: Diagnostic) -> Diagnostic {
        let places = problem.at.iter_mut().chain(problem.related.iter_mut().map(|it| &mut it.at));
        places.for_each(|place| self.locate(place));
        problem
    }

    fn locate(&self, place: &mut Location) {
        let Some(base) = &self.base else { return };
        let by = self.offset();
        if Arc::ptr_eq(&place.file, base) && place.span.start >= by {
            place.file = self.study.clone();
            place.span =
                Span { start: place.span.start - by, end: place.span.end - by, ..place.span };
        }
    }
}

impl StudyReading {
    /// The study, or all that is wrong with it and its cells, each once.
    pub(crate) fn finish(mut self) -> Result<Study, Diagnostics> {
        let located = |all: Diagnostics| all.into_iter().map(|one| self.inserted.located(one));
        let mut all: Diagnostics = located(self.problems).collect();
        for cell in &mut self.study.cells {
            let warnings: Diagnostics =
                located(std::mem::take(&mut cell.parsed.warnings)).collect();
            all.add_new(warnings.clone());
            cell.parsed.warnings = warnings;
        }
        all.sort();
        if all.iter().any(|one| !is_warning(one)) {
            return Err(all);
        }
        Ok(Study { warnings: all, ..self.study })
    }
}

fn is_warning(one: &Diagnostic) -> bool {
    !one.is_error() && !one.is_open()
}

/// Reads and checks a study, its experiment, and the files that this names.
pub(crate) fn read_study(source: Source, setting: Setting) -> StudyReading {
    let mut problems = Diagnostics::default();
    let documents = yaml::parse(source.file(), &mut problems);
    let root = documents.and_then(|all| parsed::only_document(&source, all, &mut problems));
    let cx = Cx::new(source.file());
    let draft = root.and_then(|root| decode::study(&cx, &root)).unwrap_or_default();
    let mut inserted = Inserted { study: source.file().clone(), base: None };
    let mut study = Study {
        name: draft.name.clone().unwrap_or_else(|| "study".into()),
        question: draft.question.clone(),
        repeat: draft.repeat.unwrap_or(1),
        rounds: draft.rounds.flatten().unwrap_or(u32::MAX).min(draft.repeat.unwrap_or(1)),
        seed: draft.seed.flatten().map(u64::from),
        nodes: draft.nodes.unwrap_or(1),
        cells: Vec::new(),
        warnings: Diagnostics::default(),
        source: source.clone(),
    };
    let base = draft.base.as_ref().and_then(|base| load(&cx, &source, base, &study.name));
    let combinations = combinations(&cx, &draft);
    problems.extend(cx.into_problems());
    if let Some((base, root)) = base {
        if !Arc::ptr_eq(base.file(), source.file()) {
            inserted.base = Some(base.file().clone());
        }
        for values in combinations {
            let cell = Variation { values, base: &base, root: &root, inserted: &inserted };
            match cell.read(&study.name, setting) {
                Ok(cell) => study.cells.push(cell),
                Err(wrong) => problems.add_new(wrong),
            }
        }
    }
    StudyReading { study, problems, inserted }
}

/// The experiment, as a source and a tree.
fn load(cx: &Cx, study: &Source, base: &Base, name: &str) -> Option<(Source, Node)> {
    match base {
        Base::Inline(spec) => {
            let text = |text: &str| Node {
                value: Value::Scalar { text: text.to_owned(), plain: true },
                ..spec.clone()
            };
            let map = |entries: Vec<(&str, Node)>| Node {
                value: Value::Map(
                    entries.into_iter().map(|(key, it)| (key.to_owned(), it)).collect(),
                ),
                ..spec.clone()
            };
            let root = map(vec![
                ("apiVersion", text(API_VERSION)),
                ("kind", text(KIND)),
                ("metadata", map(vec![("name", text(name))])),
                ("spec", spec.clone()),
            ]);
            Some((study.clone(), root))
        }
        Base::Named { text, at } => {
            let loaded = study.load_beside(text).and_then(|source| {
                let mut problems = Diagnostics::default();
                let documents = yaml::parse(source.file(), &mut problems);
                let root =
                    documents.and_then(|all| parsed::only_document(&source, all, &mut problems));
                root.map(|root| (source, root)).ok_or(problems)
            });
            loaded
                .map_err(|problems| {
                    problems.into_iter().for_each(|one| match &one.at {
                        Some(_) => cx.report(one),
                        None => cx.report(one.at(cx.file(), *at)),
                    });
                })
                .ok()
        }
    }
}

/// Every combination of the axes' values but those that are excluded: of the last axis the fastest.
fn combinations<'d>(cx: &Cx, draft: &'d Draft) -> Vec<Vec<(&'d str, &'d AxisValue)>> {
    let axes = draft.matrix.as_deref().unwrap_or_default();
    let mut all: Vec<Vec<(&str, &AxisValue)>> = vec![Vec::new()];
    for axis in axes {
        if all.len() * axis.values.len() > MOST_CELLS {
            let at =
                axis.values[0].set.first().map_or_else(Span::default, |(_, node)| node.focus());
            cx.error_hint::<()>(
                at,
                format!("the matrix makes more than {MOST_CELLS} cells"),
                "split the study",
            );
            return Vec::new();
        }
        all = all
            .iter()
            .flat_map(|cell| {
                axis.values.iter().map(move |value| {
                    cell.iter().copied().chain([(axis.name.as_str(), value)]).collect()
                })
            })
            .collect();
    }
    let before = all.len();
    for exclusion in draft.exclude.iter().flatten() {
        if !is_known(cx, exclusion, axes) {
            continue;
        }
        let count = all.len();
        all.retain(|cell| !excludes(exclusion, cell));
        if all.len() == count {
            cx.error::<()>(exclusion.at, "this excludes no cell that another line does not");
        }
    }
    if all.is_empty() && before > 0 {
        let at = draft.exclude.iter().flatten().next().map_or_else(Span::default, |it| it.at);
        cx.error::<()>(at, "every cell of the study is excluded");
    }
    all
}

/// Whether all that an exclusion names is in the matrix; reports what is not.
fn is_known(cx: &Cx, exclusion: &Exclusion, axes: &[Axis]) -> bool {
    let mut known = true;
    for excluded in &exclusion.of {
        let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
        let Some(axis) = axes.iter().find(|axis| axis.name == excluded.axis) else {
            known = false;

            let hint = match axes.is_empty() {
                true => Some("add a `matrix`: without one there is a single cell".into()),
                false => suggest::hint(&excluded.axis, &names, "the matrix has"),
            };
            let message = format!("the matrix has no axis {}", quoted(&excluded.axis));
            cx.report(Diagnostic::error(message).at(cx.file(), excluded.at).hint_if(hint));
            continue;
        };
        let values: Vec<&str> = axis.values.iter().map(|value| value.name.as_str()).collect();
        for value in excluded.values.iter().filter(|value| !values.contains(&value.name.as_str())) {
            known = false;
            let hint = suggest::hint(&value.name, &values, "its values are");
            let message = format!("{} is not a value of {}", quoted(&value.name), excluded.axis);
            cx.report(Diagnostic::error(message).at(cx.file(), value.at).hint_if(hint));
        }
    }
    known
}

fn excludes(exclusion: &Exclusion, cell: &[(&str, &AxisValue)]) -> bool {
    exclusion.of.iter().all(|excluded| {
        cell.iter().any(|(axis, value)| {
            *axis == excluded.axis && excluded.values.iter().any(|it| it.name == value.name)
        })
    })
}

/// A cell that is to be read.
struct Variation<'s> {
    values: Vec<(&'s str, &'s AxisValue)>,
    base: &'s Source,
    root: &'s Node,
    inserted: &'s Inserted,
}

impl Variation<'_> {
    fn read(&self, study: &str, setting: Setting) -> Result<Cell, Diagnostics> {
        let mut root = self.root.clone();
        let (mut problems, file) = (Diagnostics::default(), self.base.file());
        for (path, node) in self.values.iter().flat_map(|(_, value)| &value.set) {
            let node = self.inserted.moved(node);
            let at = node.key.unwrap_or(node.span);
            if let Err(place) = root.set(&format!("spec.{path}"), node) {
                let message =
                    format!("the experiment has no {}", place.trim_start_matches("spec."));
                let hint = "fields are named by their paths below `spec`: `method[0].for`";
                problems.push(Diagnostic::error(message).at(file, at).hint(hint));
            }
        }
        if problems.has_errors() {
            return Err(problems);
        }
        let mut variants = matrix::expand(file, &root, &mut problems);
        let (variant, rest) = (variants.swap_remove(0), variants.len());
        if rest > 0 {
            let at = variant.root.find("spec.method").0.focus();
            let message = "an experiment in a study must not have lists of settings";
            let hint = "make it an axis of the matrix: `method[0].for: [10s, 1m]`";
            return Err(Diagnostic::error(message).at(file, at).hint(hint).into());
        }
        let mut parsed = parsed::one(self.base.clone(), variant, problems, setting)?;
        let choice = |(axis, value): &(&str, &AxisValue)| Choice {
            axis: (*axis).to_owned(),
            value: value.name.clone(),
        };
        let choices: Vec<Choice> = self.values.iter().map(choice).collect();
        let named = choices.iter().map(|choice| format!("{}={}", choice.axis, choice.value));
        let name = match choices.is_empty() {
            true => "all".to_owned(),
            false => named.collect::<Vec<_>>().join(","),
        };
        parsed.experiment.name = format!("{study}[{name}]");
        Ok(Cell { name, choices, parsed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::source::{built_in_studies, is_study, load_study};

    const HEAD: &str = "apiVersion: outage/v1alpha1\nkind: Study\nmetadata: {name: s}\nspec:\n";

    fn reading(spec: &str) -> Result<Study, String> {
        let source = Source::from_text("s.yaml", format!("{HEAD}{spec}"), "");
        read_study(source, Setting::OWN).finish().map_err(|problems| problems.to_string())
    }

    fn names(spec: &str) -> Vec<String> {
        let study = reading(spec).unwrap_or_else(|problems| panic!("{problems}"));
        study.cells.into_iter().map(|cell| cell.name).collect()
    }

    const MATRIX: &str = "  experiment: worker-stop-fast
  matrix:
    settings:
    - {name: tuned, set: {cluster.kind.config: ../kind-configs/fast-detection.yaml}}
    - name: default
      set:
        cluster.kind.config: ../kind-configs/default.yaml
        method[0].for: 75s
        blastRadius: {maxWorkers: 1}
    method[0].fault:
    - nodeStop: {target: {role: worker}}
    - nodePause: {target: {role: worker}}
";

    #[test]
    fn any_field_of_the_experiment_is_an_axis() {
        let study = reading(MATRIX).unwrap();
        let cells: Vec<&str> = study.cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(
            cells,
            [
                "settings=tuned,method[0].fault=nodeStop",
                "settings=tuned,method[0].fault=nodePause",
                "settings=default,method[0].fault=nodeStop",
                "settings=default,method[0].fault=nodePause"
            ]
        );
        let last = &study.cells[3].parsed;
        assert_eq!(last.kind_config.as_ref().unwrap().name, "outage-default");
        assert_eq!(last.experiment.method[0].lasts().as_secs(), 75);
        assert_eq!(last.experiment.name, "s[settings=default,method[0].fault=nodePause]");
        assert_eq!((study.repeat, study.rounds, study.nodes), (10, 10, 1000));
    }

    #[test]
    fn excluded_cells_are_left_out_and_each_line_excludes_one() {
        let with = |line: &str| format!("{MATRIX}  exclude:\n  - {line}\n");
        let cells = names(&with("{settings: default, 'method[0].fault': [nodePause, nodeStop]}"));
        assert_eq!(cells.len(), 2);
        let problem = reading(&with("{setings: default}")).unwrap_err();
        assert!(problem.contains("no axis `setings` (did you mean `settings`?)"), "{problem}");
        let problem = reading(&with("{settings: defualt}")).unwrap_err();
        assert!(
            problem.contains("`defualt` is not a value of settings (did you mean"),
            "{problem}"
        );
        let problem = reading(&with("{settings: default}\n  - {settings: default}")).unwrap_err();
        assert!(problem.contains("s.yaml:19:5: error: this excludes no cell"), "{problem}");
        let problem = reading(&with("{settings: [default, tuned]}")).unwrap_err();
        assert!(problem.contains("every cell of the study is excluded"), "{problem}");
    }

    #[test]
    fn a_mistake_is_reported_once_at_its_place_in_the_study() {
        let wrong = MATRIX.replace("75s", "75").replace("nodePause:", "nodePaus:");
        let problems = reading(&wrong).unwrap_err();
        let lines: Vec<&str> = problems.lines().collect();
        assert_eq!(lines.len(), 2, "{problems}");
        assert!(
            lines[0].starts_with("s.yaml:12:24: error: ") && lines[0].contains("75"),
            "{problems}"
        );
        assert!(lines[1].contains("s.yaml:16:7: ") && lines[1].contains("nodePause"), "{problems}");
        let field = MATRIX.replace("method[0].for:", "method[0].fro:");
        let problems = reading(&field).unwrap_err();
        assert!(problems.contains("s.yaml:12:9: error: unknown field `fro`"), "{problems}");
        let nowhere = MATRIX.replace("method[0].for:", "method[7].for:");
        let problems = reading(&nowhere).unwrap_err();
        assert!(
            problems.contains("s.yaml:12:9: error: the experiment has no method[7]"),
            "{problems}"
        );
    }

    #[test]
    fn what_is_wrong_with_the_study_itself_is_reported_beside_it() {
        let problems =
            reading("  experiment: worker-stop-fats\n  repeat: 0\n  matrix: {a: []}\n  cells: 3\n")
                .unwrap_err();
        for part in [
            "s.yaml:5:15: error: no such file or built-in experiment: `worker-stop-fats` (did you mean",
            "expected a whole number from 1 to 1000, found `0`",
            "expected the values of the axis `a`",
            "unknown field `cells`",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
        let twice =
            reading("  experiment: worker-stop-fast\n  matrix: {workloadTimeout: [1m, 1m]}\n");
        assert!(twice.unwrap_err().contains("two values of the axis are called `1m`"));
        let list = "  experiment: worker-stop-fast\n  matrix: {a: [{name: x, set: {method[0].for: [5s, 6s]}}]}\n";
        let list =
            reading(&list.replace("{method[0].for: [5s, 6s]}", "{'method[0].for': [5s, 6s]}"));
        assert!(list.unwrap_err().contains("must not have lists of settings"));
    }

    #[test]
    fn an_experiment_may_be_in_the_study_itself() {
        let good = include_str!("testdata/good.yaml");
        let spec: Vec<String> = good
            .lines()
            .skip_while(|line| *line != "spec:")
            .skip(1)
            .map(|line| format!("  {line}"))
            .collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/experiment/testdata");
        let text = format!("{HEAD}  repeat: 3\n  experiment:\n{}\n", spec.join("\n"));
        let read = |text: String| {
            read_study(Source::from_text("s.yaml", text, folder), Setting::OWN).finish()
        };
        // Its kind config is made by the tests of the experiment's reader, and is not there.
        let problems = read(text).map(|study| study.cells.len()).map_err(|all| all.to_string());
        match problems {
            Ok(cells) => assert_eq!(cells, 1),
            Err(problems) => {
                assert!(problems.lines().all(|line| line.contains("kind.yaml")), "{problems}");
            }
        }
    }

    #[test]
    fn something_else_is_not_a_study() {
        let text = HEAD.replace("Study", "Experiment");
        let source = Source::from_text("s.yaml", text, "");
        assert!(!is_study(&source));
        let problems = read_study(source, Setting::OWN).finish().unwrap_err().to_string();
        assert!(problems.contains("expected the kind `Study`, found `Experiment`"), "{problems}");
        assert!(is_study(&Source::from_text("s.yaml", HEAD, "")));
    }

    #[test]
    fn every_built_in_study_is_right_and_named_as_its_file() {
        for name in built_in_studies() {
            let study = read_study(load_study(name).unwrap(), Setting::OWN).finish();
            let study = study.unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!((study.name.as_str(), study.warnings.to_string()), (name, String::new()));
            assert!(study.question.is_some() && !study.cells.is_empty(), "{name}");
        }
    }
}
