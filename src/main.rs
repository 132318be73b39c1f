//! The program: everything is in the library.

<<<<<<< HEAD
fn main() -> std::process::ExitCode {
    outage::cli::main()
=======
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "agent") {
        let unlink = args.iter().position(|arg| arg == "--unlink").and_then(|at| args.get(at + 1));
        let unlink = unlink.map(std::path::Path::new);
        let served = outage::agent::serve(std::io::stdin(), std::io::stdout(), unlink);
        std::process::exit(i32::from(served.is_err()));
    }
>>>>>>> bb7993ac5c81f230ca819deaf582c0473ffe4a96
}
