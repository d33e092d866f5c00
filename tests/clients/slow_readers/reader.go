// Reader follows an execution as a slow reader: `reader ADDRESS EXECUTION PAUSE`. The test builds it as a command of
// the client's module.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"regexp"
	"time"

	crucible "github.com/crucible-rune/crucible/clients/go"
)

var peak = regexp.MustCompile(`VmHWM:\s+(\d+)`)

func tell(what string) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %s\n", what, peak.FindSubmatch(status)[1])
}

func main() {
	pause, err := time.ParseDuration(os.Args[3] + "s")
	if err != nil {
		log.Fatal(err)
	}
	client, err := crucible.Dial(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := client.ServerInfo(ctx); err != nil {
		log.Fatal(err)
	}
	tell("before")
	stream, err := client.Wait(ctx, os.Args[2], 0)
	if err != nil {
		log.Fatal(err)
	}
	total := 0
	for output := range stream.Output() {
		if total == 0 {
			time.Sleep(pause)
			tell("paused")
		}
		total += len(output.Text)
	}
	if _, err := stream.Result(); err != nil {
		log.Fatal(err)
	}
	tell("end")
	fmt.Println("bytes", total)
}
