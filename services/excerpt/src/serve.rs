//! `excerpt serve`: all services, or some, in one process: one queue, one set of media processes, a port for each service.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use futures_util::future::try_join_all;
use server::{Config, ServeArgs, Service, Suite};

/// What to serve, and how.
#[derive(Debug, Args)]
pub(crate) struct ServeCommand {
    /// The services to run, with commas between them. Default: all.
    #[arg(long, value_enum, value_delimiter = ',', env = "EXCERPT_SERVICES")]
    services: Vec<Name>,
    #[command(flatten)]
    settings: ServeArgs,
}

/// A service of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Name {
    /// A clip, or a still, of a recording.
    Export,
}

impl Name {
    fn place(self) -> u16 {
        match self {
            Self::Export => export_service::PLACE,
        }
    }

    fn service(self, suite: &Arc<Suite>) -> Service {
        match self {
            Self::Export => export_service::service(suite),
        }
    }

    fn runners(self, suite: &Arc<Suite>) -> Vec<Arc<dyn jobs::Runner>> {
        match self {
            Self::Export => export_service::runners(suite),
        }
    }
}

/// Serves until told to stop by SIGTERM or SIGINT, and then ends in order.
///
/// # Errors
/// Names the setting, address, folder or database that can't be used.
pub(crate) async fn serve(command: ServeCommand) -> anyhow::Result<()> {
    let names = chosen(command.services);
    let config = Config::load(command.settings)?;
    server::telemetry();
    let shutdown = server::shutdown_signal()?;
    let mut listeners = Vec::new();
    for name in &names {
        listeners.push(server::bind(&config, name.place()).await?);
    }
    let suite = Suite::open(config).await?;
    let workers = suite.run_workers(names.iter().flat_map(|name| name.runners(&suite)).collect());
    let services = names.iter().map(|name| name.service(&suite)).zip(listeners);
    let served = try_join_all(
        services.map(|(service, listener)| server::serve(listener, service, suite.shared.clone(), shutdown.clone())),
    )
    .await;
    suite.close(workers).await;
    served?;
    Ok(())
}

/// Each service once; all of them where none is named.
fn chosen(mut names: Vec<Name>) -> Vec<Name> {
    if names.is_empty() {
        names.extend(Name::value_variants());
    }
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_service_is_started_twice() {
        assert_eq!(chosen(vec![]), Name::value_variants());
        assert_eq!(chosen(vec![Name::Export, Name::Export]), [Name::Export]);
    }
}
