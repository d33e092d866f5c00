import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ExecutionState } from "./gen/crucible/v1/execution_pb.js";
import type { ListExecutionsRequestSchema, ListScriptsRequestSchema } from "./gen/crucible/v1/script_service_pb.js";
import { toTimestamp } from "./time.js";

/** How far an execution has come. */
export type State = Exclude<keyof typeof ExecutionState, "UNSPECIFIED">;

/** What both kinds of list can be narrowed by. */
interface Filter {
  /** Who made it. */
  principal?: string;
  /** Made at this time or later. The times of records can be given as they are, to the nanosecond. */
  createdAfter?: Date | Timestamp;
  /** Made before this time. */
  createdBefore?: Date | Timestamp;
  /** How many are fetched at a time: 1 to 1000, 50 by default. */
  pageSize?: number;
}

/** Which scripts a list is to have: those that fit everything given. */
export interface ScriptFilter extends Filter {
  /** How one of their names begins. */
  namePrefix?: string;
}

/** Which executions a list is to have: those that fit everything given. */
export interface ExecutionFilter extends Filter {
  /** The states in which they may be. */
  states?: readonly State[];
  /** What they run. */
  scriptId?: string;
}

/** The request for the first page. Throws a RangeError for a Date that is none. */
export function listScripts(filter: ScriptFilter): MessageInitShape<typeof ListScriptsRequestSchema> {
  return { ...common(filter), namePrefix: filter.namePrefix ?? "" };
}

/** The request for the first page. Throws a RangeError for an unknown state and for a Date that is none. */
export function listExecutions(filter: ExecutionFilter): MessageInitShape<typeof ListExecutionsRequestSchema> {
  return { ...common(filter), scriptId: filter.scriptId ?? "", states: (filter.states ?? []).map(toState) };
}

/** The rows of a list. A page is asked for when the one before it has been read. */
export async function* rows<Row>(page: (token: string) => Promise<[Row[], string]>): AsyncGenerator<Row, void> {
  for (let token = ""; ; ) {
    const [found, next] = await page(token);
    yield* found;
    if (!next) return;
    token = next;
  }
}

function common(filter: Filter) {
  return {
    principal: filter.principal ?? "",
    pageSize: filter.pageSize ?? 0,
    ...(filter.createdAfter ? { createdAfter: toTimestamp("createdAfter", filter.createdAfter) } : {}),
    ...(filter.createdBefore ? { createdBefore: toTimestamp("createdBefore", filter.createdBefore) } : {}),
  };
}

function toState(name: State): ExecutionState {
  // Of an enum, the keys are its names and its numbers.
  const names = Object.keys(ExecutionState).filter((key) => !/^\d+$|^UNSPECIFIED$/.test(key));
  if (!names.includes(name)) {
    throw new RangeError(`states: expected some of ${names.join(", ")}, got ${JSON.stringify(name)}`);
  }
  return ExecutionState[name];
}
