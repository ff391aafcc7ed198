//! Clips of recordings with sound, text and data of every kind, made in this process, and read back with the ffmpeg
//! program.

mod broadcast;
mod captions;
mod labels;
mod rig;
mod silence;
mod sound;
mod ts;
