//! A small disk that can be filled, or fail.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Goes {
    Full,
    ReadOnly,
}

/// A file system of its own, mounted until it is dropped.
pub(crate) struct Disk {
    path: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// Why there can be none, if not.
    pub(crate) fn new(home: &Path, name: &str) -> Result<Self, String> {
        const SIZE: u64 = 96 << 20;
        let path = home.join(name);
        let image = home.join(format!("{name}.image"));
        std::fs::create_dir_all(&path).map_err(|e| e.to_string())?;
        let sized = File::create(&image).and_then(|file| file.set_len(SIZE));
        sized.map_err(|e| e.to_string())?;
        run(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        let disk = Self { path, image };
        disk.mount()?;
        Ok(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn goes(&self, how: Goes) -> Result<(), String> {
        match how {
            Goes::Full => {
                let mut file = File::create(self.filler()).map_err(|e| e.to_string())?;
                while file.write_all(&[1; 1 << 16]).is_ok() {}
                while file.write_all(&[1]).is_ok() {}
                file.sync_all().or(Ok(()))
            }
            // What ext4 does when its device fails.
            Goes::ReadOnly => {
                run(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.path))
            }
        }
    }

    /// It can be written again.
    pub(crate) fn works_again(&self, how: Goes) -> Result<(), String> {
        match how {
            Goes::Full => std::fs::remove_file(self.filler()).map_err(|e| e.to_string()),
            Goes::ReadOnly => {
                run(Command::new("umount").arg(&self.path))?;
                // Its code says that something was repaired.
                let _ = run(Command::new("fsck.ext4").arg("-fp").arg(&self.image));
                self.mount()
            }
        }
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.path))
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{name}: {e}"))?;
    let why = || format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    output.status.success().then_some(()).ok_or_else(why)
}
