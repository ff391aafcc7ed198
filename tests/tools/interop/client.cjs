// Exports a clip with @grpc/grpc-js, from the protos of this checkout.

const assert = require("node:assert");
const { createHash, randomUUID } = require("node:crypto");
const path = require("node:path");

const root = path.resolve(__dirname, "../../..");
const modules = (name) => require(path.join(root, ".tools/node/node_modules", name));
const grpc = modules("@grpc/grpc-js");
const { loadSync } = modules("@grpc/proto-loader");

const options = { includeDirs: [path.join(root, "proto")], longs: String, enums: String, defaults: true };
const definition = loadSync("excerpt/export/v1/export_service.proto", options);
const { ExportService } = grpc.loadPackageDefinition(definition).excerpt.export.v1;

const deadline = () => new Date(Date.now() + 60_000);

function call(client, name, request) {
    return new Promise((resolve, reject) => {
        client[name](request, { deadline: deadline() }, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
}

async function collect(client, name, request) {
    const answers = [];
    for await (const answer of client[name](request, { deadline: deadline() })) {
        answers.push(answer);
    }
    return answers;
}

async function main(server, uid) {
    const client = new ExportService(server.replace("http://", ""), grpc.credentials.createInsecure());
    const unknown = { spec: { uid: "no/such.mpd", duration: { seconds: 1 } } };
    await assert.rejects(call(client, "createExport", unknown), { code: grpc.status.NOT_FOUND });
    const spec = { uid, mark: { seconds: 7 }, duration: { seconds: 10 }, container: "CONTAINER_TS" };
    const accepted = await call(client, "createExport", { requestId: randomUUID(), spec });
    const id = accepted.export.id;
    const ended = (await collect(client, "watchExport", { id })).at(-1).export;
    assert.strictEqual(ended.status.state, "JOB_STATE_SUCCEEDED");
    const pieces = await collect(client, "downloadFile", { id });
    const sha256 = createHash("sha256").update(Buffer.concat(pieces.map((piece) => piece.data))).digest("hex");
    assert.strictEqual(sha256, ended.file.sha256);
    await call(client, "deleteExport", { id });
    client.close();
}

main(...process.argv.slice(2)).catch((error) => {
    console.error(error);
    process.exit(1);
});
