import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client as Stub, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { CompilationError, ExecutionFailed, fromThrown } from "./errors.js";
import {
  type Execution,
  type ExecutionChunk,
  type ExecutionContext,
  ExecutionContextSchema,
  type ExecutionResult,
} from "./gen/crucible/v1/execution_pb.js";
import type { CompiledScript, Script as ScriptRecord } from "./gen/crucible/v1/script_pb.js";
import { type GetMetricsResponse, ScriptService } from "./gen/crucible/v1/script_service_pb.js";
import { type ResourceLimitsSchema, SecurityLevel } from "./gen/crucible/v1/security_pb.js";
import type { ServerInfo } from "./gen/crucible/v1/server_info_pb.js";
import { type ExecutionFilter, listExecutions, listScripts, rows, type ScriptFilter } from "./list.js";
import { mayRetry, retrying } from "./retry.js";
import { fromValue, type Input, type Output, toFields } from "./value.js";

/** A stored script, by its id or by a name that points at it. */
export type StoredScript = { scriptId: string } | { scriptName: string };

/** What to run: a source, or a stored script. */
export type Script = { source: string; files?: { [path: string]: string } } | StoredScript;

/** How to run it. */
export interface RunOptions {
  /** The public function to call; `main` when absent. */
  function?: string;
  /** Arguments by parameter name. */
  args?: { readonly [name: string]: Input };
  /** The security level; the server's default when absent. */
  level?: "safe" | "production" | "development";
  /** How long the script may run; it can only lower the level's limit. */
  timeoutMs?: number;
  /** Limits that are lower than the level's. */
  limits?: MessageInitShape<typeof ResourceLimitsSchema>;
  /** The idempotency key; one is made per call when absent. */
  executionId?: string;
  /** Whether the script lives on when the call is lost. */
  detached?: boolean;
  /** Environment variables that the script can read. */
  environment?: { [name: string]: string };
  /** Ends the call, and with it a script that is not detached. */
  signal?: AbortSignal;
}

/** The end of an execution. */
export interface Result {
  /** What the function returned; null when it failed. */
  readonly value: Output;
  /** All of it: output, usage, the exact kinds of the value. */
  readonly message: ExecutionResult;
}

/** A piece of what a script wrote; reading can be taken up again after its sequence number. */
export interface Piece {
  readonly sequence: bigint;
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

const LEVELS = {
  safe: SecurityLevel.SAFE,
  production: SecurityLevel.PRODUCTION,
  development: SecurityLevel.DEVELOPMENT,
} as const;

/** Calls one server. All methods throw a CrucibleError when the server refuses or cannot be reached. */
export class Client {
  /** The generated client, for calls that have no method here. */
  readonly stub: Stub<typeof ScriptService>;
  readonly #session: Http2SessionManager;

  /**
   * A client of the server at an address such as `127.0.0.1:50051`, or `https://host:port` for an encrypted connection.
   * Every call goes through the interceptors, which may add metadata such as `traceparent`.
   */
  constructor(address: string, options: { interceptors?: Interceptor[] } = {}) {
    const baseUrl = address.includes("://") ? address : `http://${address}`;
    // Finds a dead server while a silent script is awaited. The server permits a ping every five seconds.
    this.#session = new Http2SessionManager(baseUrl, { pingIntervalMs: 30_000, pingTimeoutMs: 10_000 });
    const transport = createGrpcTransport({
      baseUrl,
      sessionManager: this.#session,
      readMaxBytes: 64 * 1024 * 1024,
      ...options,
    });
    this.stub = createClient(ScriptService, transport);
  }

  /** Closes the connection; calls that are under way end. */
  close(): void {
    this.#session.abort();
  }

  /** Compiles and stores a source, and points `name` at it if given. Throws a CompilationError when it does not compile. */
  async compile(source: string, name = ""): Promise<CompiledScript> {
    const response = await answer(() => this.stub.compileScript({ source: { source }, context: { name } }));
    if (!response.success || !response.script) {
      throw new CompilationError(response.diagnostics, response.renderedDiagnostics);
    }
    return response.script;
  }

