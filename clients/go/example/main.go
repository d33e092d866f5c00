// Example compiles a script, runs it and prints its output as it comes.
//
//	go run ./example -server 127.0.0.1:50051
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"time"

	crucible "github.com/crucible-rune/crucible/clients/go"
)

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
`

func main() {
	address := flag.String("server", "127.0.0.1:50051", "address of the Crucible server")
	flag.Parse()
	client, err := crucible.Dial(*address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	script, err := client.Compile(ctx, primes, "")
	if err != nil {
		log.Fatal(err)
	}
	stream, err := client.Stream(ctx, crucible.ScriptID(script.GetScriptId()), crucible.Options{
		Arguments: map[string]any{"limit": 50},
	})
	if err != nil {
		log.Fatal(err)
	}
	for output := range stream.Output() {
		fmt.Print(output.Text)
	}
	result, err := stream.Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v primes, %d instructions\n", result.Value, result.Message.GetResourceUsage().GetOperationsCount())
}
