import { Code, ConnectError } from "@connectrpc/connect";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type ExecutionError, ExecutionErrorKind } from "./gen/crucible/v1/error_pb.js";
import { type Diagnostic, Severity } from "./gen/crucible/v1/script_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import type { Result } from "./client.js";

/** One thing wrong with one field of a request. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** A call did not succeed. The message says what was expected, what came and what to do. */
export class CrucibleError extends Error {
  override readonly name: string = "CrucibleError";
  /** The gRPC status code; undefined when the call itself was answered. */
  readonly code: Code | undefined;
  /** The fields of the request that are wrong. */
  readonly violations: readonly FieldViolation[];
  /** Milliseconds after which to try again, where the server said so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    /** The `ErrorKind` or `ExecutionErrorKind` without prefix, such as `SCRIPT_NOT_FOUND`; empty when none was named. */
    readonly kind: string,
    details: { code?: Code; violations?: readonly FieldViolation[]; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause });
    this.code = details.code;
    this.violations = details.violations ?? [];
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** The source does not compile. */
export class CompilationError extends CrucibleError {
  override readonly name = "CompilationError";

  constructor(
    readonly diagnostics: readonly Diagnostic[],
    /** The diagnostics as a person would like to read them. */
    readonly rendered: string,
  ) {
    const first = diagnostics.find((found) => found.severity === Severity.ERROR);
    const place = first?.span ? ` (${first.span.file}:${first.span.line}:${first.span.column})` : "";
    super(`${first?.message ?? "the source does not compile"}${place}`, "COMPILATION_ERROR");
  }
}

/** The script ran and failed. */
export class ExecutionFailed extends CrucibleError {
  override readonly name = "ExecutionFailed";

  constructor(
    /** Its output and what it used. */
    readonly result: Result,
    /** What went wrong, and where. */
    readonly error: ExecutionError,
  ) {
    const place = error.line ? ` (${error.file}:${error.line}:${error.column})` : "";
    super(`${error.message}${place}`, ExecutionErrorKind[error.kind] ?? String(error.kind));
  }
}

/** The CrucibleError for whatever a call threw. */
export function fromThrown(thrown: unknown): CrucibleError {
  if (thrown instanceof CrucibleError) return thrown;
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === "crucible.v1");
  const retry = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return new CrucibleError(error.rawMessage, info?.reason ?? "", {
    code: error.code,
    violations: error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations),
    ...(retry ? { retryAfterMs: durationMs(retry) } : {}),
    cause: error,
  });
}
