//! Whether a program can run on a node: judged by its first bytes, before it is uploaded.

/// What a processor is called, by Kubernetes, by the kernel, and in an ELF header.
const PROCESSORS: [(&str, &str, u16); 5] = [
    ("amd64", "x86_64", 62),
    ("arm64", "aarch64", 183),
    ("ppc64le", "powerpc64", 21),
    ("s390x", "s390x", 22),
    ("riscv64", "riscv64", 243),
];

/// Checks that a program is a Linux one for a processor (`amd64` or `x86_64`, `arm64` or `aarch64`;
/// an empty or unknown name agrees with any). The error says what it is instead.
pub(crate) fn check_binary(program: &[u8], processor: &str) -> Result<(), String> {
    let machine =
        elf_machine(program).ok_or_else(|| format!("{} is not a Linux program", kind(program)))?;
    let wanted = PROCESSORS
        .iter()
        .find(|(kubernetes, kernel, _)| processor == *kubernetes || processor == *kernel);
    match wanted {
        Some((name, _, wanted)) if *wanted != machine => Err(format!(
            "the node's architecture is {name}, the program is for {}",
            processor_name(machine)
        )),
        _ => Ok(()),
    }
}

fn elf_machine(program: &[u8]) -> Option<u16> {
    let head = program.get(..20).filter(|head| head.starts_with(b"\x7fELF"))?;
    let bytes = [head[18], head[19]];
    Some(if head[5] == 2 { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

fn processor_name(machine: u16) -> String {
    let known = PROCESSORS.iter().find(|(_, _, number)| *number == machine);
    known.map_or_else(
        || format!("another architecture (ELF machine {machine})"),
        |(name, _, _)| (*name).to_owned(),
    )
}

fn kind(program: &[u8]) -> &'static str {
    match program.get(..4) {
        Some([0xcf | 0xce, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, 0xbe]) => "a macOS program",
        Some([b'M', b'Z', ..]) => "a Windows program",
        Some([b'#', b'!', ..]) => "a script",
        _ => "the file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16) -> Vec<u8> {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(18, 0);
        head.extend_from_slice(&machine.to_le_bytes());
        head.resize(64, 0);
        head
    }

    #[test]
    fn a_program_must_fit_the_processor() {
        assert_eq!(check_binary(&elf(62), "amd64"), Ok(()));
        assert_eq!(check_binary(&elf(183), "aarch64"), Ok(()));
        assert_eq!(check_binary(&elf(62), ""), Ok(()));
        assert_eq!(
            check_binary(&elf(62), "arm64").unwrap_err(),
            "the node's architecture is arm64, the program is for amd64"
        );
    }

    #[test]
    fn what_is_no_linux_program_is_named() {
        assert_eq!(
            check_binary(&[0xcf, 0xfa, 0xed, 0xfe, 7], "arm64").unwrap_err(),
            "a macOS program is not a Linux program"
        );
        assert_eq!(
            check_binary(b"#!/bin/sh\n", "amd64").unwrap_err(),
            "a script is not a Linux program"
        );
        assert_eq!(check_binary(b"", "amd64").unwrap_err(), "the file is not a Linux program");
    }
}
