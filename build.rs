//! Lists the experiments, the studies, the files that they name, and the kind configs for
//! `src/experiment/builtin.rs`: a file that is added is built in, without a line anywhere.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

const FOLDERS: [&str; 4] =
    ["experiments", "experiments/studies", "experiments/workloads", "kind-configs"];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script where to write")]
fn main() -> io::Result<()> {
    let mut list = String::from("&[\n");
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        let mut paths: Vec<_> =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        paths.sort();
        let files = paths.iter().filter(|path| path.extension().is_some_and(|e| e == "yaml"));
        for path in files.map(|path| path.display()) {
            writeln!(
                list,
                r#"("{path}", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/{path}"))),"#
            )
            .expect("a string takes all text");
        }
    }
    list.push(']');
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("built_in.rs"), list)
}
