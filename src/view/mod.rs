//! What a person sees: overlay drawing, the window, the heads-up display.
