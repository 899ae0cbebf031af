//! The action of a step, as data for the kernels.
//!
//! Positions in maps are generic: [`InMap`] in a draft, [`Address`] in a plan. `starts` lists the positions; `place`
//! replaces them, and the types make sure that it misses none.

use super::integer::IntegerProduct;
use super::map::Element;
use super::{Address, InMap, Placement, TableId};
use crate::runtime::engine::memory::Memory;

/// The action of a step.
pub(in crate::runtime::engine) enum Action<A> {
    Picture(Picture<A>),
    Gate(Gate<A>),
    Product(Box<Product<A>>),
    Integer(Box<IntegerProduct<A>>),
    Sum(Sum<A>),
}

/// One cell of a map for each cell of a step's output.
#[derive(Clone, Debug)]
pub(in crate::runtime::engine) struct Cells<A> {
    /// The cell, and the channel in it, for the first output cell.
    pub start: A,
    /// The offsets of the other cells from it.
    pub table: TableId,
}

/// Copies the picture into its map.
pub(in crate::runtime::engine) struct Picture<A> {
    /// The map's first cell.
    pub start: A,
    pub row_bytes: usize,
    /// Values in a row of the picture: its width times three.
    pub row_values: usize,
}

/// Writes the coordinates of the cells where the boundary map exceeds the gate, and zeros elsewhere (see
/// [`crate::runtime::model::graph::Operation::Coordinates`]).
pub(in crate::runtime::engine) struct Gate<A> {
    pub boundary: Cells<A>,
    pub to: Cells<A>,
    /// Row and column coordinate of every cell.
    pub coordinates: Vec<[f32; 2]>,
}

/// Adds maps and scales the result: `(terms[0] + terms[1] + ...) * scale`, written to `stores`.
pub(in crate::runtime::engine) struct Sum<A> {
    /// Output cells.
    pub cells: usize,
    pub blocks: Vec<Block>,
    pub terms: Vec<Term<A>>,
    pub scale: f32,
    pub stores: Vec<Store<A>>,
}

/// A convolution with everything that follows it: `bias + segments x weights`, in which [`IntegerSums`] are scaled,
/// with a ReLU if `relu`, written to `inner`; plus `terms`, written to `stores`.
pub(in crate::runtime::engine) struct Product<A> {
    /// Output cells.
    pub cells: usize,
    pub depthwise: Option<Depthwise<A>>,
    pub segments: Vec<Segment<A>>,
    pub weights: Weights,
    /// For a product of a picture's bytes.
    pub integers: Option<IntegerSums>,
    pub bias: Bias<A>,
    pub relu: bool,
    pub inner: Vec<Store<A>>,
    pub terms: Vec<Term<A>>,
    pub stores: Vec<Store<A>>,
    /// Output cells that are computed for all channels before the next ones.
    pub chunk: usize,
    /// Whether to prefetch, during a tile's products, the maps that the tile reads and writes afterwards, because they
    /// don't stay in the near caches.
    pub prefetch: bool,
}

/// The depthwise convolution whose output, a strip at a time, is the left factor of the product.
pub(in crate::runtime::engine) struct Depthwise<A> {
    /// The upper left tap of the first output cell.
    pub start: A,
    /// Bytes between rows and between cells of the input.
    pub row_bytes: usize,
    pub pitch_bytes: usize,
    pub kernel: usize,
    pub stride: usize,
    /// A multiple of [`super::CHANNEL_MULTIPLE`].
    pub channels: usize,
    /// Cells in a row of the output.
    pub width: usize,
    /// Output rows in a strip.
    pub strip_rows: usize,
    /// Of the strip.
    pub element: Element,
    /// `[tap][channel]`.
    pub weights: Memory,
}

/// A part of the product's sum: `taps` times `groups` groups of channels.
#[derive(Clone, Debug)]
pub(in crate::runtime::engine) struct Segment<A> {
    /// The upper left tap in a map; `None` for the strip that the depthwise part has written.
    pub cells: Option<Cells<A>>,
    /// Bytes from the upper left tap.
    pub taps: Vec<usize>,
    /// Groups of channels in a tap (see [`Element::group`]).
    pub groups: usize,
}

/// Vectors of output channels that a kernel computes together.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime::engine) struct Block {
    pub vectors: usize,
    pub first_channel: usize,
}

/// Packed weights of a product.
pub(in crate::runtime::engine) struct Weights {
    pub memory: Memory,
    /// Each block with the byte in `memory` where its weights begin.
    pub blocks: Vec<(Block, usize)>,
}

/// The sums of a product of bytes: integers that become f32 before the bias is added. Everything is per channel, padded
/// to whole vectors.
pub(in crate::runtime::engine) struct IntegerSums {
    /// What they begin with, i32.
    pub starts: Memory,
    /// Their factors, f32.
    pub scales: Memory,
}

/// What is added to a product's sums; those in f32 begin with it.
pub(in crate::runtime::engine) enum Bias<A> {
    /// One value per channel, padded to whole vectors.
    Channels(Memory),
    /// A map of them.
    Cells(Cells<A>),
}

/// A map that is added to a result in registers.
#[derive(Clone, Debug)]
pub(in crate::runtime::engine) struct Term<A> {
    pub cells: Cells<A>,
    /// Whether a ReLU follows the addition.
    pub relu: bool,
}

/// A destination of results.
pub(in crate::runtime::engine) struct Store<A> {
    pub cells: Cells<A>,
    /// The number of channels that may be written, from the first one that the step computes.
    pub room: usize,
    /// Applied to the results before they are written.
    pub affine: Option<Affine>,
    /// Of the map.
    pub element: Element,
}