  /** Runs a function to its end. Throws an ExecutionFailed when the script fails. */
  async run(script: Script, options: RunOptions = {}): Promise<Result> {
    const context = executionContext(script, options);
    const response = await answer(() => this.stub.executeScript({ context }, callOptions(options.signal)), options.signal);
    return finished(response.result);
  }

  /** Runs a function like `run` and gives its output while it runs. */
  stream(script: Script, options: RunOptions = {}): Stream {
    const context = executionContext(script, options);
    const call = (signal: AbortSignal) => this.stub.executeScriptStream({ context }, { signal });
    return new Stream(context.executionId, call, options.signal);
  }

  /** Follows an execution, running or ended, from the piece after a sequence number. */
  wait(executionId: string, afterSequence = 0n): Stream {
    const call = (signal: AbortSignal) => this.stub.waitExecution({ executionId, afterSequence }, { signal });
    return new Stream(executionId, call);
  }

  /** Ends an execution; one that has ended stays as it is. */
  async cancel(executionId: string, reason = ""): Promise<Execution | undefined> {
    return (await answer(() => this.stub.cancelExecution({ executionId, reason }))).execution;
  }

  /** Reads the record of an execution. */
  async execution(executionId: string): Promise<Execution | undefined> {
    return (await answer(() => this.stub.getExecution({ executionId }))).execution;
  }

  /**
   * Executions, newest first, without outputs and values. A page is fetched when the one before it has been read; those
   * accepted after the first page are left out, and what was read may be deleted meanwhile.
   */
  executions(filter: ExecutionFilter = {}): AsyncIterable<Execution> {
    const request = listExecutions(filter);
    return rows(async (pageToken) => {
      const page = await answer(() => this.stub.listExecutions({ ...request, pageToken }));
      return [page.executions, page.nextPageToken];
    });
  }

  /**
   * Deletes the record of an execution that has ended, with its output; its id is free again. One that has not ended is
   * refused with EXECUTION_UNFINISHED. EXECUTION_NOT_FOUND can also mean that a try whose answer was lost has deleted it.
   */
  async deleteExecution(executionId: string): Promise<void> {
    await answer(() => this.stub.deleteExecution({ executionId }));
  }

  /**
   * Erases arguments, outputs and values of an execution that has ended, and keeps id, times and outcome. One that has
   * not ended is refused with EXECUTION_UNFINISHED.
   */
  async redactExecution(executionId: string): Promise<void> {
    await answer(() => this.stub.deleteExecution({ executionId, redactOnly: true }));
  }

  /** Reads a stored script; its text only when asked for. */
  async script(which: StoredScript, { includeSource = false } = {}): Promise<ScriptRecord | undefined> {
    const script = stored(which);
    return (await answer(() => this.stub.getScript({ script, includeSource }))).script;
  }

  /** Stored scripts, newest first, without their text; pages are fetched as for `executions`. */
  scripts(filter: ScriptFilter = {}): AsyncIterable<ScriptRecord> {
    const request = listScripts(filter);
    return rows(async (pageToken) => {
      const page = await answer(() => this.stub.listScripts({ ...request, pageToken }));
      return [page.scripts, page.nextPageToken];
    });
  }

  /** Points a name at a stored script, wherever it pointed before. */
  async nameScript(name: string, scriptId: string): Promise<ScriptRecord | undefined> {
    if (!scriptId) throw new RangeError("scriptId: expected an id, got an empty one; removeName removes a name");
    return (await answer(() => this.stub.nameScript({ name, scriptId }))).script;
  }

  /** Removes a name; the script stays. SCRIPT_NOT_FOUND can also mean that a try whose answer was lost has removed it. */
  async removeName(name: string): Promise<void> {
    await answer(() => this.stub.nameScript({ name }));
  }

