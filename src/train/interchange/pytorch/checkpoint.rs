//! The two containers of a PyTorch checkpoint: a zip archive (since version 1.6), before that a sequence of pickles and
//! raw numbers.
//!
//! In: the file's bytes. Out: the tensors of its dictionary by name, in the file's order, and their values in single
//! precision. The file stores numbers uncompressed and little-endian; they are copied only when a tensor is requested.
//! Fails with [`ImportError`].

use super::error::ImportError;
use super::pickle::{Id, Pickle, Storage, Tensor, Value};
use super::unpickler::unpickle;
use crate::runtime::model::ModelError;
use half::{bf16, f16};
use safetensors::tensor::Dtype;
use std::collections::HashMap;
use std::io::{self, Cursor};
use std::ops::Range;
use std::rc::Rc;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// First value of the old format.
const OLD_MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// Second value of the old format.
const OLD_VERSION: i128 = 1001;
/// First bytes of the zip format.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// Why a checkpoint of a big-endian machine is refused.
const BIG_ENDIAN: &str = "its numbers are big-endian";
/// What training programs put before the names: those of several devices, of trainers that hold the network in an
/// attribute, and of compiled networks. They come one behind the other, too.
const PREFIXES: [&str; 3] = ["module.", "model.", "_orig_mod."];
/// The keys that training programs put the network under, the likeliest first.
const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "ema"];
/// Wrappers within wrappers that are looked into; a pickle can hold a dictionary that contains itself.
const MOST_WRAPPERS: usize = 2;
/// Names that a message lists.
const MOST_LISTED: usize = 8;

/// The tensors of a checkpoint.
pub(super) struct Checkpoint<'a> {
    bytes: &'a [u8],
    /// The position of each storage's numbers.
    storages: HashMap<Rc<str>, Range<usize>>,
    /// By name, without the prefixes of training programs.
    pub tensors: Vec<(String, Tensor)>,
}

impl<'a> Checkpoint<'a> {
    /// Reads the tensors' names and places.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        if bytes.starts_with(ZIP_MAGIC) { Self::read_zip(bytes) } else { Self::read_old(bytes) }
    }

    fn read_zip(bytes: &'a [u8]) -> Result<Self, ImportError> {
        // The directory stands at the end of an archive. Without an offset the reader looks for it where it lies in an
        // archive that begins later in the file, and takes the second entry for it if a zip64 record is as long as the
        // first.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut archive = ZipArchive::with_config(config, Cursor::new(bytes))
            .map_err(|source| ImportError::bad_archive("its zip archive is damaged or cut off", source))?;
        let pickle = archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.into_owned()))
            .find(|name| name == "data.pkl" || name.ends_with("/data.pkl"))
            .ok_or_else(|| ImportError::not_a_checkpoint("a zip archive without data.pkl"))?;
        let folder = pickle.trim_end_matches("data.pkl").to_owned();
        let mut entry = |name: &str| whole_entry(&mut archive, name, bytes.len());
        if let Some(range) = entry(&format!("{folder}byteorder"))?
            && &bytes[range.clone()] != b"little"
        {
            return Err(ImportError::not_a_checkpoint(BIG_ENDIAN));
        }
        let range = entry(&pickle)?.ok_or(ImportError::Truncated)?;
        let tensors = tensors(&unpickle(&bytes[range])?)?;
        let mut storages = HashMap::new();
        for (name, Tensor { storage: Storage { key, .. }, .. }) in &tensors {
            if !storages.contains_key(key) {
                let missing = || ImportError::Numbers { name: name.clone(), reason: format!("data/{key} is missing") };
                let range = entry(&format!("{folder}data/{key}"))?.ok_or_else(missing)?;
                storages.insert(key.clone(), range);
            }
        }
        Ok(Self { bytes, storages, tensors })
    }

    fn read_old(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let mut at = 0;
        let mut next = || -> Result<Pickle, ImportError> {
            let pickle = unpickle(&bytes[at..])?;
            at += pickle.length;
            Ok(pickle)
        };
        match next() {
            Ok(first) if matches!(first.root(), Value::Integer(OLD_MAGIC)) => {}
            _ => {
                return Err(ImportError::not_a_checkpoint(
                    "it begins neither as a zip archive nor as PyTorch's older format",
                ));
            }
        }
        if !matches!(next()?.root(), Value::Integer(OLD_VERSION)) {
            return Err(ImportError::not_a_checkpoint("a version of the older format that is not known"));
        }
        let system = next()?;
        if let Value::Dictionary(pairs) = system.root()
            && system.entries(pairs).any(|(key, value)| key == "little_endian" && matches!(value, Value::Truth(false)))
        {
            return Err(ImportError::not_a_checkpoint(BIG_ENDIAN));
        }
        let object = next()?;
        let tensors = tensors(&object)?;
        let keys = next()?;
        let Value::Sequence(ids) = keys.root() else {
            return Err(ImportError::not_a_checkpoint("the list of its storages is missing"));
        };
        let widths: HashMap<&str, usize> = object.storages().map(|s| (&*s.key, s.element.bitsize() / 8)).collect();
        let mut storages = HashMap::new();
        for &id in ids {
            let Value::Text(key) = keys.value(id) else {
                return Err(ImportError::not_a_checkpoint("a storage has no name"));
            };
            let Some(&width) = widths.get(&**key) else {
                return Err(ImportError::not_a_checkpoint("a storage that nothing uses"));
            };
            let begin = at.checked_add(8).filter(|&begin| begin <= bytes.len()).ok_or(ImportError::Truncated)?;
            let count = bytes[at..begin].iter().rev().fold(0, |n: u64, &byte| n << 8 | u64::from(byte));
            let end = usize::try_from(count).ok().and_then(|n| n.checked_mul(width)).and_then(|n| n.checked_add(begin));
            let end = end.filter(|&end| end <= bytes.len()).ok_or(ImportError::Truncated)?;
            storages.insert(key.clone(), begin..end);
            at = end;
        }
        Ok(Self { bytes, storages, tensors })
    }

    /// The values of a tensor, row-major.
    ///
    /// # Errors
    /// [`ModelError::WrongType`] if they are not floating-point numbers; [`ImportError::Numbers`] if they are not
    /// all in the file.
    pub fn values(&self, name: &str, tensor: &Tensor) -> Result<Vec<f32>, ImportError> {
        let Tensor { storage: Storage { key, element, len }, offset, shape, strides } = tensor;
        let decode: fn(&[u8]) -> f32 = match element {
            Dtype::F32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Dtype::F16 => |b| f16::from_le_bytes([b[0], b[1]]).to_f32(),
            Dtype::BF16 => |b| bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Dtype::F64 => |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32,
            other => {
                let actual = format!("{other:?}");
                return Err(ModelError::WrongType { name: name.to_owned(), actual }.into());
            }
        };
        let numbers = |reason: &str| ImportError::Numbers { name: name.to_owned(), reason: reason.into() };
        let range = self.storages.get(key).ok_or_else(|| numbers("they are not in the file"))?;
        let (stored, width) = (&self.bytes[range.clone()], element.bitsize() / 8);
        if len.checked_mul(width) != Some(stored.len()) {
            return Err(numbers(&format!("{len} are announced and {} are there", stored.len() / width)));
        }
        if shape.contains(&0) {
            return Ok(Vec::new());
        }
        let last = shape
            .iter()
            .zip(strides)
            .try_fold(*offset, |last, (size, stride)| last.checked_add((size - 1).checked_mul(*stride)?));
        if last.is_none_or(|last| last >= *len) {
            return Err(numbers("it reaches beyond them"));
        }
        let count = shape.iter().product();
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; shape.len()];
        for _ in 0..count {
            let place = offset + index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>();
            values.push(decode(&stored[place * width..][..width]));
            for (i, size) in index.iter_mut().zip(shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        Ok(values)
    }
}

