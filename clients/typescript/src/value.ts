import { create } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "./gen/crucible/v1/value_pb.js";

/** How many values may be nested in one another; the outermost counts as one. */
export const MAX_DEPTH = 32;

/**
 * What scripts take. An integral number is sent as an int64, any other number as a double; a bigint as an int64, or as
 * a uint64 when it is too large for that. `Double` and `UInt64` say otherwise. A `Value` is sent as it is.
 */
export type Input =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Double
  | UInt64
  | Value
  | readonly Input[]
  | { readonly [name: string]: Input };

/** What scripts return. Integers that a number cannot hold exactly are bigints. */
export type Output = null | boolean | number | bigint | string | Uint8Array | Output[] | { [name: string]: Output };

/** A number that is sent as a double although it is integral. */
export class Double {
  constructor(readonly value: number) {}
}

/** An integer that is sent as a uint64 although an int64 could hold it. */
export class UInt64 {
  readonly value: bigint;
  constructor(value: bigint | number) {
    this.value = BigInt(value);
  }
}

const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;
const U64_MAX = 2n ** 64n - 1n;

/** The Value that stands for a native one. Throws a RangeError or TypeError that names the path of what cannot be sent. */
export function toValue(input: Input, path = "value", depth = 1): Value {
  if (depth > MAX_DEPTH) {
    throw new RangeError(`${path}: nested deeper than ${MAX_DEPTH} levels; flatten the value`);
  }
  if (input === null) return create(ValueSchema, { kind: { case: "nullValue", value: {} } });
  if (typeof input === "boolean") return value({ case: "boolValue", value: input });
  if (typeof input === "bigint") return integer(input, path);
  if (typeof input === "number") {
    const integral = Number.isSafeInteger(input) && !Object.is(input, -0);
    return integral ? integer(BigInt(input), path) : value({ case: "doubleValue", value: input });
  }
  if (typeof input === "string") return value({ case: "stringValue", value: text(input, path) });
  if (input instanceof Double) return value({ case: "doubleValue", value: input.value });
  if (input instanceof UInt64) {
    if (input.value >= 0n && input.value <= U64_MAX) return value({ case: "uintValue", value: input.value });
    throw new RangeError(`${path}: expected an integer from 0 to 2**64 - 1, got ${input.value}`);
  }
  if (input instanceof Uint8Array) return value({ case: "bytesValue", value: input });
  if (Array.isArray(input)) {
    const values = Array.from(input as readonly Input[], (item, index) => toValue(item, `${path}[${index}]`, depth + 1));
    return create(ValueSchema, { kind: { case: "listValue", value: { values } } });
  }
  if (isValue(input)) return input;
  const prototype: unknown = typeof input === "object" ? Object.getPrototypeOf(input) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(
      `${path}: expected null, boolean, number, bigint, string, Uint8Array, array or plain object, got ${kindOf(input)}`,
    );
  }
  const fields = toFields(input as { readonly [name: string]: Input }, path, depth + 1);
  return create(ValueSchema, { kind: { case: "objectValue", value: { fields } } });
}

/** Named values, such as arguments; throws what toValue throws. */
export function toFields(inputs: { readonly [name: string]: Input }, path: string, depth = 1): { [name: string]: Value } {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => {
      const place = `${path}[${JSON.stringify(name)}]`;
      text(name, `the key of ${place}`);
      return [name, toValue(input, place, depth)];
    }),
  );
}

/** The native value that a Value stands for. Throws a TypeError for one whose kind is not set. */
export function fromValue(message: Value): Output {
  const kind = message.kind;
  switch (kind.case) {
    case "nullValue":
      return null;
    case "intValue":
    case "uintValue": {
      const number = Number(kind.value);
      return Number.isSafeInteger(number) ? number : kind.value;
    }
    case "listValue":
      return kind.value.values.map(fromValue);
    case "objectValue":
      return Object.fromEntries(Object.entries(kind.value.fields).map(([name, field]) => [name, fromValue(field)]));
    case undefined:
      throw new TypeError("the value has no kind: this client is older than the server, or the server is at fault");
    default:
      return kind.value;
  }
}

function value(kind: Exclude<Value["kind"], { case: undefined }>): Value {
  return create(ValueSchema, { kind });
}

function integer(input: bigint, path: string): Value {
  if (input >= I64_MIN && input <= I64_MAX) return value({ case: "intValue", value: input });
  if (input >= 0n && input <= U64_MAX) return value({ case: "uintValue", value: input });
  throw new RangeError(`${path}: expected an integer from -(2**63) to 2**64 - 1, got ${input}`);
}

function text(input: string, path: string): string {
  // A lone surrogate would be replaced silently.
  if (/\p{Surrogate}/u.test(input)) throw new RangeError(`${path}: expected Unicode text, got a lone surrogate`);
  return input;
}

function isValue(input: object): input is Value {
  return "$typeName" in input && input.$typeName === ValueSchema.typeName;
}

function kindOf(input: unknown): string {
  return typeof input === "object" ? (Object.getPrototypeOf(input)?.constructor?.name ?? "object") : typeof input;
}
