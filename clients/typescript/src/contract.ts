// Calls a real server in every way that the client promises to work, and ends with code 1 at the first that does not:
// `npm run contract -- 127.0.0.1:50051`
import assert from "node:assert/strict";
import { Code } from "@connectrpc/connect";
import { ExecutionErrorKind } from "./gen/crucible/v1/error_pb.js";
import {
  Client,
  CompilationError,
  CrucibleError,
  Double,
  ExecutionFailed,
  fromValue,
  type Input,
  MAX_DEPTH,
  toValue,
  UInt64,
} from "./index.js";
import { storedChecks } from "./contract.stored.js";

const ECHO = { source: "pub fn main(x) { x }" };
const ENDLESS = { source: 'pub fn main() { println!("up"); loop {} }' };
const client = new Client(process.argv[2] ?? "127.0.0.1:50051");

const checks: { [name: string]: () => Promise<void> } = {
  async compile() {
    const script = await client.compile(ECHO.source);
    assert.equal(script.functions[0]?.name, "main");
    assert.equal(script.functions[0]?.parameters[0]?.name, "x");
    const { value } = await client.run({ scriptId: script.scriptId }, { args: { x: "by id" } });
    assert.equal(value, "by id");
  },

  async metadata() {
    const traceparent = `00-${"7e".repeat(16)}-${"5c".repeat(8)}-01`;
    const traced = new Client(process.argv[2] ?? "127.0.0.1:50051", {
      interceptors: [
        (next) => (request) => {
          request.header.set("traceparent", traceparent);
          return next(request);
        },
      ],
    });
    // Whoever runs this looks for it in the events of the server.
    assert.equal((await traced.run(ECHO, { args: { x: "traced" } })).value, "traced");
    traced.close();
  },

  async values() {
    let deep: Input = "bottom";
    for (let level = 1; level < MAX_DEPTH; level++) deep = { down: deep };
    const inputs: Input[] = [
      ...[null, true, false, 0, -1, Number.MAX_SAFE_INTEGER, -(2n ** 63n), 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n],
      ...[new UInt64(0), 0.5, new Double(1), -0, NaN, Infinity, -Infinity, Number.MAX_VALUE, "", "grüße \0 🦀"],
      ...[new Uint8Array(), new Uint8Array([0, 255]), [], [1, new Double(1), "1", [null]], {}],
      { "": null, a: [{ b: new UInt64(1) }] },
      deep,
    ];
    for (const input of inputs) {
      const sent = toValue(input);
      const { value, message } = await client.run(ECHO, { args: { x: input } });
      assert.deepEqual(message.returnValue, sent);
      assert.deepEqual(value, fromValue(sent));
    }
    assert.throws(() => toValue([deep]), /value\[0\]\["down"\].*nested deeper than 32/);
    assert.throws(() => toValue({ n: 2n ** 64n }), /value\["n"\]/);
    assert.throws(() => toValue({ d: new Date() } as never), /value\["d"\].*Date/);
  },

  async stream() {
    const stream = client.stream({ source: 'pub fn main() { for n in 0..3 { println!("line {}", n); } 7 }' });
    let text = "";
    let last = 0n;
    for await (const piece of stream) {
      assert.ok(piece.sequence > last);
      assert.equal(piece.stream, "stdout");
      text += piece.text;
      last = piece.sequence;
    }
    assert.equal(text, "line 0\nline 1\nline 2\n");
    assert.equal(stream.result?.value, 7);
  },

  async "unknown script"() {
    await assert.rejects(client.run({ scriptId: "0".repeat(64) }), (error: CrucibleError) => {
      assert.ok(error instanceof CrucibleError);
      assert.equal(error.kind, "SCRIPT_NOT_FOUND");
      assert.equal(error.code, Code.NotFound);
      return true;
    });
  },

  async "syntax error"() {
    await assert.rejects(client.compile("pub fn main( {"), (error: CompilationError) => {
      assert.ok(error instanceof CompilationError);
      assert.equal(error.diagnostics[0]?.span?.line, 1);
      assert.ok(error.rendered);
      return true;
    });
  },

  async failure() {
    const running = client.run({ source: "pub fn main(n) {\n    1 / n\n}" }, { args: { n: 0 } });
    await assert.rejects(running, (error: ExecutionFailed) => {
      assert.ok(error instanceof ExecutionFailed);
      assert.equal(error.error.kind, ExecutionErrorKind.RUNTIME);
      assert.deepEqual([error.error.line, error.error.column], [2, 5]);
      assert.equal(error.result.message.success, false);
      return true;
    });
  },

  async cancel() {
    const stream = client.stream(ENDLESS);
    const reading = async () => {
      for await (const piece of stream) {
        assert.equal(piece.text, "up\n");
        await client.cancel(stream.executionId, "contract");
      }
    };
    await assert.rejects(reading(), { name: "ExecutionFailed", kind: "CANCELLED" });
    assert.ok(stream.result);
  },

  async "lost call"() {
    const stream = client.stream(ENDLESS);
    for await (const piece of stream) {
      assert.equal(piece.text, "up\n");
      break;
    }
    const following = async () => {
      for await (const piece of client.wait(stream.executionId)) assert.equal(piece.text, "up\n");
    };
    await assert.rejects(following(), { name: "ExecutionFailed", kind: "CANCELLED" });
  },
};

let failed = false;
for (const [name, check] of Object.entries({ ...checks, ...storedChecks(client) })) {
  try {
    await check();
    console.log(`ok - ${name}`);
  } catch (error) {
    failed = true;
    console.log(`not ok - ${name}:`, error);
    break;
  }
}
client.close();
process.exit(failed ? 1 : 0);
