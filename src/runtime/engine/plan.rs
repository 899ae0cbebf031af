//! The plan: what a compiled network does, step by step, and in which memory.
//!
//! All maps of a run lie in one piece of memory, (row, column, channel), each with a border of zeros as wide as the
//! widest filter that reads it, so that no kernel asks where the picture ends. A step visits the cells of its output one
//! after the other; where a cell lies in each map that the step reads or writes is written down in a table of byte
//! offsets, made once.

use super::memory::Memory;

/// Number of a map in [`Plan::maps`].
pub(super) type MapId = usize;

/// Channels that a cell is filled up to with zeros: the widest vector.
pub(super) const CHANNEL_MULTIPLE: usize = 16;

/// In which numbers the matrix products are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Arithmetic {
    /// Single precision.
    Single,
    /// Both factors rounded to bfloat16, sums in single precision.
    Bf16,
    /// Both factors bytes, sums in integers: only the products behind a depthwise convolution whose range is known; the rest
    /// as [`Self::Bf16`].
    Int8,
}

impl Arithmetic {
    /// Bytes of one factor.
    pub fn factor_bytes(self) -> usize {
        match self {
            Arithmetic::Single => 4,
            Arithmetic::Bf16 => 2,
            Arithmetic::Int8 => 1,
        }
    }

    /// The bytes of `value` as a factor; for [`Self::Bytes`] it is a whole number in -127..=127.
    pub fn factor(self, value: f32) -> impl Iterator<Item = u8> {
        let bytes = match self {
            Arithmetic::Single => value.to_ne_bytes(),
            Arithmetic::Bf16 => {
                let [low, high] = half::bf16::from_f32(value).to_ne_bytes();
                [low, high, 0, 0]
            }
            Arithmetic::Int8 => [value as i8 as u8, 0, 0, 0],
        };
        bytes.into_iter().take(self.factor_bytes())
    }

    /// Neighbouring channels that one instruction multiplies: as many as fill four bytes.
    pub fn group(self) -> usize {
        4 / self.factor_bytes()
    }
}

/// The size of a map and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// From one cell to the next, numbers.
    pub pitch: usize,
    /// Cells of zeros on every side.
    pub border: usize,
    pub bytes_each: usize,
    /// Keeps its memory for itself and its contents from run to run.
    pub pinned: bool,
    /// Where it begins, in bytes.
    pub start: usize,
}

impl Map {
    pub fn pitch_bytes(&self) -> usize {
        self.pitch * self.bytes_each
    }

    pub fn row_bytes(&self) -> usize {
        (self.width + 2 * self.border) * self.pitch_bytes()
    }

    /// With a line behind the end, because kernels read whole groups of channels.
    pub fn bytes(&self) -> usize {
        let all = (self.height + 2 * self.border) * self.row_bytes();
        all.next_multiple_of(super::memory::LINE_BYTES) + super::memory::LINE_BYTES
    }

    /// What it occupies, in bytes from the memory's start.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.bytes()
    }

    /// Maps of the same shape have the same cells in their borders.
    pub fn shape(&self) -> [usize; 5] {
        [self.height, self.width, self.pitch, self.border, self.bytes_each]
    }

    /// Calls `each` with every run of bytes, from the memory's start, that is not part of a cell: the border and what is
    /// behind the end.
    pub fn for_each_gap(&self, mut each: impl FnMut(std::ops::Range<usize>)) {
        let inside = self.width * self.pitch_bytes();
        let mut from = self.start;
        for row in 0..self.height {
            let cells = self.start + self.cell(row as isize, 0);
            each(from..cells);
            from = cells + inside;
        }
        each(from..self.range().end);
    }

    /// Where the cell `(row, column)` is, from the map's start; the border has negative ones.
    pub fn cell(&self, row: isize, column: isize) -> usize {
        let border = self.border as isize;
        let (row, column) = (row + border, column + border);
        debug_assert!(row >= 0 && column >= 0);
        row as usize * self.row_bytes() + column as usize * self.pitch_bytes()
    }
}

/// One cell of a map for each cell of a step's output.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    pub map: MapId,
    /// Of the cell for the first output cell: bytes from the map's start while the plan is made, from the memory's in a
    /// finished plan.
    pub start: usize,
    /// Number of a table in [`Plan::tables`].
    pub table: usize,
}

/// A part of the sum over the products: `taps` times `groups` groups of channels.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The upper left tap; `None` for the strip that the depthwise part has written.
    pub cells: Option<Cells>,
    /// Bytes from the upper left tap.
    pub taps: Vec<usize>,
    /// Groups of channels in a tap (see [`Arithmetic::group`]).
    pub groups: usize,
}

/// A batch norm as numbers: times `scale`, plus `shift`, one a channel, then perhaps a ReLU.
pub(super) struct Affine {
    pub scale: Memory,
    pub shift: Memory,
    pub relu: bool,
}

/// Where results go.
pub(super) struct Store {
    pub cells: Cells,
    /// Channels that may be written, from the first that the step computes.
    pub room: usize,
    /// What is done to the results before they are written.
    pub affine: Option<Affine>,
    /// As a factor of matrix products rather than in single precision.
    pub narrow: bool,
}

