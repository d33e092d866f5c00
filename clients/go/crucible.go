// Package crucible calls Crucible, the service that runs untrusted Rune scripts.
//
//	client, err := crucible.Dial("127.0.0.1:50051")
//	result, err := client.Run(ctx, crucible.Source("pub fn main(n) { n * 2 }"), crucible.Options{
//		Arguments: map[string]any{"n": 21},
//	})
//	fmt.Println(result.Value) // 42
//
// A script that failed is an *ExecutionError, a call that was refused an *Error; errors.As tells them apart.
package crucible

import (
	"context"
	"crypto/rand"
	_ "embed"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/crucible-rune/crucible/clients/go/cruciblev1"
)

// ServiceConfig is the gRPC service config for any client of Crucible: only UNAVAILABLE is retried, a few times. Every
// call bears it. Reads and lists change nothing; executions have the same id in every try of one call; naming, deleting
// and redacting have the same effect twice as once. Only the answer can differ: when the try that removed something lost
// its connection before the answer came, the next one finds nothing and says NOT_FOUND.
//
//go:embed service_config.json
var ServiceConfig string

// MaxMessageBytes is the largest answer that a client takes.
const MaxMessageBytes = 64 << 20

// Client calls one server. It may be shared by goroutines.
type Client struct {
	connection *grpc.ClientConn
	// Stub is the generated client, for calls that have no method here.
	Stub cruciblev1.ScriptServiceClient
}

// Dial makes a client of the server at an address such as "127.0.0.1:50051"; the connection is made by the first call.
// Without options that say otherwise it is not encrypted.
func Dial(address string, options ...grpc.DialOption) (*Client, error) {
	defaults := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(ServiceConfig),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes)),
		// Finds a dead server while a silent script is awaited. The server permits a ping every five seconds.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	}
	connection, err := grpc.NewClient(address, append(defaults, options...)...)
	if err != nil {
		return nil, err
	}
	return &Client{connection, cruciblev1.NewScriptServiceClient(connection)}, nil
}

// Close closes the connection; calls that are under way end.
func (c *Client) Close() error { return c.connection.Close() }

// Script says what to run: Source, ScriptID or ScriptName.
type Script interface {
	set(*cruciblev1.ExecutionContext)
}

// Source is the text of a script.
type Source string

// ScriptID is the id of a compiled script.
type ScriptID string

// ScriptName is a name that points at a compiled script.
type ScriptName string

func (s Source) set(context *cruciblev1.ExecutionContext) {
	context.Script = &cruciblev1.ExecutionContext_Source{Source: &cruciblev1.ScriptSource{Source: string(s)}}
}

func (s ScriptID) set(context *cruciblev1.ExecutionContext) {
	context.Script = &cruciblev1.ExecutionContext_ScriptId{ScriptId: string(s)}
}

func (s ScriptName) set(context *cruciblev1.ExecutionContext) {
	context.Script = &cruciblev1.ExecutionContext_ScriptName{ScriptName: string(s)}
}

// Options of an execution; the zero value runs `main` without arguments at the server's default level.
type Options struct {
	// Function is the public function to call; `main` when empty.
	Function string
	// Arguments by parameter name; ToValue says which Go values they may be.
	Arguments map[string]any
	// Level is the security level.
	Level cruciblev1.SecurityLevel
	// Timeout is how long the script may run; it can only lower the level's limit. Zero leaves that.
	Timeout time.Duration
	// Limits can only lower the level's.
	Limits *cruciblev1.ResourceLimits
	// ExecutionID is the idempotency key; one is made per call when it is empty.
	ExecutionID string
	// Detached scripts live on when the call is lost.
	Detached bool
	// Environment variables that the script can read.
	Environment map[string]string
}

// Compile compiles and stores a source, and points name at it unless it is empty. The error is a *CompilationError when
// the source does not compile.
func (c *Client) Compile(ctx context.Context, source, name string) (*cruciblev1.CompiledScript, error) {
	response, err := c.Stub.CompileScript(ctx, &cruciblev1.CompileScriptRequest{
		Source:  &cruciblev1.ScriptSource{Source: source},
		Context: &cruciblev1.CompilationContext{Name: name},
	})
	if err != nil {
		return nil, fromStatus(err)
	}
	if !response.GetSuccess() {
		return nil, &CompilationError{response.GetDiagnostics(), response.GetRenderedDiagnostics()}
	}
	return response.GetScript(), nil
}

// Run runs a function to its end. When the script fails, the error is an *ExecutionError and the result is there too.
// Cancelling ctx kills a script that is not detached.
func (c *Client) Run(ctx context.Context, script Script, options Options) (*Result, error) {
	execution, err := options.context(script)
	if err != nil {
		return nil, err
	}
	response, err := c.Stub.ExecuteScript(ctx, &cruciblev1.ExecuteScriptRequest{Context: execution})
	if err != nil {
		return nil, fromStatus(err)
	}
	return newResult(response.GetResult())
}

// Cancel ends an execution; one that has ended stays as it is.
func (c *Client) Cancel(ctx context.Context, executionID, reason string) (*cruciblev1.Execution, error) {
	request := &cruciblev1.CancelExecutionRequest{ExecutionId: executionID, Reason: reason}
	response, err := c.Stub.CancelExecution(ctx, request)
	return response.GetExecution(), fromStatus(err)
}

// ServerInfo tells versions, levels, limits and modules.
func (c *Client) ServerInfo(ctx context.Context) (*cruciblev1.ServerInfo, error) {
	response, err := c.Stub.GetServerInfo(ctx, &cruciblev1.GetServerInfoRequest{})
	return response.GetServer(), fromStatus(err)
}

func (o Options) context(script Script) (*cruciblev1.ExecutionContext, error) {
	arguments, err := toFields(o.Arguments, "arguments", 1)
	if err != nil {
		return nil, err
	}
	execution := &cruciblev1.ExecutionContext{
		ExecutionId:     o.ExecutionID,
		Function:        o.Function,
		Arguments:       arguments,
		Environment:     o.Environment,
		SecurityContext: &cruciblev1.SecurityContext{SecurityLevel: o.Level},
		Limits:          o.Limits,
		Detached:        o.Detached,
	}
	// Retries have to use one id, so that nothing runs twice.
	if execution.ExecutionId == "" {
		execution.ExecutionId = rand.Text()
	}
	if o.Timeout > 0 {
		execution.Timeout = durationpb.New(o.Timeout)
	}
	script.set(execution)
	return execution, nil
}
