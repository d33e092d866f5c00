// The part of the contract about what a server has stored.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { type Client, CrucibleError, ExecutionFailed, type State, toDate } from "./index.js";

const COUNT = 5;

/** Checks by name. What they store has names and a text that no other run has. */
export function storedChecks(client: Client): { [name: string]: () => Promise<void> } {
  const prefix = `contract/typescript/${process.pid}-${Date.now()}/`;
  const text = (rest: string) => `/// ${prefix}\n${rest}`;

  return {
    async scripts() {
      const source = text("pub fn main(x) { x }");
      const [first, second] = [`${prefix}first`, `${prefix}second`];
      const { scriptId } = await client.compile(source, first);
      const script = await client.script({ scriptName: first }, { includeSource: true });
      assert.equal(script?.scriptId, scriptId);
      assert.equal(script.source?.source, source);
      assert.equal(script.functions.length, 1);
      assert.ok(script.createTime && Math.abs(Date.now() - toDate(script.createTime).getTime()) < 3_600_000);
      assert.deepEqual((await client.nameScript(second, scriptId))?.names, [first, second]);
      assert.equal((await client.run({ scriptName: second }, { args: { x: "by name" } })).value, "by name");
      await assert.rejects(client.nameScript(second, ""), RangeError);
      await client.removeName(second);
      await assert.rejects(client.script({ scriptName: second }), refusal("SCRIPT_NOT_FOUND", Code.NotFound));
      assert.equal((await client.script({ scriptId }))?.source, undefined);
      await client.deleteScript(scriptId);
      await assert.rejects(client.deleteScript(scriptId), refusal("SCRIPT_NOT_FOUND", Code.NotFound));
    },

    async lists() {
      const ids: string[] = [];
      for (let number = 0; number < COUNT; number++) {
        const source = text(`pub fn main(n) { 1 / (n - ${number}) }`);
        ids.unshift((await client.compile(source, `${prefix}list/${number}`)).scriptId);
        // A Date counts milliseconds.
        await pause(5);
      }
      const namePrefix = `${prefix}list/`;
      const scripts = (filter: object) => all(client.scripts({ namePrefix, ...filter }), (script) => script.scriptId);
      for (const pageSize of [2, COUNT, undefined]) assert.deepEqual(await scripts(pageSize ? { pageSize } : {}), ids);
      const middle = await client.script({ scriptId: ids[2] ?? "" });
      assert.ok(middle?.createTime);
      const moment = toDate(middle.createTime);
      for (const time of [moment, middle.createTime]) {
        assert.deepEqual(await scripts({ createdAfter: time }), ids.slice(0, 3));
        assert.deepEqual(await scripts({ createdBefore: time }), ids.slice(3));
      }

      const scriptId = ids[COUNT - 1] ?? "";
      for (let n = 0; n < COUNT; n++) {
        const running = client.run({ scriptId }, { args: { n } });
        await running.catch((error: unknown) => assert.ok(error instanceof ExecutionFailed));
      }
      const failed: State = "FAILED";
      for (const [filter, count] of [
        [{ pageSize: 2 }, COUNT],
        [{ states: [failed], pageSize: 1 }, 1],
        [{ principal: "nobody" }, 0],
        [{ createdBefore: moment }, 0],
        [{ createdAfter: moment }, COUNT],
      ] as const) {
        const executions = client.executions({ scriptId, ...filter });
        assert.equal(new Set(await all(executions, (execution) => execution.executionId)).size, count);
      }
      const misspelt = "RUNING" as State;
      assert.throws(() => client.executions({ states: [misspelt] }), /expected some of QUEUED, RUNNING.*"RUNING"/);
      assert.throws(() => client.scripts({ createdAfter: new Date(NaN) }), /createdAfter/);
      const wrong = all(client.scripts({ pageSize: -1 }), () => assert.fail("a script came"));
      await assert.rejects(wrong, refusal("VALIDATION_ERROR", Code.InvalidArgument));
    },

    // Deletes what `lists` stored, while it is listed.
    async deletion() {
      for await (const { scriptId } of client.scripts({ namePrefix: prefix, pageSize: 2 })) {
        for await (const { executionId } of client.executions({ scriptId, pageSize: 2 })) {
          await client.deleteExecution(executionId);
          await assert.rejects(client.execution(executionId), refusal("EXECUTION_NOT_FOUND", Code.NotFound));
        }
        await client.deleteScript(scriptId);
      }
      assert.deepEqual(await all(client.scripts({ namePrefix: prefix }), (script) => script.names), []);
      const stream = client.stream({ source: 'pub fn main() { println!("up"); loop {} }' });
      for await (const piece of stream) {
        assert.equal(piece.text, "up\n");
        const refused = refusal("EXECUTION_UNFINISHED", Code.FailedPrecondition);
        await assert.rejects(client.deleteExecution(stream.executionId), refused);
        break;
      }
    },

    async redaction() {
      const source = 'pub fn main(x) { println!("{}", x); x }';
      const { executionId } = (await client.run({ source }, { args: { x: "secret" } })).message;
      assert.equal((await client.execution(executionId))?.result?.stdout, "secret\n");
      await client.redactExecution(executionId);
      const execution = await client.execution(executionId);
      assert.equal(execution?.redacted, true);
      assert.equal(execution.result?.success, true);
      assert.equal(execution.result.stdout, "");
      assert.equal(execution.result.returnValue, undefined);
      await client.deleteExecution(executionId);
    },

    async metrics() {
      const { scriptId } = await client.compile(text("pub fn main() { 7 }"));
      const before = await client.metrics();
      await client.run({ scriptId });
      const after = await client.metrics(scriptId);
      assert.equal(before.scriptStats.length, 0);
      assert.deepEqual(
        after.scriptStats.map((stats) => [stats.scriptId, stats.successfulExecutions]),
        [[scriptId, 1n]],
      );
      assert.ok(before.metrics && after.metrics && after.metrics.totalExecutions > before.metrics.totalExecutions);
      await client.deleteScript(scriptId);
    },
  };
}

async function all<Row, Found>(list: AsyncIterable<Row>, of: (row: Row) => Found): Promise<Found[]> {
  const found: Found[] = [];
  for await (const row of list) found.push(of(row));
  return found;
}

function refusal(kind: string, code: Code): (error: unknown) => boolean {
  return (error) => error instanceof CrucibleError && error.kind === kind && error.code === code;
}
