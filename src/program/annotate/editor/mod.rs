//! The window in which faces are corrected.
//!
//! In: a recording or a collection, and what a person does. Out: corrected faces, on disk as soon as a change is finished.
//! Errors: what can't be read ends the program with the file's name; what can't be written is told in the window and tried
//! again, and what a person has changed is kept until then.
//!
//! | file | holds |
//! |---|---|
//! | `deck`, `order` | the samples, and those first whose correction helps most |
//! | `labels`, `history` | what is changed of a sample; undo and redo |
//! | `parts`, `handles`, `picking` | what moves as one, its handles, what the mouse is at |
//! | `gesture`, `mirror` | what a drag does; a side copied onto the other |
//! | `viewport`, `layout`, `list` | zoom and pan; how the window is divided; the rows in sight |
//! | `command` | the keys |
//! | `state` | the sample in hand, and what keys and mouse do to it: all of the above, without a window |
//! | `picture`, `painter`, `columns` | what is seen |
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
