//! Writes checkpoints as PyTorch does, in its zip format and in the legacy one, so that tests need neither PyTorch nor
//! files of many megabytes.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Cursor, Write};
use zip::write::{SimpleFileOptions, ZipWriter};

/// A tensor, as a view of a storage.
#[derive(Clone)]
pub struct Saved {
    pub name: String,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    pub offset: usize,
    /// PyTorch's class name of the storage, and the bytes of its elements.
    pub class: &'static str,
    pub width: usize,
    pub storage: Vec<u8>,
}

impl Saved {
    /// A tensor of single-precision values, row-major.
    pub fn whole(name: &str, shape: &[usize], values: &[f32]) -> Self {
        let storage = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let strides = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
        Self { strides, ..Self::repeated(name, shape, "FloatStorage", 4, storage) }
    }

    /// A tensor filled with one element.
    pub fn repeated(name: &str, shape: &[usize], class: &'static str, width: usize, storage: Vec<u8>) -> Self {
        let strides = vec![0; shape.len()];
        Self { name: name.to_owned(), shape: shape.to_vec(), strides, offset: 0, class, width, storage }
    }
}

/// What wraps the dictionary of tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrapping {
    Bare,
    /// `{"epoch": 7, KEY: ...}`
    Under(&'static str),
}

/// A pickle of protocol 2, under construction.
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn code(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    pub fn global(&mut self, module: &str, name: &str) -> &mut Self {
        self.code(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.code(b"X").code(&(text.len() as u32).to_le_bytes()).code(text.as_bytes())
    }

    pub fn integer(&mut self, number: usize) -> &mut Self {
        self.code(b"J").code(&(number as u32).to_le_bytes())
    }

    fn sizes(&mut self, sizes: &[usize]) -> &mut Self {
        self.code(b"(");
        sizes.iter().for_each(|&size| _ = self.integer(size));
        self.code(b"t")
    }

    fn ordered_dictionary(&mut self) -> &mut Self {
        self.global("collections", "OrderedDict").code(b")R")
    }

    fn tensor(&mut self, tensor: &Saved, key: usize, old: bool) -> &mut Self {
        self.global("torch._utils", "_rebuild_tensor_v2").code(b"((").text("storage").global("torch", tensor.class);
        self.text(&key.to_string()).text("cpu").integer(tensor.storage.len() / tensor.width);
        if old {
            self.code(b"N");
        }
        self.code(b"tQ").integer(tensor.offset).sizes(&tensor.shape).sizes(&tensor.strides);
        self.code(b"\x89").ordered_dictionary().code(b"tR")
    }

    fn tensors(&mut self, tensors: &[Saved], wrapping: Wrapping, old: bool) -> &mut Self {
        if let Wrapping::Under(key) = wrapping {
            self.code(b"}(").text("epoch").integer(7).text(key);
        }
        self.ordered_dictionary().code(b"(");
        for (key, tensor) in tensors.iter().enumerate() {
            self.text(&tensor.name).tensor(tensor, key, old);
        }
        self.code(b"u");
        // The versions of the modules, as an attribute of the dictionary.
        self.code(b"}").text("_metadata").ordered_dictionary().code(b"sb");
        if wrapping != Wrapping::Bare {
            self.code(b"u");
        }
        self.code(b".")
    }
}

/// A zip file with a pickle and the storages of tensors.
pub fn zip_of(pickle: &[u8], tensors: &[Saved]) -> Vec<u8> {
    zip_in("archive", pickle, tensors)
}

/// The same in a folder of another name: PyTorch takes the stem of the file.
pub fn zip_in(folder: &str, pickle: &[u8], tensors: &[Saved]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut entry = |name: String, bytes: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    entry(format!("{folder}/data.pkl"), pickle);
    entry(format!("{folder}/byteorder"), b"little");
    for (key, tensor) in tensors.iter().enumerate() {
        entry(format!("{folder}/data/{key}"), &tensor.storage);
    }
    entry(format!("{folder}/version"), b"3\n");
    zip.finish().unwrap().into_inner()
}

/// A checkpoint as PyTorch writes it: in a folder named after the file, and with a zip64 record and its locator between
/// the directory and the end of the archive.
pub fn zip64(folder: &str, tensors: &[Saved], wrapping: Wrapping) -> Vec<u8> {
    let mut bytes = zip_in(folder, &Pickle::new().tensors(tensors, wrapping, false).0, tensors);
    let end = bytes.split_off(bytes.len() - 22);
    assert!(end.starts_with(b"PK\x05\x06"));
    let number = |at: usize, width: usize| end[at..at + width].iter().rev().fold(0_u64, |n, &b| n << 8 | u64::from(b));
    let (entries, size, place) = (number(10, 2), number(12, 4), number(16, 4));
    let record = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44_u64.to_le_bytes());
    // Made by and needed version, then the two numbers of disks.
    bytes.extend([30, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    [entries, entries, size, place].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(record.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(end);
    bytes
}

/// A checkpoint in the zip format.
pub fn zip(tensors: &[Saved], wrapping: Wrapping) -> Vec<u8> {
    zip_of(&Pickle::new().tensors(tensors, wrapping, false).0, tensors)
}

/// A checkpoint in the legacy format.
pub fn old(tensors: &[Saved], wrapping: Wrapping) -> Vec<u8> {
    let magic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    let mut all = Pickle::new().code(b"\x8a\x0a").code(&magic).code(b".").0.clone();
    all.extend(&Pickle::new().code(b"M\xe9\x03.").0);
    all.extend(&Pickle::new().code(b"}").text("little_endian").code(b"\x88s.").0);
    all.extend(&Pickle::new().tensors(tensors, wrapping, true).0);
    let mut keys = Pickle::new();
    keys.code(b"](");
    (0..tensors.len()).for_each(|key| _ = keys.text(&key.to_string()));
    all.extend(&keys.code(b"e.").0);
    for tensor in tensors {
        all.extend(((tensor.storage.len() / tensor.width) as u64).to_le_bytes());
        all.extend(&tensor.storage);
    }
    all
}
