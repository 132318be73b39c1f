//! The prober compared with its peers, one after the other, in one run: `cargo bench --bench prober
//! [-- --seconds N --rounds N]`.
//!
//! - floor: one thread, blocking sockets, paced with an absolute `clock_nanosleep`: the minimum cost of a paced new connection
//! - ours: the prober of this crate
//! - oha: if it is installed (`cargo install oha`)
//! - article: the loop of bash and curl, closed loop, as fast as it goes
//!
//! Each peer is a separate process that asks a server in another process over loopback; CPU is what
//! the kernel charged to the peer's process. Goals: CPU per attempt at most 1.3x the floor and
//! 0.75x oha; sent at most 60 us late at p50 and 0.6 ms at p99; into a blackhole every slot sent,
//! every socket closed at its deadline, at most 8 MiB.

#![allow(clippy::disallowed_methods)] // a program of its own, with an environment and arguments

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use outage::probe::NameService;
use outage::probe::testing::{Found, http_probe, probe_while};
use outage::timeline::{Moment, Outcome};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const RATE: f64 = 1000.0;
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nX-Backend: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |at: usize| args[at].parse::<u64>();
    match args.first().map(String::as_str) {
        Some("serve") => serve(),
        Some("ours") => ours(number(1)? as u16, number(2)?),
        Some("floor") => floor(number(1)? as u16, number(2)?),
        Some("blackhole") => blackhole(number(1)?),
        _ => compare(option(&args, "--seconds", 10), option(&args, "--rounds", 3)),
    }
}

fn option(args: &[String], name: &str, default: u64) -> u64 {
    let at = args.iter().position(|arg| arg == name);
    at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
}

/// Answers until its stdin ends.
fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream);
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    if stream.read(&mut [0; 1024])? > 0 { stream.write_all(ANSWER) } else { Ok(()) }
}

fn names() -> NameService {
    NameService::parse("", "")
}

fn ours(port: u16, seconds: u64) -> Result<()> {
    let spec =
        http_probe("ours", (Ipv4Addr::LOCALHOST, port).into(), RATE, Duration::from_millis(200));
    let found =
        probe_while(vec![spec], names(), || std::thread::sleep(Duration::from_secs(seconds)))
            .remove(0);
    let late = lateness(&found);
    let failed = found.attempts.iter().filter(|attempt| attempt.outcome.is_failure()).count();
    println!("{} {} {} {} {}", found.attempts.len(), late(0.5), late(0.99), late(1.0), failed);
    Ok(())
}

fn lateness(found: &Found) -> impl Fn(f64) -> u64 {
    let mut late: Vec<u64> = found.attempts.iter().map(|attempt| attempt.late_us).collect();
    late.sort_unstable();
    move |q| {
        late.get(((late.len() as f64 * q) as usize).min(late.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    }
}

fn floor(port: u16, seconds: u64) -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (start, interval) = (Moment::now(), (1e9 / RATE) as u64);
    let (mut late, mut failed) = (Vec::new(), 0);
    for slot in 0..seconds * RATE as u64 {
        let due = Moment(start.0 + slot * interval);
        sleep_until(due)?;
        late.push((Moment::now().0 - due.0) / 1000);
        failed += usize::from(ask(address).is_err());
    }
    late.sort_unstable();
    println!(
        "{} {} {} {} {failed}",
        late.len(),
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1]
    );
    Ok(())
}

