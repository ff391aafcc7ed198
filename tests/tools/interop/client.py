"""Exports a clip with grpcio, knowing nothing of the protos but what the server's reflection says."""

import hashlib
import sys
import uuid

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "excerpt.export.v1.ExportService"
DEADLINE = 60


class Client:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        database = ProtoReflectionDescriptorDatabase(self.channel)
        assert SERVICE in database.get_services(), database.get_services()
        self.service = DescriptorPool(database).FindServiceByName(SERVICE)

    def call(self, name, **fields):
        method = self.service.FindMethodByName(name)
        request = GetMessageClass(method.input_type)
        answer = GetMessageClass(method.output_type)
        kind = self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
        send = kind(f"/{SERVICE}/{name}", request.SerializeToString, answer.FromString)
        return send(request(**fields), timeout=DEADLINE)


def main(server, uid):
    client = Client(server.removeprefix("http://"))
    health = health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    refuse_bad_request(client, uid)
    spec = {"uid": uid, "mark": {"seconds": 5}, "duration": {"seconds": 10}, "container": "CONTAINER_MP4"}
    plan = client.call("CreateExport", spec=spec, validate_only=True).plan
    assert plan.frames > 0, plan
    export = client.call("CreateExport", request_id=str(uuid.uuid4()), spec=spec).export
    updates = [update.export for update in client.call("WatchExport", id=export.id)]
    ended = updates[-1]
    assert ended.HasField("file"), ended
    assert ended.result.frames == plan.frames, (ended.result, plan)
    content = b"".join(piece.data for piece in client.call("DownloadFile", id=export.id))
    assert hashlib.sha256(content).hexdigest() == ended.file.sha256
    client.call("DeleteExport", id=export.id)


def refuse_bad_request(client, uid):
    try:
        client.call("CreateExport", spec={"uid": uid, "duration": {"seconds": -1}})
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert "spec.duration" in error.details(), error
    else:
        raise AssertionError("a negative duration was accepted")


if __name__ == "__main__":
    main(*sys.argv[1:])
