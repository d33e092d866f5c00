import { setTimeout as pause } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { serviceConfig } from "./gen/service_config.js";

const policy = serviceConfig.methodConfig[0].retryPolicy;

/**
 * Decides whether a call is tried again, and waits before it is: only while the server is unavailable, a few times,
 * with growing pauses. Connect does not read gRPC service configs, so this follows ours.
 *
 * Every call bears it. Reads and lists change nothing; executions have the same id in every try of one call; naming,
 * deleting and redacting have the same effect twice as once. Only the answer can differ: when the try that removed
 * something lost its connection before the answer came, the next one finds nothing and says NOT_FOUND.
 */
export async function mayRetry(thrown: unknown, tries: number, signal?: AbortSignal): Promise<boolean> {
  if (ConnectError.from(thrown).code !== Code.Unavailable || tries >= policy.maxAttempts || signal?.aborted) return false;
  const longest = Math.min(
    parseFloat(policy.initialBackoff) * policy.backoffMultiplier ** (tries - 1),
    parseFloat(policy.maxBackoff),
  );
  const waited = pause(1000 * longest * (0.8 + 0.4 * Math.random()), true, signal ? { signal } : {});
  return waited.catch(() => false);
}

/** The answer of a call, after as many tries as the policy allows. */
export async function retrying<Answer>(call: () => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (thrown) {
      if (!(await mayRetry(thrown, tries, signal))) throw thrown;
    }
  }
}