/// The depthwise convolution whose output is the left factor of the step's product.
pub(super) struct Depthwise {
    /// The upper left tap of the first output cell.
    pub cells: Cells,
    /// Bytes between rows and between cells of the input.
    pub row_bytes: usize,
    pub pitch_bytes: usize,
    pub kernel: usize,
    pub stride: usize,
    /// Filled up to [`CHANNEL_MULTIPLE`].
    pub channels: usize,
    /// Of the output.
    pub width: usize,
    /// Output rows in a strip: as many as stay in the nearest cache.
    pub strip_rows: usize,
    /// `[tap][channel]`.
    pub weights: Memory,
}

/// Some vectors of output channels and where their weights begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub vectors: usize,
    pub first_channel: usize,
    /// Bytes.
    pub weights: usize,
}

/// What the sum over the products begins with.
pub(super) enum Bias {
    /// One number a channel, whole vectors.
    Channels(Memory),
    /// A map of them.
    Cells(Cells),
}

/// What is added to a result that is still in registers.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub cells: Cells,
    /// Whether a ReLU follows the addition.
    pub relu: bool,
}

/// A convolution with everything that follows it: `bias + segments x weights`, with a ReLU if `relu`, written to `inner`;
/// plus `terms`, times `scale`, written to `stores`. Without segments it only adds maps up.
pub(super) struct Product {
    /// Output cells.
    pub cells: usize,
    pub arithmetic: Arithmetic,
    /// For [`Arithmetic::Int8`]: what one counts in the sum over the products, one number a channel.
    pub units: Option<Memory>,
    pub depthwise: Option<Depthwise>,
    pub segments: Vec<Segment>,
    pub weights: Memory,
    pub blocks: Vec<Block>,
    pub bias: Bias,
    pub relu: bool,
    pub inner: Vec<Store>,
    pub terms: Vec<Term>,
    pub scale: f32,
    pub stores: Vec<Store>,
    /// Output cells that are finished for all channels before the next ones begin.
    pub chunk: usize,
    /// Whether what a tile reads and writes besides its factors is called for while the products are made: it does not
    /// stay in the near caches.
    pub prefetch: bool,
}

impl Product {
    /// Cells that are not to be torn apart when the step is split.
    pub fn grain(&self) -> usize {
        self.depthwise.as_ref().map_or(1, |d| d.width)
    }

    /// Bytes that a thread needs for a strip of the depthwise part.
    pub fn strip_bytes(&self) -> usize {
        self.depthwise.as_ref().map_or(0, |d| d.strip_rows * d.width * d.channels * self.arithmetic.factor_bytes())
    }
}

/// What a step does.
pub(super) enum Action {
    /// Brings the picture into its map, as factors.
    Picture {
        to: MapId,
    },
    /// The coordinates where the boundary map is over the gate, else zeros, as factors (see
    /// [`crate::runtime::model::graph::Operation::Coordinates`]).
    Gate {
        boundary: Cells,
        to: Cells,
        /// Row and column coordinate of every cell.
        coordinates: Vec<[f32; 2]>,
    },
    Product(Box<Product>),
}

pub(super) struct Step {
    /// The layers in it.
    pub name: String,
    pub action: Action,
    /// Multiplications of the convolutions.
    pub multiply_adds: u64,
    /// Maps whose border other maps have written over, to be made zero before the step.
    pub clears: Vec<MapId>,
}

impl Step {
    /// Maps that it reads and maps that it writes.
    pub fn cells(&self) -> (Vec<MapId>, Vec<MapId>) {
        match &self.action {
            Action::Picture { to } => (vec![], vec![*to]),
            Action::Gate { boundary, to, .. } => (vec![boundary.map], vec![to.map]),
            Action::Product(p) => {
                let segments = p.segments.iter().filter_map(|s| s.cells.as_ref());
                let bias = match &p.bias {
                    Bias::Cells(cells) => Some(cells),
                    Bias::Channels(_) => None,
                };
                let read = bias
                    .into_iter()
                    .chain(segments)
                    .chain(p.depthwise.iter().map(|d| &d.cells))
                    .chain(p.terms.iter().map(|t| &t.cells));
                let written = p.inner.iter().chain(&p.stores).map(|s| s.cells.map);
                (read.map(|c| c.map).collect(), written.collect())
            }
        }
    }

    /// Calls `each` for all cells of the step.
    pub fn for_each_cells(&mut self, mut each: impl FnMut(&mut Cells)) {
        match &mut self.action {
            Action::Picture { .. } => {}
            Action::Gate { boundary, to, .. } => {
                each(boundary);
                each(to);
            }
            Action::Product(p) => {
                if let Bias::Cells(cells) = &mut p.bias {
                    each(cells);
                }
                p.segments.iter_mut().filter_map(|s| s.cells.as_mut()).for_each(&mut each);
                p.depthwise.iter_mut().for_each(|d| each(&mut d.cells));
                p.terms.iter_mut().for_each(|t| each(&mut t.cells));
                p.inner.iter_mut().chain(&mut p.stores).for_each(|s| each(&mut s.cells));
            }
        }
    }
}

/// A compiled network.
pub(super) struct Plan {
    pub steps: Vec<Step>,
    pub maps: Vec<Map>,
    /// For every output cell, bytes from the first one's cell.
    pub tables: Vec<Vec<u32>>,
    /// The maps that decoding reads.
    pub output: MapId,
    /// All maps of every stack, where they were asked for.
    pub stacks: Vec<MapId>,
    /// All maps of a run, with the constant ones written.
    pub memory: Memory,
}
