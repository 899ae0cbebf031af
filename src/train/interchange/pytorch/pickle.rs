//! The values of a pickle: dictionaries, sequences, strings, integers and tensors.
//!
//! Values are in an arena and refer to each other by index, so that no pickle can nest them deeper than the stack
//! allows. A tensor is a view into a storage, whose numbers are elsewhere in the file.

use safetensors::tensor::Dtype;
use std::rc::Rc;

/// Number of a value in [`Pickle::values`].
pub(super) type Id = usize;

/// A run of numbers in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub key: Rc<str>,
    pub element: Dtype,
    /// Elements.
    pub len: usize,
}

/// A view into a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub storage: Storage,
    /// Elements of the storage before the first one.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Elements from one index to the next, in each dimension.
    pub strides: Vec<usize>,
}

/// The values of a pickle.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// None, and fractional numbers: nothing here needs them.
    Other,
    Truth(bool),
    Integer(i128),
    Text(Rc<str>),
    Sequence(Vec<Id>),
    Dictionary(Vec<(Id, Id)>),
    Callable(Callable),
    Storage(Storage),
    Tensor(Box<Tensor>),
}

/// The names that a pickle may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    StorageOf(Dtype),
}

impl Callable {
    /// The callable of Python's `module.name`; `None` for any other than these.
    pub fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "Size") => Self::Size,
            ("torch" | "torch.storage", storage) => Self::StorageOf(match storage.strip_suffix("Storage")? {
                "Float" => Dtype::F32,
                "Half" => Dtype::F16,
                "BFloat16" => Dtype::BF16,
                "Double" => Dtype::F64,
                "Long" => Dtype::I64,
                "Int" => Dtype::I32,
                "Short" => Dtype::I16,
                "Char" => Dtype::I8,
                "Byte" => Dtype::U8,
                "Bool" => Dtype::BOOL,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

/// The values of one pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
    /// Bytes that the pickle took.
    pub length: usize,
}

impl Pickle {
    /// The arena with its root, and the bytes that both took.
    pub fn new(values: Vec<Value>, root: Id, length: usize) -> Self {
        Self { values, root, length }
    }

    /// The value of the whole pickle.
    pub fn root(&self) -> &Value {
        &self.values[self.root]
    }

    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Every storage that something refers to.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    /// The pairs of a dictionary whose keys are texts, in their order.
    pub fn entries<'a>(&'a self, pairs: &'a [(Id, Id)]) -> impl Iterator<Item = (&'a str, &'a Value)> {
        pairs.iter().filter_map(|&(key, value)| match &self.values[key] {
            Value::Text(key) => Some((&**key, &self.values[value])),
            _ => None,
        })
    }
}
