//! The program: everything is in the library.

fn main() -> std::process::ExitCode {
    outage::cli::main()
}
