// Follows an execution as a slow reader: `node reader.mjs CLIENT ADDRESS EXECUTION PAUSE`.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const [module, address, execution, seconds] = process.argv.slice(2);
const { Client } = await import(module);
const tell = (what) => console.log(what, /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);

const client = new Client(address);
await client.serverInfo();
tell("before");
let total = 0;
for await (const piece of client.wait(execution)) {
  if (!total) {
    await pause(1000 * seconds);
    tell("paused");
  }
  total += piece.text.length;
}
tell("end");
console.log("bytes", total);
client.close();
