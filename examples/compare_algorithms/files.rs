//! Pictures to files: all of them, or none, and never half of one.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) struct Picture {
    pub(crate) file_name: String,
    pub(crate) svg: String,
}

/// Writes each picture beside its place first, and puts them there when all of them are written.
pub(crate) fn write_all(folder: &Path, pictures: &[Picture]) -> Result<(), Box<dyn Error>> {
    let failed = |path: &Path, error| format!("{} cannot be written: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut written: Vec<(PathBuf, PathBuf)> = Vec::new();
    let result = (|| {
        for picture in pictures {
            let place = folder.join(&picture.file_name);
            // By process, for two that run at once.
            let beside = format!(".{}.{}.tmp", picture.file_name, std::process::id());
            let beside = folder.join(beside);
            written.push((beside.clone(), place));
            fs::write(&beside, &picture.svg).map_err(|error| failed(&beside, error))?;
        }
        for (beside, place) in &written {
            fs::rename(beside, place).map_err(|error| failed(place, error))?;
        }
        Ok::<(), String>(())
    })();
    if result.is_err() {
        for (beside, _) in &written {
            // It is gone, or was never there.
            let _ = fs::remove_file(beside);
        }
    }
    Ok(result?)
}