  /**
   * Removes the caller's reference to a script; with the last one go its text, names and figures. Executions and their
   * records stay. SCRIPT_NOT_FOUND can also mean that a try whose answer was lost has deleted it.
   */
  async deleteScript(scriptId: string): Promise<void> {
    await answer(() => this.stub.deleteScript({ scriptId }));
  }

  /** Figures of the service, and of these scripts. */
  async metrics(...scriptIds: string[]): Promise<GetMetricsResponse> {
    return answer(() => this.stub.getMetrics({ scriptIds }));
  }

  /** Versions, levels, limits and modules. */
  async serverInfo(): Promise<ServerInfo | undefined> {
    return (await answer(() => this.stub.getServerInfo({}))).server;
  }
}

/**
 * The output of an execution while it runs. Iterating throws an ExecutionFailed after the last piece when the script
 * failed; leaving the loop early ends the call, which kills a script that still runs, unless it is detached or only
 * followed by `wait`.
 */
export class Stream implements AsyncIterable<Piece> {
  /** The end of the execution; undefined until the iteration has come there. */
  result: Result | undefined;
  readonly #abort = new AbortController();

  constructor(
    readonly executionId: string,
    private readonly call: (signal: AbortSignal) => AsyncIterable<{ chunk?: ExecutionChunk | undefined }>,
    signal?: AbortSignal,
  ) {
    signal?.addEventListener("abort", () => this.close(), { signal: this.#abort.signal });
    if (signal?.aborted) this.close();
  }

  /** Ends the call. */
  close(): void {
    this.#abort.abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Piece, void> {
    const signal = this.#abort.signal;
    try {
      for (let tries = 1, started = false; ; tries++) {
        try {
          for await (const { chunk } of this.call(signal)) {
            started = true;
            const piece = chunk && this.#read(chunk);
            if (piece) yield piece;
          }
          return;
        } catch (thrown) {
          if (started || !(await mayRetry(thrown, tries, signal))) throw fromThrown(thrown);
        }
      }
    } finally {
      this.close();
    }
  }

  #read({ chunk, sequence }: ExecutionChunk): Piece | undefined {
    switch (chunk.case) {
      case "stdout":
      case "stderr":
        return { sequence, stream: chunk.case, text: chunk.value };
      case "complete":
      case "error":
        this.result = toResult(chunk.value);
        finished(chunk.value);
    }
    return undefined;
  }
}

function executionContext(script: Script, options: RunOptions): ExecutionContext {
  return create(ExecutionContextSchema, {
    // Retries have to use one id, so that nothing runs twice.
    executionId: options.executionId ?? randomUUID(),
    function: options.function ?? "",
    arguments: toFields(options.args ?? {}, "args"),
    environment: options.environment ?? {},
    securityContext: { securityLevel: options.level ? LEVELS[options.level] : SecurityLevel.UNSPECIFIED },
    detached: options.detached ?? false,
    ...(options.timeoutMs === undefined ? {} : { timeout: durationFromMs(options.timeoutMs) }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    script:
      "source" in script
        ? { case: "source", value: { source: script.source, files: script.files ?? {} } }
        : stored(script),
  });
}

function stored(script: StoredScript) {
  return "scriptId" in script
    ? ({ case: "scriptId", value: script.scriptId } as const)
    : ({ case: "scriptName", value: script.scriptName } as const);
}

function toResult(message: ExecutionResult): Result {
  return { value: message.success && message.returnValue ? fromValue(message.returnValue) : null, message };
}

function finished(message: ExecutionResult | undefined): Result {
  if (!message) throw new TypeError("the server answered without a result");
  const result = toResult(message);
  if (!message.success && message.error) throw new ExecutionFailed(result, message.error);
  return result;
}

function callOptions(signal?: AbortSignal): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

async function answer<Answer>(call: () => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
  try {
    return await retrying(call, signal);
  } catch (thrown) {
    throw fromThrown(thrown);
  }
}
