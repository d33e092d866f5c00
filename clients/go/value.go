package crucible

import (
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/crucible-rune/crucible/clients/go/cruciblev1"
)

// MaxDepth is how many values may be nested in one another; the outermost counts as one.
const MaxDepth = 32

// ToValue gives the Value that stands exactly for a Go value: nil, bool, signed integers (int64), unsigned integers
// (uint64), floats (double), string, []byte, slices and arrays, maps with string keys, and *cruciblev1.Value
// itself. The error names the path of what cannot be sent.
func ToValue(native any) (*cruciblev1.Value, error) { return toValue(native, "value", 1) }

// FromValue gives nil, bool, int64, uint64, float64, string, []byte, []any or map[string]any.
func FromValue(value *cruciblev1.Value) (any, error) {
	switch kind := value.GetKind().(type) {
	case *cruciblev1.Value_NullValue:
		return nil, nil
	case *cruciblev1.Value_BoolValue:
		return kind.BoolValue, nil
	case *cruciblev1.Value_IntValue:
		return kind.IntValue, nil
	case *cruciblev1.Value_UintValue:
		return kind.UintValue, nil
	case *cruciblev1.Value_DoubleValue:
		return kind.DoubleValue, nil
	case *cruciblev1.Value_StringValue:
		return kind.StringValue, nil
	case *cruciblev1.Value_BytesValue:
		return kind.BytesValue, nil
	case *cruciblev1.Value_ListValue:
		items := make([]any, len(kind.ListValue.GetValues()))
		for index, item := range kind.ListValue.GetValues() {
			native, err := FromValue(item)
			if err != nil {
				return nil, err
			}
			items[index] = native
		}
		return items, nil
	case *cruciblev1.Value_ObjectValue:
		fields := make(map[string]any, len(kind.ObjectValue.GetFields()))
		for name, field := range kind.ObjectValue.GetFields() {
			native, err := FromValue(field)
			if err != nil {
				return nil, err
			}
			fields[name] = native
		}
		return fields, nil
	default:
		return nil, fmt.Errorf("the value has no kind: this client is older than the server, or the server is at fault")
	}
}

func toValue(native any, path string, depth int) (*cruciblev1.Value, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("%s: nested deeper than %d levels; flatten the value", path, MaxDepth)
	}
	switch native := native.(type) {
	case nil:
		return &cruciblev1.Value{Kind: &cruciblev1.Value_NullValue{NullValue: &cruciblev1.NullValue{}}}, nil
	case *cruciblev1.Value:
		return native, nil
	case []byte:
		return &cruciblev1.Value{Kind: &cruciblev1.Value_BytesValue{BytesValue: native}}, nil
	}
	value := reflect.ValueOf(native)
	switch value.Kind() {
	case reflect.Bool:
		return &cruciblev1.Value{Kind: &cruciblev1.Value_BoolValue{BoolValue: value.Bool()}}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &cruciblev1.Value{Kind: &cruciblev1.Value_IntValue{IntValue: value.Int()}}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &cruciblev1.Value{Kind: &cruciblev1.Value_UintValue{UintValue: value.Uint()}}, nil
	case reflect.Float32, reflect.Float64:
		return &cruciblev1.Value{Kind: &cruciblev1.Value_DoubleValue{DoubleValue: value.Float()}}, nil
	case reflect.String:
		if !utf8.ValidString(value.String()) {
			return nil, fmt.Errorf("%s: expected UTF-8 text; send it as []byte", path)
		}
		return &cruciblev1.Value{Kind: &cruciblev1.Value_StringValue{StringValue: value.String()}}, nil
	case reflect.Slice, reflect.Array:
		items := make([]*cruciblev1.Value, value.Len())
		for index := range items {
			item, err := toValue(value.Index(index).Interface(), fmt.Sprintf("%s[%d]", path, index), depth+1)
			if err != nil {
				return nil, err
			}
			items[index] = item
		}
		list := &cruciblev1.ListValue{Values: items}
		return &cruciblev1.Value{Kind: &cruciblev1.Value_ListValue{ListValue: list}}, nil
	case reflect.Map:
		return objectValue(value, path, depth)
	default:
		return nil, fmt.Errorf(
			"%s: expected nil, bool, a number, string, []byte, a slice or a map with string keys, got %T", path, native)
	}
}

func objectValue(value reflect.Value, path string, depth int) (*cruciblev1.Value, error) {
	if value.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("%s: expected a map with string keys, got %s", path, value.Type())
	}
	natives := make(map[string]any, value.Len())
	for entries := value.MapRange(); entries.Next(); {
		natives[entries.Key().String()] = entries.Value().Interface()
	}
	fields, err := toFields(natives, path, depth+1)
	if err != nil {
		return nil, err
	}
	object := &cruciblev1.ObjectValue{Fields: fields}
	return &cruciblev1.Value{Kind: &cruciblev1.Value_ObjectValue{ObjectValue: object}}, nil
}

func toFields(natives map[string]any, path string, depth int) (map[string]*cruciblev1.Value, error) {
	fields := make(map[string]*cruciblev1.Value, len(natives))
	for name, native := range natives {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("%s: the key %q is not UTF-8", path, name)
		}
		field, err := toValue(native, fmt.Sprintf("%s[%q]", path, name), depth)
		if err != nil {
			return nil, err
		}
		fields[name] = field
	}
	return fields, nil
}
