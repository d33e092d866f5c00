import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";

/**
 * A moment of a record as a Date, cut to the millisecond: what happened at that moment happened at that Date or later.
 * (`timestampDate` of `@bufbuild/protobuf` rounds, also up.)
 */
export function toDate(moment: Timestamp): Date {
  return new Date(Number(moment.seconds) * 1000 + Math.floor(moment.nanos / 1_000_000));
}

/** The Timestamp for either; `name` says in errors which it is. Throws a RangeError for a Date that is none. */
export function toTimestamp(name: string, moment: Date | Timestamp): Timestamp {
  if (!(moment instanceof Date)) return moment;
  if (Number.isNaN(moment.getTime())) throw new RangeError(`${name}: expected a moment, got an invalid Date`);
  return timestampFromDate(moment);
}
