//! `init`, and `run --service`: looks at an existing Service, and writes an experiment about it.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Init;
use super::env::Env;
use super::expected_cluster::with_endpoints;
use super::failure::Failure;
use super::generator::{Bounds, ChosenFault, Request, probed_port};
use super::load::{self, Setting};
use super::report_file::{ReportFile, why};
use super::{block_on, exit, live, print};
use crate::cluster::{Application, Cluster, Node};
use crate::engine::error::RunError;
use crate::engine::plan;
use crate::experiment::{Experiment, Source, typed_service};
use crate::prediction::{ClusterModel, Predictions, Quantity};
use crate::stats::Seconds;
use crate::timeline::ObjectRef;
use crate::yaml::suggest;

const DEFAULT_FAULT: &str = "worker-stop";
/// A fault that nobody detects is held for so long, and one that is at least.
const HOLD: Duration = Duration::from_secs(30);
/// How much longer than its detection a fault is held, so that what follows it is seen.
const AFTER_DETECTION: Duration = Duration::from_secs(20);
/// No recovery is bounded more tightly: how long a machine takes to boot, and an application to
/// start, is not in the model.
const RECOVERY: Duration = Duration::from_secs(60);
const TRIALS: u32 = 1000;
/// The path that is standard output.
pub(super) const STDOUT: &str = "-";

/// What an experiment is written about.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub application: &'a Application,
    pub nodes: &'a [Node],
    pub fault: ChosenFault,
    /// Whether the file names the context that is used: only if somebody has named it.
    pub names_context: bool,
}

/// An experiment that was written, and what was chosen for it.
pub(super) struct Written {
    pub source: Source,
    pub chosen: Vec<String>,
    /// What `--context` has to name, as the file names no context.
    needs_context: Option<String>,
}

pub(super) fn init(args: &Init, env: &Env) -> Result<u8, Failure> {
    let (context, kubeconfig) = (args.context.as_deref(), args.kubeconfig.as_deref());
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    // Whoever redirects standard output wants the experiment there.
    let asks_for_file = asks && std::io::stdout().is_terminal();
    args.save.as_deref().map_or(Ok(()), refuse_unsavable)?;
    let fault = args.fault.as_deref().map(ChosenFault::named).transpose()?;
    let written = block_on(async {
        let cluster = live::cluster(context, kubeconfig, env).await?;
        complain!("in {}", cluster.context_facts());
        let namespace = args.namespace.as_deref();
        let application = match &args.service {
            Some(service) => application(&cluster, service, namespace).await?,
            None if asks => ask_application(&cluster, namespace).await?,
            None => {
                return Err(Failure::usage("no Service given")
                    .hint("pass --service NAMESPACE/NAME, or run `init` at a terminal"));
            }
        };
        let nodes = cluster.nodes().await.map_err(RunError::refused_by)?;
        let fault = match fault {
            Some(fault) => fault,
            None if asks => ask_fault(&application, &nodes)?,
            None => ChosenFault::named(DEFAULT_FAULT)?,
        };
        let names_context = match context {
            Some(_) => true,
            None => asks && confirm_context(cluster.context())?,
        };
        let wish = Wish { application: &application, nodes: &nodes, fault, names_context };
        write(&cluster, wish).await
    })?;
    written.chosen.iter().for_each(|line| complain!("   {line}"));
    let saved = match args.save.as_deref() {
        None if asks_for_file => ask_path(&written)?,
        path => written.deliver(path.unwrap_or(Path::new(STDOUT)))?,
    };
    if let Some(path) = saved {
        complain!("next: {}", next(&path, written.needs_context.as_deref(), kubeconfig));
    }
    Ok(exit::PASS)
}

/// A Service that an experiment can be about. `namespace`: where a bare name is looked for.
pub(super) async fn application(
    cluster: &Cluster,
    service: &ObjectRef,
    namespace: Option<&str>,
) -> Result<Application, Failure> {
    let own = namespace.unwrap_or(cluster.default_namespace());
    let namespace = service.namespace_or(own);
    let read = cluster.application(namespace, &service.name).await;
    let application = plan::found(read, "Service", namespace, &service.name)?;
    probed_port(&application)?;
    Ok(application)
}