fn ask(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    stream.write_all(REQUEST)?;
    if stream.read(&mut [0; 1024])? == 0 {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn sleep_until(due: Moment) -> Result<()> {
    let request = rustix::time::Timespec {
        tv_sec: (due.0 / 1_000_000_000) as _,
        tv_nsec: (due.0 % 1_000_000_000) as _,
    };
    Ok(rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &request)?)
}

#[cfg(not(target_os = "linux"))]
fn sleep_until(due: Moment) -> Result<()> {
    std::thread::sleep(due.since(Moment::now()));
    Ok(())
}

/// A listener whose backlog is full: SYNs are dropped, as with a dead node.
fn blackhole(seconds: u64) -> Result<()> {
    let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let listener = socket()?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(1)?;
    let address = TcpListener::from(listener.try_clone()?).local_addr()?;
    let fill: Vec<socket2::Socket> = (0..8).map(|_| socket()).collect::<std::io::Result<_>>()?;
    for client in &fill {
        client.set_nonblocking(true)?;
        let _ = client.connect(&address.into());
    }
    std::thread::sleep(Duration::from_millis(100));
    drop(fill.into_iter().skip(3).collect::<Vec<_>>());
    let before = syn_sent(address.port());
    let spec = http_probe("blackhole", address, RATE, Duration::from_millis(200));
    let (mut memory, mut most) = (0, 0);
    let found = probe_while(vec![spec], names(), || {
        for _ in 0..seconds * 10 {
            std::thread::sleep(Duration::from_millis(100));
            most = most.max(syn_sent(address.port()));
            memory = memory.max(resident_kib());
        }
    });
    let found = &found[0];
    let count = |wanted: fn(Outcome) -> bool| {
        found.attempts.iter().filter(|attempt| wanted(attempt.outcome)).count()
    };
    let over: Vec<u64> = found
        .attempts
        .iter()
        .filter(|a| a.outcome.is_failure())
        .map(|a| a.duration_us() - 200_000)
        .collect();
    let late = lateness(found);
    println!(
        "blackhole at 1000/s, timeout 200 ms, {seconds} s: {} slots, {} not sent, {} timed out, {} cut at the end\n  \
         closed at most {} us after the deadline, at most {} sockets open at once, {} left afterwards\n  \
         late p50 {} us, p99 {} us; at most {:.1} MiB resident in the whole bench process",
        found.attempts.len(),
        count(|outcome| outcome == Outcome::NotSent),
        count(Outcome::is_failure),
        count(|outcome| outcome == Outcome::Cut),
        over.iter().max().unwrap_or(&0),
        most - before.min(most),
        syn_sent(address.port()).saturating_sub(before),
        late(0.5),
        late(0.99),
        memory as f64 / 1024.0,
    );
    Ok(())
}

fn syn_sent(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let remote = format!("0100007F:{port:04X} 02");
    table.lines().filter(|line| line.contains(&remote)).count()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// CPU of all children that have ended, in microseconds.
fn children_us() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no stat")?.1.split_whitespace().collect();
    // cutime and cstime, in ticks of 10 ms, scaled by the kernel to the time actually used.
    Ok((fields[13].parse::<f64>()? + fields[14].parse::<f64>()?) * 10_000.0)
}

struct Server(Child, u16);

fn server() -> Result<Server> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    Ok(Server(child, line.trim().parse()?))
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// CPU per attempt, and the peer's own output.
struct Run {
    cpu_us: f64,
    attempts: f64,
    printed: String,
}

fn run(command: &mut Command, attempts: impl Fn(&str) -> Option<f64>) -> Result<Run> {
    let before = children_us()?;
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let attempts =
        attempts(&printed).ok_or_else(|| format!("no number of attempts in {printed:?}"))?;
    Ok(Run { cpu_us: (children_us()? - before) / attempts, attempts, printed })
}

fn compare(seconds: u64, rounds: u64) -> Result<()> {
    let this = std::env::current_exe()?;
    let first = |printed: &str| printed.split_whitespace().next()?.parse().ok();
    let oha = Command::new("oha").arg("--version").output().is_ok();
    if !oha {
        println!("oha is not installed: left out (cargo install oha)");
    }
    let mut all: Vec<(&str, Vec<Run>)> =
        ["floor", "ours", "oha", "article"].map(|name| (name, Vec::new())).into();
    for round in 1..=rounds {
        let server = server()?;
        let (port, time) = (server.1.to_string(), seconds.to_string());
        for (name, runs) in &mut all {
            let run = match *name {
                "oha" if !oha => continue,
                "oha" => run(&mut oha_command(&port, seconds), oha_attempts)?,
                "article" => run(&mut article(&port, seconds), first)?,
                peer => run(Command::new(&this).args([peer, &port, &time]), first)?,
            };
            println!(
                "round {round} {name:8} {:7.1} us CPU an attempt, {} attempts {}",
                run.cpu_us,
                run.attempts,
                detail(name, &run.printed)
            );
            runs.push(run);
        }
    }
    let median = |name: &str| median(&all.iter().find(|(peer, _)| *peer == name)?.1);
    let ours = median("ours").ok_or("no run")?;
    println!();
    for (name, _) in &all {
        if let Some(cpu_us) = median(name) {
            println!(
                "{name:8} {cpu_us:7.1} us CPU an attempt (median), ours is {:.2}x of it",
                ours / cpu_us
            );
        }
    }
    println!();
    let status = Command::new(&this).args(["blackhole", &seconds.to_string()]).status()?;
    if status.success() { Ok(()) } else { Err("the blackhole bench failed".into()) }
}

fn median(runs: &[Run]) -> Option<f64> {
    let mut all: Vec<f64> = runs.iter().map(|run| run.cpu_us).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

fn detail(name: &str, printed: &str) -> String {
    let words: Vec<&str> = printed.split_whitespace().collect();
    match (name, &*words) {
        ("floor" | "ours", [_, p50, p99, max, failed]) => {
            format!("late p50 {p50} us, p99 {p99} us, max {max} us; {failed} failed")
        }
        _ => String::new(),
    }
}

fn oha_command(port: &str, seconds: u64) -> Command {
    let mut command = Command::new("oha");
    command.args([
        "--no-tui",
        "--disable-keepalive",
        "-q",
        "1000",
        "-c",
        "50",
        "-z",
        &format!("{seconds}s"),
        "--output-format",
        "json",
    ]);
    command.arg(format!("http://127.0.0.1:{port}/"));
    command
}

fn oha_attempts(printed: &str) -> Option<f64> {
    let value: serde_json::Value = serde_json::from_str(printed).ok()?;
    let count = |name: &str| {
        value[name]
            .as_object()
            .map_or(0, |all| all.values().filter_map(serde_json::Value::as_u64).sum::<u64>())
    };
    // It counts workers that are still waiting at the end as errors; they sent nothing.
    let not_sent = value["errorDistribution"]["aborted due to deadline"].as_u64().unwrap_or(0);
    Some((count("statusCodeDistribution") + count("errorDistribution") - not_sent) as f64)
}

/// The article's loop: a new curl for each request, one after the other.
fn article(port: &str, seconds: u64) -> Command {
    let script = format!(
        "n=0; end=$((SECONDS+{seconds})); while [ $SECONDS -lt $end ]; do \
         curl -s -o /dev/null -m 0.2 -w '%{{http_code}}' http://127.0.0.1:{port}/ >/dev/null; date +%H:%M:%S.%N >/dev/null; n=$((n+1)); done; echo $n"
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]);
    command
}
