//! Cache of compiled modules on disk.
//!
//! Compiling the filter takes longer than most runs, so its machine code is kept in the user's
//! cache folder. wasmtime has such a cache of its own; it would bring a compression library, a
//! configuration format and a worker thread, which this use does not need.
//!
//! Machine code from a file runs unchecked. So the cache is used only in a folder that belongs to
//! this user and that nobody else can write to, and an entry only if its checksum is right.
//! Without such a folder, or on any error, the module is compiled: the cache can make a run
//! faster, and nothing else.

use std::fs::{self, DirBuilder, Metadata};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use wasmtime::{Engine, Module};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Number of compiled modules to keep. Each takes a few megabytes.
const ENTRIES_MAX: usize = 32;

/// Length of the checksum at the start of an entry.
const CHECKSUM_BYTES: usize = 16;

/// Returns the module compiled for `engine`, from the cache if it is there.
///
/// # Errors
///
/// If the bytes are not a valid module.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Module> {
    let entry = folder().map(|folder| folder.join(name(engine, bytes)));
    if let Some(module) = entry.as_deref().and_then(|entry| load(engine, entry)) {
        return Ok(module);
    }
    let module = Module::from_binary(engine, bytes)?;
    if let (Some(entry), Ok(code)) = (entry, module.serialize()) {
        // A full disk, say. The next run compiles again.
        let _ = store(&entry, &code);
    }
    Ok(module)
}

/// The file name of a module: a hash of its bytes, of wasmtime's version and of the engine's
/// settings.
fn name(engine: &Engine, bytes: &[u8]) -> String {
    let mut hash = Xxh3::new();
    engine.precompile_compatibility_hash().hash(&mut hash);
    format!("{:016x}-{:032x}", hash.finish(), xxh3_128(bytes))
}

/// The folder of the cache, `None` if there is none that can be trusted.
fn folder() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let base = base.filter(|path| path.is_absolute()).or_else(home)?;
    let folder = base.join("spillway-host-sim");
    let _ = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder);
    is_ours(&fs::symlink_metadata(&folder).ok()?, &base).then_some(folder)
}

/// Whether only this user can write there. The owner of `/proc/self` is the user of this process;
/// without a `/proc` the folder must have the same owner as the one around it.
fn is_ours(folder: &Metadata, base: &Path) -> bool {
    let user = fs::metadata("/proc/self").or_else(|_| fs::metadata(base));
    let owned = user.is_ok_and(|user| user.uid() == folder.uid());
    folder.is_dir() && owned && folder.mode() & 0o022 == 0
}

fn load(engine: &Engine, entry: &Path) -> Option<Module> {
    let bytes = fs::read(entry).ok()?;
    let (checksum, code) = bytes.split_at_checked(CHECKSUM_BYTES)?;
    if checksum != xxh3_128(code).to_le_bytes() {
        return None;
    }
    // SAFETY: wasmtime asks for bytes that its own `serialize` wrote. The folder belongs to this
    // user and nobody else can write to it, the name says that this version of wasmtime wrote the
    // entry for these settings, and the checksum that it is whole.
    unsafe { Module::deserialize(engine, code) }.ok()
}

/// Writes an entry in one step, since other processes may be reading it.
fn store(entry: &Path, code: &[u8]) -> std::io::Result<()> {
    let folder = entry.parent().unwrap_or(entry);
    make_room(folder)?;
    let temporary = entry.with_extension(std::process::id().to_string());
    let written = fs::write(
        &temporary,
        [&xxh3_128(code).to_le_bytes()[..], code].concat(),
    );
    let moved = written.and_then(|()| fs::rename(&temporary, entry));
    moved.inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Removes the oldest entries, so that one more has room.
fn make_room(folder: &Path) -> std::io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        entries.push((entry.metadata()?.modified()?, entry.path()));
    }
    entries.sort();
    for (_, path) in entries.iter().rev().skip(ENTRIES_MAX - 1) {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    fn written() -> (tempfile::TempDir, Engine, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let entry = folder.path().join(name(&engine, EMPTY));
        let code = Module::new(&engine, EMPTY).unwrap().serialize().unwrap();
        store(&entry, &code).unwrap();
        (folder, engine, entry)
    }

    #[test]
    fn a_stored_module_loads() {
        let (_folder, engine, entry) = written();
        assert!(load(&engine, &entry).is_some());
    }

    #[test]
    fn a_damaged_or_truncated_entry_does_not_load() {
        let (_folder, engine, entry) = written();
        let whole = fs::read(&entry).unwrap();
        for at in [0, CHECKSUM_BYTES, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&entry, &damaged).unwrap();
            assert!(load(&engine, &entry).is_none(), "byte {at}");
            fs::write(&entry, &whole[..at]).unwrap();
            assert!(load(&engine, &entry).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn other_settings_are_another_entry() {
        let mut config = wasmtime::Config::new();
        config.consume_fuel(true);
        let fueled = Engine::new(&config).unwrap();
        assert_ne!(name(&fueled, EMPTY), name(&Engine::default(), EMPTY));
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for (mode, trusted) in [(0o700, true), (0o755, true), (0o770, false), (0o777, false)] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let metadata = fs::symlink_metadata(folder.path()).unwrap();
            assert_eq!(is_ours(&metadata, folder.path()), trusted, "{mode:o}");
        }
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..ENTRIES_MAX + 3 {
            store(&folder.path().join(format!("{number:03}")), b"code").unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), ENTRIES_MAX);
    }
}