/// Looks at the cluster, and writes.
pub(super) async fn write(cluster: &Cluster, wish: Wish<'_>) -> Result<Written, Failure> {
    let Wish { application, nodes, fault, names_context } = wish;
    let (facts, warnings) = live::facts_of(cluster).await?;
    warnings.iter().for_each(|warning| complain!("warning: {warning}"));
    let context = names_context.then_some(cluster.context());
    let request = Request { application, fault, context, nodes };
    let name = ObjectRef::new(Some(&application.namespace), &application.service).to_string();
    let model = with_endpoints(ClusterModel::of_cluster(&facts), &name, &application.endpoints);
    // Each needs what was found before it: whether the fault lasts long enough to be detected
    // decides how long clients see errors.
    let first = predicted(&request, HOLD, &model)?;
    let hold = first.detection.map_or(HOLD, |detection| {
        let whole = (detection + AFTER_DETECTION).as_secs();
        Duration::from_secs(whole.next_multiple_of(5)).max(HOLD)
    });
    let bounds = predicted(&request, hold, &model)?;
    let text = request.text(hold, &bounds)?;
    read(&text)?;
    let name = format!("{}-{}.yaml", application.service, fault.name);
    let chosen = request.chosen(hold, &bounds)?;
    let needs_context = (!names_context).then(|| cluster.context().to_owned());
    Ok(Written { source: Source::from_text(name, text, ""), chosen, needs_context })
}

impl Written {
    /// Prints it, or saves it as a new file, whose path is returned.
    fn deliver(&self, path: &Path) -> Result<Option<PathBuf>, Failure> {
        if path == Path::new(STDOUT) {
            print(self.source.text().trim_end());
            return Ok(None);
        }
        self.save(path).map(|()| Some(path.to_owned()))
    }

    /// Saves it as a new file.
    pub(super) fn save(&self, path: &Path) -> Result<(), Failure> {
        save(path, self.source.text())
    }
}

/// Writes a new file.
pub(super) fn save(path: &Path, text: &str) -> Result<(), Failure> {
    let written =
        std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => cannot_write(path, &e),
    })?;
    complain!("saved as {}", path.display());
    Ok(())
}

/// Refuses a path to which nothing could be saved, before anything else is done.
pub(super) fn refuse_unsavable(path: &Path) -> Result<(), Failure> {
    if path == Path::new(STDOUT) {
        return Ok(());
    }
    if path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    ReportFile::writable(path).map(drop).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {}", path.display(), why(error)))
}

fn exists(path: &Path) -> Failure {
    Failure::usage(format!("cannot write {}: it exists already", path.display()))
        .hint("choose another path, or remove the file first")
}

/// What the model predicts of an experiment that lasts so long.
fn predicted(
    request: &Request<'_>,
    hold: Duration,
    model: &ClusterModel,
) -> Result<Bounds, Failure> {
    let experiment = read(&request.text(hold, &Bounds::default())?)?;
    let predictions = Predictions::new(Some(experiment), model.clone(), TRIALS, 1);
    let longest = |quantity| predictions.longest(quantity, 0).ok();
    Ok(Bounds {
        detection: longest(Quantity::Detection).map(with_margin),
        error_window: longest(Quantity::ErrorWindow(request.probe())).map(with_margin),
        recovery: longest(Quantity::Recovery).map(|length| whole(length).max(RECOVERY)),
    })
}

/// The bound for what the model says takes at most so long. A machine under load is slower than the
/// model, and that is no reason to fail.
fn with_margin(longest: Seconds) -> Duration {
    whole((longest.as_f64() * 1.25 + 5.0).into())
}

/// Rounded up.
fn whole(length: Seconds) -> Duration {
    Duration::from_secs(length.as_f64().ceil().max(1.0) as u64)
}

/// The command to go on with.
fn next(path: &Path, context: Option<&str>, kubeconfig: Option<&Path>) -> String {
    let option = |name: &str, value: Option<&str>| {
        value.map_or(String::new(), |value| format!(" --{name} {}", for_shell(value)))
    };
    let kubeconfig = kubeconfig.map(Path::to_string_lossy);
    format!(
        "kubectl outage run -f {} --dry-run{}{}",
        for_shell(&path.to_string_lossy()),
        option("context", context),
        option("kubeconfig", kubeconfig.as_deref())
    )
}

