// Contract calls a real server in every way that the client promises to work, and ends with code 1 at the first that
// does not.
//
//	go run ./contract -server 127.0.0.1:50051
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	crucible "github.com/crucible-rune/crucible/clients/go"
	"github.com/crucible-rune/crucible/clients/go/cruciblev1"
)

func main() {
	address := flag.String("server", "127.0.0.1:50051", "address of the Crucible server")
	flag.Parse()
	client, err := crucible.Dial(*address)
	if err != nil {
		fmt.Println("not ok - dial:", err)
		os.Exit(1)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	checks := []struct {
		name string
		run  func(context.Context, *crucible.Client) error
	}{
		{"compile", compile}, {"metadata", traced}, {"values", values}, {"stream", stream}, {"unknown script", unknownScript},
		{"syntax error", syntaxError}, {"failure", failure}, {"cancel", cancelled}, {"lost call", lostCall},
		{"scripts", scripts}, {"lists", lists}, {"deletion", deletion}, {"redaction", redaction}, {"metrics", metrics},
	}
	for _, check := range checks {
		if err := check.run(ctx, client); err != nil {
			fmt.Printf("not ok - %s: %v\n", check.name, err)
			os.Exit(1)
		}
		fmt.Println("ok -", check.name)
	}
}

func compile(ctx context.Context, client *crucible.Client) error {
	script, err := client.Compile(ctx, "pub fn main(x) { x }", "")
	if err != nil {
		return err
	}
	function := script.GetFunctions()[0]
	if function.GetName() != "main" || function.GetParameters()[0].GetName() != "x" {
		return fmt.Errorf("expected main(x), got %v", function)
	}
	result, err := client.Run(ctx, crucible.ScriptID(script.GetScriptId()), crucible.Options{
		Arguments: map[string]any{"x": "by id"},
	})
	return expect(result, err, "by id")
}

func traced(ctx context.Context, client *crucible.Client) error {
	traceparent := "00-" + strings.Repeat("60", 16) + "-" + strings.Repeat("5c", 8) + "-01"
	// Whoever runs this looks for it in the events of the server.
	ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
	result, err := client.Run(ctx, crucible.Source("pub fn main() { 1 }"), crucible.Options{})
	return expect(result, err, int64(1))
}

func values(ctx context.Context, client *crucible.Client) error {
	var deep any = "bottom"
	for range crucible.MaxDepth - 1 {
		deep = map[string]any{"down": deep}
	}
	for _, value := range []any{
		nil, true, false, int64(0), int64(math.MinInt64), int64(math.MaxInt64), uint64(0), uint64(math.MaxUint64),
		1.0, -0.5, math.MaxFloat64, math.Inf(1), math.Inf(-1), "", "grüße \x00 🦀", []byte{}, []byte{0, 255},
		[]any{}, []any{int64(1), 1.0, "1", []any{nil}}, map[string]any{},
		map[string]any{"": nil, "a": []any{map[string]any{"b": uint64(1)}}}, deep,
	} {
		result, err := client.Run(ctx, crucible.Source("pub fn main(x) { x }"), crucible.Options{
			Arguments: map[string]any{"x": value},
		})
		if err := expect(result, err, value); err != nil {
			return err
		}
	}
	for _, value := range []float64{math.NaN(), math.Copysign(0, -1)} {
		result, err := client.Run(ctx, crucible.Source("pub fn main(x) { x }"), crucible.Options{
			Arguments: map[string]any{"x": value},
		})
		if err != nil {
			return err
		}
		if got, ok := result.Value.(float64); !ok || math.Signbit(got) != math.Signbit(value) || (got == 0) != (value == 0) {
			return fmt.Errorf("expected %v, got %v", value, result.Value)
		}
	}
	if _, err := crucible.ToValue([]any{deep}); err == nil || !strings.Contains(err.Error(), `value[0]["down"]`) {
		return fmt.Errorf("expected a value that is too deep to be refused with its path, got %v", err)
	}
	return nil
}

func stream(ctx context.Context, client *crucible.Client) error {
	source := crucible.Source(`pub fn main() { for n in 0..3 { println!("line {}", n); } 7 }`)
	running, err := client.Stream(ctx, source, crucible.Options{})
	if err != nil {
		return err
	}
	text, last := "", uint64(0)
	for output := range running.Output() {
		if output.Sequence <= last {
			return fmt.Errorf("sequence %d came after %d", output.Sequence, last)
		}
		text, last = text+output.Text, output.Sequence
	}
	if text != "line 0\nline 1\nline 2\n" {
		return fmt.Errorf("unexpected output %q", text)
	}
	result, err := running.Result()
	return expect(result, err, int64(7))
}

func unknownScript(ctx context.Context, client *crucible.Client) error {
	_, err := client.Run(ctx, crucible.ScriptID(strings.Repeat("0", 64)), crucible.Options{})
	return refusal(err, codes.NotFound, cruciblev1.ErrorKind_ERROR_KIND_SCRIPT_NOT_FOUND)
}

func syntaxError(ctx context.Context, client *crucible.Client) error {
	_, err := client.Compile(ctx, "pub fn main( {", "")
	var found *crucible.CompilationError
	if !errors.As(err, &found) || found.Diagnostics[0].GetSpan().GetLine() != 1 || found.Rendered == "" {
		return fmt.Errorf("expected a diagnostic in line 1, got %v", err)
	}
	return nil
}

func failure(ctx context.Context, client *crucible.Client) error {
	source := crucible.Source("pub fn main(n) {\n    1 / n\n}")
	_, err := client.Run(ctx, source, crucible.Options{Arguments: map[string]any{"n": 0}})
	var failed *crucible.ExecutionError
	if !errors.As(err, &failed) || failed.GetKind() != cruciblev1.ExecutionErrorKind_EXECUTION_ERROR_KIND_RUNTIME ||
		failed.GetLine() != 2 || failed.GetColumn() != 5 || failed.Result.Message.GetSuccess() {
		return fmt.Errorf("expected a runtime error at 2:5, got %v", err)
	}
	return nil
}

func cancelled(ctx context.Context, client *crucible.Client) error {
	running, err := client.Stream(ctx, crucible.Source(`pub fn main() { println!("up"); loop {} }`), crucible.Options{})
	if err != nil {
		return err
	}
	for output := range running.Output() {
		if output.Text != "up\n" {
			return fmt.Errorf("unexpected output %q", output.Text)
		}
		if _, err := client.Cancel(ctx, running.ExecutionID, "contract"); err != nil {
			return err
		}
	}
	_, err = running.Result()
	var failed *crucible.ExecutionError
	if !errors.As(err, &failed) || failed.GetKind() != cruciblev1.ExecutionErrorKind_EXECUTION_ERROR_KIND_CANCELLED {
		return fmt.Errorf("expected CANCELLED, got %v", err)
	}
	return nil
}

func lostCall(ctx context.Context, client *crucible.Client) error {
	running, err := client.Stream(ctx, crucible.Source(`pub fn main() { println!("up"); loop {} }`), crucible.Options{})
	if err != nil {
		return err
	}
	for range running.Output() {
		break
	}
	following, err := client.Wait(ctx, running.ExecutionID, 0)
	if err != nil {
		return err
	}
	_, err = following.Result()
	var failed *crucible.ExecutionError
	if !errors.As(err, &failed) || failed.GetKind() != cruciblev1.ExecutionErrorKind_EXECUTION_ERROR_KIND_CANCELLED {
		return fmt.Errorf("expected the script to have been killed, got %v", err)
	}
	return nil
}

func expect(result *crucible.Result, err error, value any) error {
	if err != nil {
		return fmt.Errorf("expected %#v: %w", value, err)
	}
	if !reflect.DeepEqual(result.Value, value) {
		return fmt.Errorf("expected %#v, got %#v", value, result.Value)
	}
	return nil
}