/// The position of an entry's bytes, if there is such an entry, after checking its checksum.
fn whole_entry(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    length: usize,
) -> Result<Option<Range<usize>>, ImportError> {
    let bad = |source: ZipError| ImportError::bad_archive(format!("{name} in its zip archive can't be read"), source);
    let mut entry = match archive.by_name(name) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(e) => return Err(bad(e)),
    };
    if entry.compression() != CompressionMethod::Stored {
        let reason = format!("{name} in its zip archive is compressed, which PyTorch never does");
        return Err(ImportError::not_a_checkpoint(reason));
    }
    let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
    let size = usize::try_from(entry.size()).ok();
    let range = start.zip(size).and_then(|(start, size)| Some(start..start.checked_add(size)?));
    let range = range.filter(|range| range.end <= length).ok_or(ImportError::Truncated)?;
    io::copy(&mut entry, &mut io::sink()).map_err(|e| bad(e.into()))?;
    Ok(Some(range))
}

/// The tensors of the dictionary, or of the one that a training program has wrapped.
fn tensors(pickle: &Pickle) -> Result<Vec<(String, Tensor)>, ImportError> {
    let Value::Dictionary(root) = pickle.root() else {
        return Err(ImportError::not_a_checkpoint("it holds no dictionary"));
    };
    let tensors = wrapped(pickle, root, MOST_WRAPPERS).unwrap_or_else(|| tensors_in(pickle, root));
    if tensors.is_empty() {
        let keys = listed(pickle.entries(root).map(|(key, _)| key));
        let wrappers = WRAPPERS.join(", ");
        return Err(ImportError::not_a_checkpoint(format!(
            "its dictionary holds no tensors, neither by itself nor under {wrappers}; its keys are {keys}"
        )));
    }
    Ok(tensors)
}

/// The tensors under the first wrapper that holds any.
fn wrapped(pickle: &Pickle, pairs: &[(Id, Id)], levels: usize) -> Option<Vec<(String, Tensor)>> {
    let levels = levels.checked_sub(1)?;
    WRAPPERS.iter().find_map(|wrapper| {
        let (_, value) = pickle.entries(pairs).find(|(key, _)| key == wrapper)?;
        let Value::Dictionary(inner) = value else { return None };
        let tensors = wrapped(pickle, inner, levels).unwrap_or_else(|| tensors_in(pickle, inner));
        (!tensors.is_empty()).then_some(tensors)
    })
}

/// The tensors that are values of a dictionary, without the prefixes of their names.
fn tensors_in(pickle: &Pickle, pairs: &[(Id, Id)]) -> Vec<(String, Tensor)> {
    let tensors = pickle.entries(pairs).filter_map(|(name, value)| match value {
        Value::Tensor(tensor) => Some((bare(name).to_owned(), (**tensor).clone())),
        _ => None,
    });
    tensors.collect()
}

fn bare(mut name: &str) -> &str {
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// The first of some names, for a message.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "none".into(),
        count if count <= MOST_LISTED => names.join(", "),
        count => format!("{} and {} more", names[..MOST_LISTED].join(", "), count - MOST_LISTED),
    }
}