/// A text as one word of a shell's command.
fn for_shell(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A file that names a context needs no `--context` to inject a fault: nobody has typed the current
/// one.
fn confirm_context(context: &str) -> Result<bool, Failure> {
    let question = format!(
        "Name context {context} in the file? Without it, a run needs --context (yes or no)"
    );
    until_usable(|| match &*ask(&question, "answer", Some("no"))?.to_ascii_lowercase() {
        "y" | "yes" => Ok(Ok(true)),
        "n" | "no" => Ok(Ok(false)),
        other => Ok(Err(Failure::usage(format!("{other} is neither yes nor no")))),
    })
}

/// What was written is read like every other experiment.
fn read(text: &str) -> Result<Experiment, Failure> {
    match load::checked(Source::from_text("the experiment", text, ""), Setting::OWN) {
        Ok(mut all) => Ok(all.swap_remove(0).experiment),
        Err(problems) => Err(RunError::failed(format!(
            "internal error, please report it: the experiment that was written is not valid: \
             {problems}"
        ))
        .into()),
    }
}

async fn ask_application(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Result<Application, Failure> {
    let mut names = cluster.service_names().await.map_err(RunError::refused_by)?;
    names.retain(|name| match namespace {
        Some(namespace) => name.split('/').next() == Some(namespace),
        None => name != "default/kubernetes" && !name.starts_with("kube-system/"),
    });
    if names.is_empty() {
        let place =
            namespace.map_or(String::new(), |namespace| format!(" in namespace {namespace}"));
        return Err(Failure::usage(format!("there is no Service to probe{place}"))
            .hint("`kubectl get services -A` lists all; pass --service NAMESPACE/NAME"));
    }
    list(&names);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    loop {
        let typed = ask_one_of("Service", &names, None)?;
        let own = namespace.unwrap_or(cluster.default_namespace());
        let found = match listed_service(&typed, &names, own) {
            Ok(service) => application(cluster, &service, namespace).await,
            Err(wrong) => Err(wrong),
        };
        match found {
            Ok(application) => return Ok(application),
            Err(wrong) => drop(wrong.report()),
        }
    }
}

/// The Service that an answer means. A bare name is one of the namespace `own`, or the only listed
/// one of that name.
fn listed_service(typed: &str, listed: &[&str], own: &str) -> Result<ObjectRef, Failure> {
    let service = typed_service(typed).map_err(Failure::usage)?;
    let name = service.name.as_str();
    if service.namespace.is_some() || listed.contains(&&*format!("{own}/{name}")) {
        return Ok(ObjectRef::new(Some(service.namespace_or(own)), name));
    }
    let bare = |full: &str| full.rsplit('/').next().unwrap_or_default().to_owned();
    let called = |name: &str| -> Vec<&str> {
        listed.iter().copied().filter(|full| bare(full) == name).collect()
    };
    let (what, meant) = match called(name)[..] {
        [only] => return typed_service(only).map_err(Failure::usage),
        [] => {
            let names: Vec<String> = listed.iter().map(|full| bare(full)).collect();
            let near = suggest::closest(name, names.iter().map(String::as_str));
            (format!("no listed Service is called {name}"), near.map(called).unwrap_or_default())
        }
        _ => (format!("several Services are called {name}"), called(name)),
    };
    let hint = match meant.is_empty() {
        true => "choose one by its number".to_owned(),
        false => format!("did you mean {}?", suggest::listed(&meant, "or")),
    };
    Err(Failure::usage(what).hint(hint))
}

/// One that hits the application.
fn ask_fault(application: &Application, nodes: &[Node]) -> Result<ChosenFault, Failure> {
    list(ChosenFault::described());
    let names = ChosenFault::names().collect::<Vec<_>>();
    until_usable(|| {
        let fault = ChosenFault::named(&ask_one_of("fault", &names, Some(DEFAULT_FAULT))?);
        Ok(fault.and_then(|fault| {
            Request { application, fault, context: None, nodes }.port().map(|_| fault)
        }))
    })
}

/// Saves it where there is nothing yet.
fn ask_path(written: &Written) -> Result<Option<PathBuf>, Failure> {
    until_usable(|| {
        let path = ask("New file, or - to print it", "file", Some(written.source.name()))?;
        Ok(written.deliver(Path::new(&path)))
    })
}

/// Asks again, after saying what is wrong with an answer, until one can be used. Errors where there
/// are no more answers.
fn until_usable<T>(
    mut answer: impl FnMut() -> Result<Result<T, Failure>, Failure>,
) -> Result<T, Failure> {
    loop {
        match answer()? {
            Ok(usable) => return Ok(usable),
            Err(wrong) => drop(wrong.report()),
        }
    }
}

fn list(all: impl IntoIterator<Item = impl Display>) {
    for (index, name) in all.into_iter().enumerate() {
        complain!("  {:2}  {name}", index + 1);
    }
}

/// By its number or its name.
fn ask_one_of(what: &str, all: &[&str], default: Option<&str>) -> Result<String, Failure> {
    let prompt = format!("{}{} (number or name)", what[..1].to_ascii_uppercase(), &what[1..]);
    until_usable(|| {
        let answer = ask(&prompt, what, default)?;
        Ok(match answer.parse::<usize>().map(|number| all.get(number.wrapping_sub(1))) {
            Ok(Some(name)) => Ok((*name).to_owned()),
            Ok(None) => Err(Failure::usage(format!("choose a number from 1 to {}", all.len()))),
            Err(_) => Ok(answer),
        })
    })
}

/// Asks for something that is called `what`, until there is an answer.
fn ask(prompt: &str, what: &str, default: Option<&str>) -> Result<String, Failure> {
    let shown = default.map_or(String::new(), |default| format!(" [{default}]"));
    loop {
        complain!("{prompt}{shown}:");
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        let read = read.map_err(|e| Failure::usage(format!("cannot read the answer: {e}")))?;
        match (line.trim(), default) {
            _ if read == 0 => return Err(Failure::usage(format!("no {what} given"))),
            ("", Some(default)) => return Ok(default.to_owned()),
            ("", None) => complain!("error: type the {what}, or Ctrl-C to stop"),
            (answer, _) => return Ok(answer.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Colour, Global};

    #[test]
    fn a_bound_has_a_margin() {
        let bound = |seconds: f64| with_margin(Seconds::from(seconds)).as_secs();
        assert_eq!([bound(0.0), bound(40.0), bound(40.1)], [5, 55, 56]);
    }

    #[test]
    fn the_next_command_can_be_pasted() {
        let next = |path: &str, context: Option<&str>, kubeconfig: Option<&str>| {
            next(path.as_ref(), context, kubeconfig.map(Path::new))
        };
        assert_eq!(next("a/b.yaml", None, None), "kubectl outage run -f a/b.yaml --dry-run");
        assert_eq!(
            next("it's mine.yaml", None, Some("$x")),
            r"kubectl outage run -f 'it'\''s mine.yaml' --dry-run --kubeconfig '$x'"
        );
        assert_eq!(
            next("b.yaml", Some("kind-pdx"), Some("kc")),
            "kubectl outage run -f b.yaml --dry-run --context kind-pdx --kubeconfig kc"
        );
    }

    #[test]
    fn a_bare_name_is_that_of_a_listed_service() {
        let names = ["data/db", "data/web", "default/api", "shop/api", "shop/cart"];
        let in_namespace = |typed: &str, own: &str| {
            let found = listed_service(typed, &names, own);
            found.map(|it| it.to_string()).map_err(|wrong| wrong.text())
        };
        let listed = |typed: &str| in_namespace(typed, "default");
        assert_eq!(listed("web"), Ok("data/web".into()));
        assert_eq!(listed("api"), Ok("default/api".into()), "the context's own namespace first");
        assert_eq!(listed("kube-system/kube-dns"), Ok("kube-system/kube-dns".into()));
        let near = listed("crat").unwrap_err();
        assert!(near.contains("no listed Service is called crat"), "{near}");
        assert!(near.contains("hint: did you mean `shop/cart`?"), "{near}");
        let several = in_namespace("api", "other").unwrap_err();
        assert!(several.contains("several Services are called api"), "{several}");
        assert!(several.contains("did you mean `default/api` or `shop/api`?"), "{several}");
        assert!(listed("Web!").unwrap_err().contains("expected a Service"));
    }

    #[test]
    fn what_is_typed_wrongly_is_refused_before_the_cluster_is_asked() {
        let args = Init {
            service: None,
            fault: Some("worker-stp".into()),
            namespace: None,
            save: None,
            context: None,
            kubeconfig: Some("/does/not/exist".into()),
        };
        let global = Global { runs_dir: None, color: Colour::Never };
        let refused = init(&args, &Env::read(&global).unwrap()).unwrap_err();
        assert_eq!((refused.code, &*refused.line()), (exit::USAGE, "unknown fault worker-stp"));
    }

    #[test]
    fn an_existing_file_is_refused_with_a_hint() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.yaml");
        assert!(refuse_unsavable(&path).is_ok() && refuse_unsavable(Path::new(STDOUT)).is_ok());
        std::fs::write(&path, "mine").unwrap();
        let refused = refuse_unsavable(&path).unwrap_err();
        assert_eq!(refused.code, exit::USAGE);
        assert!(refused.text().contains("exists already\n\nhint: choose another path"));
        let source = Source::from_text("x", "other".to_owned(), "");
        let written = Written { source, chosen: Vec::new(), needs_context: None };
        assert_eq!(written.save(&path).unwrap_err().text(), refused.text());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let saved = written.deliver(&root.path().join("y.yaml")).unwrap();
        assert_eq!(std::fs::read_to_string(saved.unwrap()).unwrap(), "other");
        assert_eq!(written.deliver(Path::new(STDOUT)).unwrap(), None);
        assert!(!Path::new(STDOUT).exists());
        let absent = root.path().join("sub/x.yaml");
        let refused = refuse_unsavable(&absent).unwrap_err().text();
        assert!(refused.contains("sub/x.yaml: its directory does not exist"), "{refused}");
        assert_eq!(written.save(&absent).unwrap_err().text(), refused);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2, "a check leaves nothing");
    }
}
