package crucible

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/crucible-rune/crucible/clients/go/cruciblev1"
)

// Error is a call that was refused or did not reach the server.
type Error struct {
	// Code is the gRPC status code.
	Code codes.Code
	// Kind is ERROR_KIND_UNSPECIFIED when the server did not answer itself.
	Kind cruciblev1.ErrorKind
	// Message says what was expected, what came and what to do.
	Message string
	// Violations name the fields of the request that are wrong.
	Violations []*errdetails.BadRequest_FieldViolation
	// RetryAfter is how long to wait before trying again; zero when the server did not say so.
	RetryAfter time.Duration
}

// Error gives kind and message.
func (e *Error) Error() string {
	if e.Kind == cruciblev1.ErrorKind_ERROR_KIND_UNSPECIFIED {
		return fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Message)
}

// CompilationError is a source that does not compile.
type CompilationError struct {
	// Diagnostics are all that the compiler has to say.
	Diagnostics []*cruciblev1.Diagnostic
	// Rendered is the same for people.
	Rendered string
}

// Error gives the first error with its place.
func (e *CompilationError) Error() string {
	for _, found := range e.Diagnostics {
		if found.GetSeverity() == cruciblev1.Severity_SEVERITY_ERROR {
			span := found.GetSpan()
			return fmt.Sprintf("%s:%d:%d: %s", span.GetFile(), span.GetLine(), span.GetColumn(), found.GetMessage())
		}
	}
	return "the source does not compile"
}

// ExecutionError is a script that ran and failed.
type ExecutionError struct {
	*cruciblev1.ExecutionError
	// Result has its output and what it used.
	Result *Result
}

// Error gives the message with its place.
func (e *ExecutionError) Error() string {
	if e.GetLine() == 0 {
		return e.GetMessage()
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.GetFile(), e.GetLine(), e.GetColumn(), e.GetMessage())
}

func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	answer := status.Convert(err)
	result := &Error{Code: answer.Code(), Message: answer.Message()}
	for _, detail := range answer.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == "crucible.v1" {
				result.Kind = cruciblev1.ErrorKind(cruciblev1.ErrorKind_value["ERROR_KIND_"+detail.GetReason()])
			}
		case *errdetails.BadRequest:
			result.Violations = detail.GetFieldViolations()
		case *errdetails.RetryInfo:
			result.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return result
}
