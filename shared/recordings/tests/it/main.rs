//! Recordings as FFmpeg writes them, as others write them, and as nobody should.

mod dash;
mod file;
mod folder;
mod growing;
mod hls;
mod hostile;
mod kept;
mod mutation;
mod scale;
mod shelf;
mod sources;
mod windows;
