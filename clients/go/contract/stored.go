package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	crucible "github.com/crucible-rune/crucible/clients/go"
	"github.com/crucible-rune/crucible/clients/go/cruciblev1"
)

const count = 5

// What this run stores has names and a text that no other run has.
var prefix = fmt.Sprintf("contract/go/%d/", time.Now().UnixNano())

func scripts(ctx context.Context, client *crucible.Client) error {
	source := fmt.Sprintf("/// %s\npub fn main(x) { x }", prefix)
	compiled, err := client.Compile(ctx, source, prefix+"first")
	if err != nil {
		return err
	}
	id := crucible.ScriptID(compiled.GetScriptId())
	first, second := crucible.ScriptName(prefix+"first"), crucible.ScriptName(prefix+"second")
	script, err := client.Script(ctx, first, true)
	if err != nil {
		return err
	}
	if script.GetScriptId() != string(id) || script.GetSource().GetSource() != source || len(script.GetFunctions()) != 1 ||
		time.Since(script.GetCreateTime().AsTime()).Abs() > time.Hour {
		return fmt.Errorf("expected the script as it was compiled, got %v", script)
	}
	if script, err = client.NameScript(ctx, second, id); err != nil {
		return err
	}
	if names := script.GetNames(); !slices.Equal(names, []string{string(first), string(second)}) {
		return fmt.Errorf("expected both names, got %v", names)
	}
	result, err := client.Run(ctx, second, crucible.Options{Arguments: map[string]any{"x": "by name"}})
	if err := expect(result, err, "by name"); err != nil {
		return err
	}
	if _, err = client.NameScript(ctx, second, ""); err == nil {
		return errors.New("expected an empty id to be refused")
	}
	if err = client.RemoveName(ctx, second); err != nil {
		return err
	}
	_, err = client.Script(ctx, second, false)
	if err = refusal(err, codes.NotFound, cruciblev1.ErrorKind_ERROR_KIND_SCRIPT_NOT_FOUND); err != nil {
		return err
	}
	if script, err = client.Script(ctx, id, false); err != nil || script.GetSource() != nil {
		return fmt.Errorf("expected the script without its text, got %v, %v", script, err)
	}
	if err = client.DeleteScript(ctx, id); err != nil {
		return err
	}
	err = client.DeleteScript(ctx, id)
	return refusal(err, codes.NotFound, cruciblev1.ErrorKind_ERROR_KIND_SCRIPT_NOT_FOUND)
}

func lists(ctx context.Context, client *crucible.Client) error {
	var ids []string
	for number := range count {
		source := fmt.Sprintf("/// %s\npub fn main(n) { 1 / (n - %d) }", prefix, number)
		script, err := client.Compile(ctx, source, fmt.Sprintf("%slist/%d", prefix, number))
		if err != nil {
			return err
		}
		ids = append(ids, script.GetScriptId())
	}
	slices.Reverse(ids)
	for _, size := range []int32{0, 2, count} {
		found, err := scriptIDs(client.Scripts(ctx, crucible.ScriptFilter{NamePrefix: prefix + "list/", PageSize: size}))
		if err != nil || !slices.Equal(found, ids) {
			return fmt.Errorf("expected %v, got %v, %v", ids, found, err)
		}
	}
	middle, err := client.Script(ctx, crucible.ScriptID(ids[2]), false)
	if err != nil {
		return err
	}
	moment := middle.GetCreateTime().AsTime()
	found, err := scriptIDs(client.Scripts(ctx, crucible.ScriptFilter{NamePrefix: prefix, CreatedAfter: moment}))
	if err != nil || !slices.Equal(found, ids[:3]) {
		return fmt.Errorf("expected %v, got %v, %v", ids[:3], found, err)
	}
	found, err = scriptIDs(client.Scripts(ctx, crucible.ScriptFilter{NamePrefix: prefix, CreatedBefore: moment}))
	if err != nil || !slices.Equal(found, ids[3:]) {
		return fmt.Errorf("expected %v, got %v, %v", ids[3:], found, err)
	}
	script := crucible.ScriptID(ids[count-1])
	for n := range count {
		_, err := client.Run(ctx, script, crucible.Options{Arguments: map[string]any{"n": n}})
		if failed := (*crucible.ExecutionError)(nil); err != nil && !errors.As(err, &failed) {
			return err
		}
	}
	failed := []cruciblev1.ExecutionState{cruciblev1.ExecutionState_EXECUTION_STATE_FAILED}
	for _, wanted := range []struct {
		filter crucible.ExecutionFilter
		count  int
	}{
		{crucible.ExecutionFilter{PageSize: 2}, count}, {crucible.ExecutionFilter{States: failed, PageSize: 1}, 1},
		{crucible.ExecutionFilter{Principal: "nobody"}, 0}, {crucible.ExecutionFilter{CreatedBefore: moment}, 0},
		{crucible.ExecutionFilter{CreatedAfter: moment}, count},
	} {
		wanted.filter.Script = script
		seen := map[string]bool{}
		for execution, err := range client.Executions(ctx, wanted.filter) {
			if err != nil {
				return err
			}
			seen[execution.GetExecutionId()] = true
		}
		if len(seen) != wanted.count {
			return fmt.Errorf("expected %d executions for %v, got %d", wanted.count, wanted.filter, len(seen))
		}
	}
	for range client.Scripts(ctx, crucible.ScriptFilter{PageSize: 1}) {
		break
	}
	steps := 0
	for script, failure := range client.Scripts(ctx, crucible.ScriptFilter{PageSize: -1}) {
		steps++
		if script != nil {
			return fmt.Errorf("expected no script with an error, got %v", script)
		}
		err = failure
	}
	if steps != 1 {
		return fmt.Errorf("expected one error, got %d steps", steps)
	}
	return refusal(err, codes.InvalidArgument, cruciblev1.ErrorKind_ERROR_KIND_VALIDATION_ERROR)
}

