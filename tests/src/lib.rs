//! Starts the real binaries and drives them.
