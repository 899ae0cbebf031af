//! The window for correcting faces.
//!
//! In: a recording or a collection, keys and mouse. Out: corrected faces, on disk as soon as a change is finished.
//! Errors: a failed read ends the program and names the file; a failed write is reported in the window and retried, and
//! the change is kept until then.
//!
//! | file | holds |
//! |---|---|
//! | `deck`, `order` | the samples, ordered by how much their correction helps |
//! | `labels`, `history` | the editable part of a sample; undo and redo |
//! | `parts`, `handles`, `picking` | parts that move as one, their handles, hit testing |
//! | `gesture`, `mirror` | drags; copying one side onto the other |
//! | `viewport`, `layout`, `list` | zoom and pan; the layout of the window; the visible rows |
//! | `command` | the keys |
//! | `state` | the current sample, and the effects of keys and mouse: all of the above, without a window |
//! | `picture`, `painter`, `columns` | drawing |
//! | `window` | the loop |

mod columns;
mod command;
mod deck;
mod gesture;
mod handles;
mod history;
mod labels;
mod layout;
mod list;
mod mirror;
mod order;
mod painter;
mod parts;
mod picking;
mod picture;
#[cfg(test)]
mod sample;
mod state;
mod viewport;
mod window;

pub(crate) use window::run;