// Deletes what lists stored, while it is listed.
func deletion(ctx context.Context, client *crucible.Client) error {
	for script, err := range client.Scripts(ctx, crucible.ScriptFilter{NamePrefix: prefix, PageSize: 2}) {
		if err != nil {
			return err
		}
		id := crucible.ScriptID(script.GetScriptId())
		for execution, err := range client.Executions(ctx, crucible.ExecutionFilter{Script: id, PageSize: 2}) {
			if err != nil {
				return err
			}
			if err := client.DeleteExecution(ctx, execution.GetExecutionId()); err != nil {
				return err
			}
			_, err = client.Execution(ctx, execution.GetExecutionId())
			if err := refusal(err, codes.NotFound, cruciblev1.ErrorKind_ERROR_KIND_EXECUTION_NOT_FOUND); err != nil {
				return err
			}
		}
		if err := client.DeleteScript(ctx, id); err != nil {
			return err
		}
	}
	left, err := scriptIDs(client.Scripts(ctx, crucible.ScriptFilter{NamePrefix: prefix}))
	if err != nil || len(left) != 0 {
		return fmt.Errorf("expected nothing to be left, got %v, %v", left, err)
	}
	running, err := client.Stream(ctx, crucible.Source(`pub fn main() { println!("up"); loop {} }`), crucible.Options{})
	if err != nil {
		return err
	}
	for range running.Output() {
		err := client.DeleteExecution(ctx, running.ExecutionID)
		return refusal(err, codes.FailedPrecondition, cruciblev1.ErrorKind_ERROR_KIND_EXECUTION_UNFINISHED)
	}
	return errors.New("expected output of a running script, got none")
}

func redaction(ctx context.Context, client *crucible.Client) error {
	source := crucible.Source(`pub fn main(x) { println!("{}", x); x }`)
	result, err := client.Run(ctx, source, crucible.Options{Arguments: map[string]any{"x": "secret"}})
	if err := expect(result, err, "secret"); err != nil {
		return err
	}
	id := result.Message.GetExecutionId()
	if err := client.RedactExecution(ctx, id); err != nil {
		return err
	}
	execution, err := client.Execution(ctx, id)
	if err != nil {
		return err
	}
	if !execution.GetRedacted() || !execution.GetResult().GetSuccess() || strings.Contains(execution.String(), "secret") {
		return fmt.Errorf("expected the outcome without the secret, got %v", execution)
	}
	return client.DeleteExecution(ctx, id)
}

func metrics(ctx context.Context, client *crucible.Client) error {
	script, err := client.Compile(ctx, fmt.Sprintf("/// %s\npub fn main() { 7 }", prefix), "")
	if err != nil {
		return err
	}
	id := crucible.ScriptID(script.GetScriptId())
	before, err := client.Metrics(ctx)
	if err != nil {
		return err
	}
	if _, err := client.Run(ctx, id, crucible.Options{}); err != nil {
		return err
	}
	after, err := client.Metrics(ctx, id)
	if err != nil {
		return err
	}
	if len(before.GetScriptStats()) != 0 || len(after.GetScriptStats()) != 1 ||
		after.GetScriptStats()[0].GetSuccessfulExecutions() != 1 ||
		after.GetMetrics().GetTotalExecutions() <= before.GetMetrics().GetTotalExecutions() {
		return fmt.Errorf("expected one more execution, got %v after %v", after, before)
	}
	return client.DeleteScript(ctx, id)
}

func scriptIDs(list func(func(*cruciblev1.Script, error) bool)) ([]string, error) {
	var ids []string
	for script, err := range list {
		if err != nil {
			return ids, err
		}
		ids = append(ids, script.GetScriptId())
	}
	return ids, nil
}

func refusal(err error, code codes.Code, kind cruciblev1.ErrorKind) error {
	var refused *crucible.Error
	if !errors.As(err, &refused) || refused.Code != code || refused.Kind != kind {
		return fmt.Errorf("expected %v, got %v", kind, err)
	}
	return nil
}