/// A batch norm: times `scale`, plus `shift`, one value per channel, followed by a ReLU if `relu`.
pub(in crate::runtime::engine) struct Affine {
    pub scale: Memory,
    pub shift: Memory,
    pub relu: bool,
}

impl<A> Product<A> {
    /// Output cells that must stay together when threads share the step.
    pub fn grain(&self) -> usize {
        self.depthwise.as_ref().map_or(1, |d| d.width)
    }

    /// Bytes that a thread needs for a strip of the depthwise part.
    pub fn strip_bytes(&self) -> usize {
        self.depthwise.as_ref().map_or(0, |d| d.strip_rows * d.width * d.channels * d.element.bytes())
    }
}

impl<A> Action<A> {
    /// Bytes that a thread needs for strips, with vectors of `lanes`.
    pub fn strip_bytes(&self, lanes: usize) -> usize {
        match self {
            Action::Product(product) => product.strip_bytes(),
            Action::Integer(product) => product.strip_bytes(lanes),
            Action::Picture(_) | Action::Gate(_) | Action::Sum(_) => 0,
        }
    }

    /// Bytes of packed weights.
    pub fn weight_bytes(&self) -> usize {
        match self {
            Action::Product(product) => {
                product.weights.memory.bytes() + product.depthwise.as_ref().map_or(0, |d| d.weights.bytes())
            }
            Action::Integer(product) => product.weights.bytes() + product.depthwise().map_or(0, |d| d.weights.bytes()),
            Action::Picture(_) | Action::Gate(_) | Action::Sum(_) => 0,
        }
    }

    /// Positions in every map that the step reads or writes.
    pub fn starts(&self) -> Vec<&A> {
        match self {
            Action::Picture(picture) => vec![&picture.start],
            Action::Gate(gate) => vec![&gate.boundary.start, &gate.to.start],
            Action::Integer(product) => product.starts().collect(),
            Action::Sum(sum) => {
                let terms = sum.terms.iter().map(|term| &term.cells.start);
                terms.chain(sum.stores.iter().map(|store| &store.cells.start)).collect()
            }
            Action::Product(product) => {
                let bias = match &product.bias {
                    Bias::Cells(cells) => Some(&cells.start),
                    Bias::Channels(_) => None,
                };
                let segments = product.segments.iter().filter_map(|segment| segment.cells.as_ref()).map(|c| &c.start);
                let depthwise = product.depthwise.iter().map(|depthwise| &depthwise.start);
                let terms = product.terms.iter().map(|term| &term.cells.start);
                let stores = product.inner.iter().chain(&product.stores).map(|store| &store.cells.start);
                bias.into_iter().chain(segments).chain(depthwise).chain(terms).chain(stores).collect()
            }
        }
    }
}

impl Action<InMap> {
    pub fn place(self, at: Placement<'_>) -> Action<Address> {
        match self {
            Action::Picture(Picture { start, row_bytes, row_values }) => {
                Action::Picture(Picture { start: at(start), row_bytes, row_values })
            }
            Action::Gate(Gate { boundary, to, coordinates }) => {
                Action::Gate(Gate { boundary: boundary.place(at), to: to.place(at), coordinates })
            }
            Action::Product(product) => Action::Product(Box::new(product.place(at))),
            Action::Integer(product) => Action::Integer(Box::new(product.place(at))),
            Action::Sum(Sum { cells, blocks, terms, scale, stores }) => Action::Sum(Sum {
                cells,
                blocks,
                terms: place_terms(terms, at),
                scale,
                stores: place_stores(stores, at),
            }),
        }
    }
}

impl Product<InMap> {
    fn place(self, at: Placement<'_>) -> Product<Address> {
        let Self { cells, depthwise, segments, weights, integers, bias, relu, inner, terms, stores, chunk, prefetch } =
            self;
        let place_segment = |Segment { cells, taps, groups }: Segment<InMap>| Segment {
            cells: cells.map(|cells| cells.place(at)),
            taps,
            groups,
        };
        let bias = match bias {
            Bias::Channels(values) => Bias::Channels(values),
            Bias::Cells(cells) => Bias::Cells(cells.place(at)),
        };
        Product {
            cells,
            depthwise: depthwise.map(|depthwise| depthwise.place(at)),
            segments: segments.into_iter().map(place_segment).collect(),
            weights,
            integers,
            bias,
            relu,
            inner: place_stores(inner, at),
            terms: place_terms(terms, at),
            stores: place_stores(stores, at),
            chunk,
            prefetch,
        }
    }
}

impl Depthwise<InMap> {
    fn place(self, at: Placement<'_>) -> Depthwise<Address> {
        let Self { start, row_bytes, pitch_bytes, kernel, stride, channels, width, strip_rows, element, weights } =
            self;
        let start = at(start);
        Depthwise { start, row_bytes, pitch_bytes, kernel, stride, channels, width, strip_rows, element, weights }
    }
}

impl Cells<InMap> {
    pub fn place(self, at: Placement<'_>) -> Cells<Address> {
        Cells { start: at(self.start), table: self.table }
    }
}

fn place_terms(terms: Vec<Term<InMap>>, at: Placement<'_>) -> Vec<Term<Address>> {
    terms.into_iter().map(|Term { cells, relu }| Term { cells: cells.place(at), relu }).collect()
}

fn place_stores(stores: Vec<Store<InMap>>, at: Placement<'_>) -> Vec<Store<Address>> {
    let place =
        |Store { cells, room, affine, element }: Store<InMap>| Store { cells: cells.place(at), room, affine, element };
    stores.into_iter().map(place).collect()
}
