package crucible

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"

	"github.com/crucible-rune/crucible/clients/go/cruciblev1"
)

// Result is the end of an execution.
type Result struct {
	// Value is what the function returned, as FromValue gives it; nil when it failed.
	Value any
	// Message is all of it: output, usage, the exact kinds of the value.
	Message *cruciblev1.ExecutionResult
}

func newResult(message *cruciblev1.ExecutionResult) (*Result, error) {
	result := &Result{Message: message}
	if !message.GetSuccess() {
		return result, &ExecutionError{message.GetError(), result}
	}
	value, err := FromValue(message.GetReturnValue())
	if err != nil {
		return result, err
	}
	result.Value = value
	return result, nil
}

// Output is a piece of what a script wrote.
type Output struct {
	// Sequence is where reading can be taken up again with Wait.
	Sequence uint64
	// Stderr is false for standard output.
	Stderr bool
	// Text is whole characters of UTF-8.
	Text string
}

// Stream is the output of an execution while it runs.
type Stream struct {
	// ExecutionID names the execution, before anything has come of it.
	ExecutionID string
	receive     func() (*cruciblev1.ExecutionChunk, error)
	cancel      context.CancelFunc
	result      *Result
	err         error
}

// Stream runs a function like Run and gives its output while it runs. The stream has to be read to its end or closed.
func (c *Client) Stream(ctx context.Context, script Script, options Options) (*Stream, error) {
	execution, err := options.context(script)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	call, err := c.Stub.ExecuteScriptStream(ctx, &cruciblev1.ExecuteScriptStreamRequest{Context: execution})
	return newStream(execution.GetExecutionId(), call, err, cancel)
}

// Wait follows an execution, running or ended, from the piece after a sequence number; 0 gives all that is kept.
func (c *Client) Wait(ctx context.Context, executionID string, after uint64) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	request := &cruciblev1.WaitExecutionRequest{ExecutionId: executionID, AfterSequence: after}
	call, err := c.Stub.WaitExecution(ctx, request)
	return newStream(executionID, call, err, cancel)
}

func newStream[Response any, Pointer interface {
	*Response
	GetChunk() *cruciblev1.ExecutionChunk
}](executionID string, call grpc.ServerStreamingClient[Response], err error, cancel context.CancelFunc) (*Stream, error) {
	if err != nil {
		cancel()
		return nil, fromStatus(err)
	}
	receive := func() (*cruciblev1.ExecutionChunk, error) {
		response, err := call.Recv()
		if err != nil {
			return nil, err
		}
		return Pointer(response).GetChunk(), nil
	}
	return &Stream{ExecutionID: executionID, receive: receive, cancel: cancel}, nil
}

// Output yields the pieces; it ends with the execution. Leaving the loop early closes the stream.
func (s *Stream) Output() iter.Seq[Output] {
	return func(yield func(Output) bool) {
		defer s.cancel()
		for {
			chunk, err := s.receive()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				s.err = fromStatus(err)
				return
			}
			output := Output{Sequence: chunk.GetSequence()}
			switch piece := chunk.GetChunk().(type) {
			case *cruciblev1.ExecutionChunk_Stdout:
				output.Text = piece.Stdout
			case *cruciblev1.ExecutionChunk_Stderr:
				output.Text, output.Stderr = piece.Stderr, true
			case *cruciblev1.ExecutionChunk_Complete:
				s.result, s.err = newResult(piece.Complete)
				continue
			case *cruciblev1.ExecutionChunk_Error:
				s.result, s.err = newResult(piece.Error)
				continue
			default:
				continue
			}
			if !yield(output) {
				return
			}
		}
	}
}

// Result is the end of the execution, with the error that Run would give. Output that was not read yet is skipped.
func (s *Stream) Result() (*Result, error) {
	if s.result == nil && s.err == nil {
		for range s.Output() {
		}
	}
	if s.result == nil && s.err == nil {
		return nil, &Error{Message: "the stream ended without a result; ask for it with Wait"}
	}
	return s.result, s.err
}

// Close ends the call, which kills a script that still runs, unless it is detached or only followed by Wait.
func (s *Stream) Close() { s.cancel() }
