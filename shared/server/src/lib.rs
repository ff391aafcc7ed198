//! The one way to run a service: settings, telemetry, limits, accounts, health, HTTP beside gRPC on one port, files,
//! metrics, and an orderly end. It is not where services say what they do: it knows no product.
//!
//! ```text
//! config/        flag over environment over file over default
//! telemetry.rs   logs
//! shared.rs      what the services of a process share: settings, accounts, storage, URLs of files
//! suite.rs       what they do their work with: queue, library, media processes
//! clips/         what those share that cut clips out of recordings: from a range to published files
//! service.rs     one service: its gRPC, its HTTP routes, its files, its metrics
//! listen.rs      accepts connections, and ends them
//! wire.rs        one connection's bytes: nobody may hold it without using it
//! stack.rs       what a request passes on its way to the service, in order
//! layers/        the layers of that stack
//! builtin.rs     health and reflection
//! accounts.rs    who a request comes from
//! files/         GET /files/…: ranges, validators, signed URLs
//! metrics.rs     numbers about requests
//! reply.rs       refusals, in the protocol of the request
//! watches.rs     how many streams each account may hold open
//! ```
//!
//! A service's `main` is a list of steps:
//!
//! ```text
//! let config = Config::load(args.serve)?;
//! server::telemetry();
//! let shutdown = server::shutdown_signal()?;
//! let listener = server::bind(&config, PLACE).await?;
//! let suite = Suite::open(config).await?;
//! let workers = suite.run_workers(export_service::runners(&suite));
//! server::serve(listener, export_service::service(&suite), suite.shared.clone(), shutdown).await?;
//! suite.close(workers).await;
//! ```

mod accounts;
mod builtin;
pub mod clips;
mod config;
mod files;
mod layers;
mod listen;
mod metrics;
mod reply;
mod service;
mod shared;
mod signal;
mod stack;
mod suite;
mod telemetry;
mod watches;
mod wire;

pub use accounts::{Accounts, Caller};
pub use config::{
    Account, Archive, Config, ConfigError, DatabaseUrl, Export, Files as FilesConfig, Jobs, Limits, Location,
    Recordings, Role, Secret, ServeArgs, Zone,
};
pub use files::{BaseUrl, FileUrls, Files, NoFiles, PublishedFile};
pub use listen::{bind, serve};
pub use reply::HttpError;
pub use service::{MAX_MESSAGE_BYTES, Service};
pub use shared::Shared;
pub use signal::shutdown_signal;
pub use suite::Suite;
pub use telemetry::telemetry;
pub use watches::{WatchPermit, Watches};

use std::{io, net::SocketAddr, path::PathBuf};

/// Why a service can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}; stop what does, or choose other ports with --base-port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The data folder, or a file in it, can't be used.
    #[error("{path:?} can't be used: {reason}")]
    Data {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The storage can't be used.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The descriptors of a service are damaged: a fault of the build.
    #[error("the service descriptors can't be read: {0}")]
    Descriptors(String),
    /// The database of jobs can't be used.
    #[error("the database can't be used: {0}")]
    Database(String),
    /// Media processes can't be started.
    #[error("media can't be worked on: {0}")]
    Media(String),
    /// Signals can't be received.
    #[error("signals can't be received: {0}")]
    Signals(io::Error),
}
