/**
 * Calls Crucible, the service that runs untrusted Rune scripts.
 *
 *     const client = new Client("127.0.0.1:50051");
 *     const { value } = await client.run({ source: "pub fn main(n) { n * 2 }" }, { args: { n: 21 } });
 */
export { Client, type Piece, type Result, type RunOptions, type Script, type StoredScript, Stream } from "./client.js";
export { CompilationError, CrucibleError, ExecutionFailed, type FieldViolation } from "./errors.js";
export { serviceConfig } from "./gen/service_config.js";
export type { ExecutionFilter, ScriptFilter, State } from "./list.js";
export { toDate } from "./time.js";
export { Double, fromValue, type Input, MAX_DEPTH, type Output, toValue, UInt64 } from "./value.js";
