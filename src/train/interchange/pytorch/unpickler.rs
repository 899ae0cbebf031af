//! A restricted unpickler.
//!
//! In: the bytes of a pickle of protocol 2 to 5, as PyTorch writes them. Out: a [`Pickle`]. It knows only the callables
//! that PyTorch needs for tensors, by name, and implements them here; it refuses any other, and every instruction that
//! could make an object of a class. For any input, reading ends after [`MAX_INSTRUCTIONS`], takes memory in proportion
//! to the file, and never panics.

use super::error::ImportError;
use super::pickle::{Callable, Id, Pickle, Storage, Tensor, Value};
use std::collections::HashMap;
use std::rc::Rc;

/// The most instructions of one pickle; a checkpoint of four stacks has some 40,000.
const MAX_INSTRUCTIONS: usize = 1 << 21;
/// The most items copied from one container to another, so that a short file can't ask for much memory.
const MAX_COPIES: usize = 1 << 21;
/// The most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// Reads the pickle that `bytes` begin with.
///
/// # Errors
/// [`ImportError`]: what is refused, damaged or cut off, and where.
pub(super) fn unpickle(bytes: &[u8]) -> Result<Pickle, ImportError> {
    Machine { bytes, ..Machine::default() }.run()
}

/// The stack machine that runs a pickle.
#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    copies: usize,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Pickle, ImportError> {
        for _ in 0..MAX_INSTRUCTIONS {
            let instruction = self.take(1)?[0];
            if instruction == b'.' {
                let root = self.pop()?;
                return Ok(Pickle::new(self.values, root, self.at));
            }
            self.step(instruction)?;
        }
        Err(self.damaged(format!("it has more than {MAX_INSTRUCTIONS} instructions")))
    }

    fn damaged(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Damaged { at: self.at, reason: reason.into() }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ImportError> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(ImportError::Truncated)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian number of up to eight bytes.
    fn number(&mut self, bytes: usize) -> Result<u64, ImportError> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, ImportError> {
        usize::try_from(self.number(bytes)?).map_err(|_| ImportError::Truncated)
    }

    fn text(&mut self, length: usize) -> Result<Rc<str>, ImportError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(Rc::from).map_err(|_| self.damaged("a text is not UTF-8"))
    }

    /// A text up to the end of the line.
    fn line(&mut self) -> Result<Rc<str>, ImportError> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or(ImportError::Truncated)?;
        let line = self.text(length)?;
        self.take(1)?;
        Ok(line)
    }

    fn push(&mut self, value: Value) {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
    }

    fn pop(&mut self) -> Result<Id, ImportError> {
        // Values below a mark stay out of reach until the mark is popped.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.damaged("a value is missing"));
        }
        self.stack.pop().ok_or_else(|| self.damaged("a value is missing"))
    }

    /// The values above the last mark.
    fn pop_marked(&mut self) -> Result<Vec<Id>, ImportError> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged("a mark is missing"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&self) -> Result<Id, ImportError> {
        self.stack.last().copied().ok_or_else(|| self.damaged("a value is missing"))
    }

    fn pop_sequence(&mut self) -> Result<Vec<Id>, ImportError> {
        let id = self.pop()?;
        self.copy(id)
    }

    /// The items of a sequence.
    fn copy(&mut self, id: Id) -> Result<Vec<Id>, ImportError> {
        let Value::Sequence(items) = &self.values[id] else { return Err(self.damaged("a sequence was expected")) };
        self.copies += items.len();
        if self.copies > MAX_COPIES {
            return Err(self.damaged("the same items are used over and over"));
        }
        Ok(items.clone())
    }

    fn pop_tuple(&mut self, count: usize) -> Result<(), ImportError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Sequence(items));
        Ok(())
    }

    fn pop_text(&mut self) -> Result<Rc<str>, ImportError> {
        let id = self.pop()?;
        match &self.values[id] {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(self.damaged("a text was expected")),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), ImportError> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::Sequence(list) => list.extend(items),
            _ => return Err(self.damaged("only a list can be appended to")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), ImportError> {
        let (pairs, rest) = items.as_chunks::<2>();
        let dictionary = self.top()?;
        match &mut self.values[dictionary] {
            Value::Dictionary(all) if rest.is_empty() => all.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(self.damaged("only a dictionary can be given keys and values")),
        }
        Ok(())
    }

    fn memorize(&mut self, place: usize) -> Result<(), ImportError> {
        self.memo.insert(place, self.top()?);
        Ok(())
    }

    fn recall(&mut self, place: usize) -> Result<(), ImportError> {
        let id = self.memo.get(&place).copied().ok_or_else(|| self.damaged("a value is recalled that never was"))?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), ImportError> {
        let known = Callable::named(module, name);
        let known = known.ok_or_else(|| ImportError::Foreign { name: format!("{module}.{name}") })?;
        self.push(Value::Callable(known));
        Ok(())
    }

    /// Runs one instruction; the codes are those of Python's `pickletools`.
    fn step(&mut self, instruction: u8) -> Result<(), ImportError> {
        match instruction {
            // PROTO, FRAME
            0x80 => match self.number(1)? {
                2..=5 => {}
                version => return Err(self.damaged(format!("pickle protocol {version} is not known"))),
            },
            0x95 => _ = self.take(8)?,
            // MARK, POP
            b'(' => self.marks.push(self.stack.len()),
            b'0' => _ = self.pop()?,
            // The memo
            b'q' | b'r' => {
                let place = self.length(if instruction == b'q' { 1 } else { 4 })?;
                self.memorize(place)?;
            }
            0x94 => self.memorize(self.memo.len())?,
            b'h' | b'j' => {
                let place = self.length(if instruction == b'h' { 1 } else { 4 })?;
                self.recall(place)?;
            }
            _ => match self.literal(instruction)? {
                Some(value) => self.push(value),
                None => self.container(instruction)?,
            },
        }
        Ok(())
    }

    /// A value that stands in the pickle itself; `None` for other instructions.
    fn literal(&mut self, instruction: u8) -> Result<Option<Value>, ImportError> {
        Ok(Some(match instruction {
            b'N' => Value::Other,
            0x88 => Value::Truth(true),
            0x89 => Value::Truth(false),
            b'J' => Value::Integer((self.number(4)? as u32 as i32).into()),
            b'K' | b'M' => Value::Integer(self.number(if instruction == b'K' { 1 } else { 2 })?.into()),
            0x8a => {
                let length = self.length(1)?;
                let bytes = self.take(length)?;
                if length > 16 {
                    return Err(self.damaged(format!("a whole number of {length} bytes")));
                }
                let sign = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
                let mut number = [sign; 16];
                number[..length].copy_from_slice(bytes);
                Value::Integer(i128::from_le_bytes(number))
            }
            // The last two are those of Python 2.
            b'X' | 0x8c | b'T' | b'U' => {
                let length = self.length(if matches!(instruction, b'X' | b'T') { 4 } else { 1 })?;
                Value::Text(self.text(length)?)
            }
            b'G' => {
                self.take(8)?;
                Value::Other
            }
            _ => return Ok(None),
        }))
    }

    /// Makes a tuple, list or dictionary, or adds to one; else [`Self::object`].
    fn container(&mut self, instruction: u8) -> Result<(), ImportError> {
        match instruction {
            b')' | b']' => self.push(Value::Sequence(Vec::new())),
            b'}' => self.push(Value::Dictionary(Vec::new())),
            b't' | b'l' => {
                let items = self.pop_marked()?;
                self.push(Value::Sequence(items));
            }
            0x85..=0x87 => self.pop_tuple(usize::from(instruction - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_marked()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.set(&items)?;
            }
            _ => self.object(instruction)?,
        }
        Ok(())
    }

    /// Names, calls and state; every instruction that is left is refused.
    fn object(&mut self, instruction: u8) -> Result<(), ImportError> {
        match instruction {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.global(&module, &name)?;
            }
            b'R' => {
                let (arguments, callable) = (self.pop_sequence()?, self.pop()?);
                let Value::Callable(callable) = self.values[callable] else {
                    return Err(self.damaged("something is called that can't be"));
                };
                let made =
                    self.call(callable, &arguments)?.ok_or_else(|| self.damaged(format!("a bad {callable:?}")))?;
                self.push(made);
            }
            b'Q' => {
                let arguments = self.pop_sequence()?;
                let storage = self.storage(&arguments).ok_or_else(|| self.damaged("a bad storage"))?;
                self.push(Value::Storage(storage));
            }
            // The state of a dictionary: the versions of the network's modules.
            b'b' => {
                self.pop()?;
                let object = self.top()?;
                if !matches!(self.values[object], Value::Dictionary(_)) {
                    return Err(self.damaged("only a dictionary may have a state"));
                }
            }
            _ => {
                return Err(self.damaged(format!(
                    "the instruction 0x{instruction:02x}, which no checkpoint of tensors and dictionaries needs"
                )));
            }
        }
        Ok(())
    }

    /// The result of a call; `None` for wrong arguments.
    fn call(&mut self, callable: Callable, arguments: &[Id]) -> Result<Option<Value>, ImportError> {
        Ok(match (callable, arguments) {
            (Callable::OrderedDict, []) => Some(Value::Dictionary(Vec::new())),
            // Python 2 hands over a list of pairs.
            (Callable::OrderedDict, &[list]) => {
                let items = self.copy(list)?;
                let pair = |&id: &Id| match &self.values[id] {
                    Value::Sequence(pair) => Some((*pair.first()?, *pair.get(1)?)),
                    _ => None,
                };
                items.iter().map(pair).collect::<Option<_>>().map(Value::Dictionary)
            }
            (Callable::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                self.tensor([storage, offset, shape, strides]).map(|tensor| Value::Tensor(Box::new(tensor)))
            }
            (Callable::RebuildParameter, &[tensor, ..]) => match &self.values[tensor] {
                Value::Tensor(tensor) => Some(Value::Tensor(tensor.clone())),
                _ => None,
            },
            (Callable::Size, &[sizes]) => Some(Value::Sequence(self.copy(sizes)?)),
            _ => None,
        })
    }

    fn tensor(&self, [storage, offset, shape, strides]: [Id; 4]) -> Option<Tensor> {
        let Value::Storage(storage) = &self.values[storage] else { return None };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        (shape.len() == strides.len()).then_some(Tensor {
            storage: storage.clone(),
            offset: self.size(offset)?,
            shape,
            strides,
        })
    }

    /// `("storage", type, key, device, elements)`, and in the old format a view that must be the whole.
    fn storage(&self, arguments: &[Id]) -> Option<Storage> {
        let &[kind, element, key, _, len, ref view @ ..] = arguments else { return None };
        let is_whole = view.iter().all(|&id| matches!(self.values[id], Value::Other));
        match (&self.values[kind], &self.values[element], &self.values[key]) {
            (Value::Text(kind), &Value::Callable(Callable::StorageOf(element)), Value::Text(key))
                if **kind == *"storage" && is_whole =>
            {
                Some(Storage { key: key.clone(), element, len: self.size(len)? })
            }
            _ => None,
        }
    }

    fn size(&self, id: Id) -> Option<usize> {
        match &self.values[id] {
            Value::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        match &self.values[id] {
            Value::Sequence(items) if items.len() <= MAX_RANK => items.iter().map(|&id| self.size(id)).collect(),
            _ => None,
        }
    }
}
