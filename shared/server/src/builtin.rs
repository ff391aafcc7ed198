//! What every service answers besides its own: health, and reflection of what is served here and nothing else.

use std::collections::HashSet;

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_reflection::server::Builder;

use crate::{Error, MAX_MESSAGE_BYTES};

/// Health: open to everybody.
pub(crate) const HEALTH: &str = "grpc.health.v1.Health";
/// Reflection, in both versions that clients ask for.
pub(crate) const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// A service's gRPC with health and reflection beside it.
pub(crate) struct Builtin {
    pub(crate) routes: Routes,
    pub(crate) health: Health,
    /// The paths of all methods: what else is called is not worth a metric of its own.
    pub(crate) methods: HashSet<String>,
}

impl Builtin {
    pub(crate) async fn new(routes: Routes, names: &[&'static str], descriptors: &'static [u8]) -> Result<Self, Error> {
        let damaged = |e: tonic_reflection::server::Error| Error::Descriptors(e.to_string());
        let (reporter, health) = tonic_health::server::health_reporter();
        for name in names {
            reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        let sets = [
            descriptors,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let served = [names, &[HEALTH, REFLECTION[0], REFLECTION[1]]].concat();
        let reflection = || {
            let builder = Builder::configure().include_reflection_service(false);
            let builder = sets.iter().fold(builder, |builder, set| builder.register_encoded_file_descriptor_set(set));
            served.iter().fold(builder, |builder, name| builder.with_service_name(*name))
        };
        let (v1, v1alpha) = (reflection().build_v1().map_err(damaged)?, reflection().build_v1alpha().map_err(damaged)?);
        let routes = routes
            .add_service(health.max_decoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(v1.max_decoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(v1alpha.max_decoding_message_size(MAX_MESSAGE_BYTES));
        let methods = methods(&sets, &served)?;
        Ok(Self { routes, health: Health { reporter, names: names.to_vec() }, methods })
    }
}

/// What health checks are told.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: HealthReporter,
    names: Vec<&'static str>,
}

impl Health {
    /// From now on, says that requests should go elsewhere.
    pub(crate) async fn stop(&self) {
        for name in self.names.iter().copied().chain(["", HEALTH]) {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
    }
}

/// The paths of the methods of the `served` services.
fn methods(sets: &[&[u8]], served: &[&str]) -> Result<HashSet<String>, Error> {
    let mut methods = HashSet::new();
    for set in sets {
        let set = FileDescriptorSet::decode(*set).map_err(|e| Error::Descriptors(e.to_string()))?;
        for file in &set.file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                if served.contains(&name.as_str()) {
                    methods.extend(service.method.iter().map(|method| format!("/{name}/{}", method.name())));
                }
            }
        }
    }
    Ok(methods)
}

#[cfg(test)]
mod tests {
    use prost_types::{FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto};

    use super::*;

    /// Two packages, each with a service that has one method.
    fn descriptors() -> &'static [u8] {
        let file = |package: &str, service: &str| FileDescriptorProto {
            name: Some(format!("{package}.proto")),
            package: Some(package.to_owned()),
            service: vec![ServiceDescriptorProto {
                name: Some(service.to_owned()),
                method: vec![MethodDescriptorProto {
                    name: Some("Do".to_owned()),
                    input_type: Some(format!(".{package}.Nothing")),
                    output_type: Some(format!(".{package}.Nothing")),
                    ..MethodDescriptorProto::default()
                }],
                ..ServiceDescriptorProto::default()
            }],
            message_type: vec![prost_types::DescriptorProto {
                name: Some("Nothing".to_owned()),
                ..prost_types::DescriptorProto::default()
            }],
            ..FileDescriptorProto::default()
        };
        let set = FileDescriptorSet { file: vec![file("a.v1", "A"), file("b.v1", "B"), file("c.v1", "C")] };
        set.encode_to_vec().leak()
    }

    #[tokio::test]
    async fn several_services_are_known_and_others_are_not() {
        let builtin =
            Builtin::new(Routes::default(), &["a.v1.A", "b.v1.B"], descriptors()).await.expect("they are fine");
        let own = |path: &&String| !path.starts_with("/grpc.");
        let mut methods: Vec<_> = builtin.methods.iter().filter(own).collect();
        methods.sort();
        assert_eq!(methods, ["/a.v1.A/Do", "/b.v1.B/Do"]);
        assert_eq!(builtin.health.names, ["a.v1.A", "b.v1.B"], "what a stop is told to");
    }
}
