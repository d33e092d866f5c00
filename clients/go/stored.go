package crucible

import (
	"context"
	"errors"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/crucible-rune/crucible/clients/go/cruciblev1"
)

// StoredScript says which stored script is meant: ScriptID or ScriptName.
type StoredScript interface {
	Script
	ask(*cruciblev1.GetScriptRequest)
}

func (s ScriptID) ask(request *cruciblev1.GetScriptRequest) {
	request.Script = &cruciblev1.GetScriptRequest_ScriptId{ScriptId: string(s)}
}

func (s ScriptName) ask(request *cruciblev1.GetScriptRequest) {
	request.Script = &cruciblev1.GetScriptRequest_ScriptName{ScriptName: string(s)}
}

// Script reads a stored script; its text only when includeSource is set.
func (c *Client) Script(ctx context.Context, script StoredScript, includeSource bool) (*cruciblev1.Script, error) {
	request := &cruciblev1.GetScriptRequest{IncludeSource: includeSource}
	script.ask(request)
	response, err := c.Stub.GetScript(ctx, request)
	return response.GetScript(), fromStatus(err)
}

// ScriptFilter says which scripts a list is to have: those that fit everything that is set.
type ScriptFilter struct {
	// NamePrefix is how one of their names begins.
	NamePrefix string
	// Principal is who stored them.
	Principal string
	// CreatedAfter is when they were stored, or earlier.
	CreatedAfter time.Time
	// CreatedBefore is later than when they were stored.
	CreatedBefore time.Time
	// PageSize is how many are fetched at a time: 1 to 1000, 0 for 50.
	PageSize int32
}

// Scripts lists stored scripts, newest first, without their text. A page is fetched when the one before it has been
// read; an error is the last that comes. What was read may be deleted meanwhile.
func (c *Client) Scripts(ctx context.Context, filter ScriptFilter) iter.Seq2[*cruciblev1.Script, error] {
	return pages(func(token string) ([]*cruciblev1.Script, string, error) {
		response, err := c.Stub.ListScripts(ctx, &cruciblev1.ListScriptsRequest{
			PageSize:      filter.PageSize,
			PageToken:     token,
			NamePrefix:    filter.NamePrefix,
			Principal:     filter.Principal,
			CreatedAfter:  timestamp(filter.CreatedAfter),
			CreatedBefore: timestamp(filter.CreatedBefore),
		})
		return response.GetScripts(), response.GetNextPageToken(), err
	})
}

// NameScript points a name at a stored script, wherever it pointed before.
func (c *Client) NameScript(ctx context.Context, name ScriptName, script ScriptID) (*cruciblev1.Script, error) {
	if script == "" {
		return nil, errors.New("expected the id of a script to name, got an empty one; RemoveName removes a name")
	}
	request := &cruciblev1.NameScriptRequest{Name: string(name), ScriptId: string(script)}
	response, err := c.Stub.NameScript(ctx, request)
	return response.GetScript(), fromStatus(err)
}

// RemoveName removes a name; the script stays. SCRIPT_NOT_FOUND can also mean that a try whose answer was lost has
// removed it.
func (c *Client) RemoveName(ctx context.Context, name ScriptName) error {
	_, err := c.Stub.NameScript(ctx, &cruciblev1.NameScriptRequest{Name: string(name)})
	return fromStatus(err)
}

// DeleteScript removes the caller's reference to a script; with the last one go its text, names and figures.
// Executions and their records stay. SCRIPT_NOT_FOUND can also mean that a try whose answer was lost has deleted it.
func (c *Client) DeleteScript(ctx context.Context, script ScriptID) error {
	_, err := c.Stub.DeleteScript(ctx, &cruciblev1.DeleteScriptRequest{ScriptId: string(script)})
	return fromStatus(err)
}

// Execution reads the record of an execution.
func (c *Client) Execution(ctx context.Context, executionID string) (*cruciblev1.Execution, error) {
	response, err := c.Stub.GetExecution(ctx, &cruciblev1.GetExecutionRequest{ExecutionId: executionID})
	return response.GetExecution(), fromStatus(err)
}

// ExecutionFilter says which executions a list is to have: those that fit everything that is set.
type ExecutionFilter struct {
	// States are those in which they may be.
	States []cruciblev1.ExecutionState
	// Script is what they run.
	Script ScriptID
	// Principal is who started them.
	Principal string
	// CreatedAfter is when they were accepted, or earlier.
	CreatedAfter time.Time
	// CreatedBefore is later than when they were accepted.
	CreatedBefore time.Time
	// PageSize is how many are fetched at a time: 1 to 1000, 0 for 50.
	PageSize int32
}

// Executions lists executions, newest first, without outputs and values. It reads pages as Scripts does; executions
// that are accepted after the first page are left out.
func (c *Client) Executions(ctx context.Context, filter ExecutionFilter) iter.Seq2[*cruciblev1.Execution, error] {
	return pages(func(token string) ([]*cruciblev1.Execution, string, error) {
		response, err := c.Stub.ListExecutions(ctx, &cruciblev1.ListExecutionsRequest{
			PageSize:      filter.PageSize,
			PageToken:     token,
			States:        filter.States,
			ScriptId:      string(filter.Script),
			Principal:     filter.Principal,
			CreatedAfter:  timestamp(filter.CreatedAfter),
			CreatedBefore: timestamp(filter.CreatedBefore),
		})
		return response.GetExecutions(), response.GetNextPageToken(), err
	})
}

// DeleteExecution deletes the record of an execution that has ended, with its output; its id is free again. One that
// has not ended is refused with EXECUTION_UNFINISHED. EXECUTION_NOT_FOUND can also mean that a try whose answer was
// lost has deleted it.
func (c *Client) DeleteExecution(ctx context.Context, executionID string) error {
	_, err := c.Stub.DeleteExecution(ctx, &cruciblev1.DeleteExecutionRequest{ExecutionId: executionID})
	return fromStatus(err)
}

// RedactExecution erases arguments, outputs and values of an execution that has ended, and keeps id, times and outcome.
// One that has not ended is refused with EXECUTION_UNFINISHED.
func (c *Client) RedactExecution(ctx context.Context, executionID string) error {
	request := &cruciblev1.DeleteExecutionRequest{ExecutionId: executionID, RedactOnly: true}
	_, err := c.Stub.DeleteExecution(ctx, request)
	return fromStatus(err)
}

// Metrics gives the figures of the service, and of these scripts.
func (c *Client) Metrics(ctx context.Context, scripts ...ScriptID) (*cruciblev1.GetMetricsResponse, error) {
	request := &cruciblev1.GetMetricsRequest{}
	for _, script := range scripts {
		request.ScriptIds = append(request.ScriptIds, string(script))
	}
	response, err := c.Stub.GetMetrics(ctx, request)
	return response, fromStatus(err)
}

func pages[Row any](fetch func(token string) ([]*Row, string, error)) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		for token := ""; ; {
			rows, next, err := fetch(token)
			if err != nil {
				yield(nil, fromStatus(err))
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}

func timestamp(moment time.Time) *timestamppb.Timestamp {
	if moment.IsZero() {
		return nil
	}
	return timestamppb.New(moment)
}
