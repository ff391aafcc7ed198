//! The `excerpt` command: runs the services, and is a client of them, with progress bars for people and JSON lines for
//! programs.
//!
//! ```text
//! cli.rs       what can be typed
//! serve.rs     the services, in one process
//! commands.rs  what each call does
//! client.rs    the connection, and patience with it
//! watch.rs     following an export, through restarts of the server
//! download.rs  fetching a file: resumed, verified
//! output.rs    bars and sentences            lines.rs    JSON lines
//! units.rs     lengths and instants          failure.rs  messages and exit codes
//! ```

mod cli;
mod client;
mod commands;
mod download;
mod failure;
#[cfg(test)]
mod fake;
mod lines;
mod output;
mod serve;
mod units;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
    output::Output,
};

fn main() -> ExitCode {
    // Before anything else: a child process that does media work is this very program.
    media::run_worker_if_requested();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("excerpt: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

#[tokio::main]
async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(command) => serve::serve(command).await.map_err(|error| Failure::new(error.to_string())),
        Command::Call(call) => {
            let mut service = client::connect(&cli.server, cli.api_key.as_deref())?;
            commands::run(call, &mut service, &mut Output::new(cli.json)).await
        }
    }
}
