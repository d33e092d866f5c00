// Compiles a script, runs it and prints its output as it comes: `npm run example -- 127.0.0.1:50051`
import { Client } from "./index.js";

const primes = `
pub fn main(limit) {
    let found = [];
    for n in 2..limit {
        if found.iter().all(|p| n % p != 0) {
            println!("{}", n);
            found.push(n);
        }
    }
    found.len()
}
`;

const client = new Client(process.argv[2] ?? "127.0.0.1:50051");
try {
  const script = await client.compile(primes);
  const stream = client.stream({ scriptId: script.scriptId }, { args: { limit: 50 }, timeoutMs: 5_000 });
  for await (const piece of stream) process.stdout.write(piece.text);
  console.log(`${stream.result?.value} primes, ${stream.result?.message.resourceUsage?.operationsCount} instructions`);
} finally {
  client.close();
}
