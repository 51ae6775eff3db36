package extract

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// expression is an expression over the columns of one table. It yields the same
// for the same row, whenever it is evaluated. Several goroutines may use it.
type expression struct {
	program   *vm.Program
	variables []variable
	simple    predicate // of a where: what a source can judge itself
}

// variable is a column that an expression names.
type variable struct {
	name     string
	slot     int
	constant Value // if the slot is slotConstant
}

// machine is what evaluating an expression needs; it is used again and again.
type machine struct {
	vm  vm.VM
	env map[string]any
}

// The bounds of expressions: bytes of their text, and what they may make while
// they are evaluated, in elements of lists and parts of texts.
const (
	maxExpression    = 10_000
	expressionMemory = 1_000_000
)

// run evaluates the expression over a row that was opened.
func (x *expression) run(row []Value, s *Scratch) (any, *problem) {
	m := &s.machine
	if m.env == nil {
		m.env = map[string]any{}
		m.vm.MemoryBudget = expressionMemory
	}
	for i := range x.variables {
		v := &x.variables[i]
		if v.slot == slotConstant {
			m.env[v.name] = exprValue(v.constant)
		} else {
			m.env[v.name] = exprValue(s.raw(row, v.slot))
		}
	}
	result, err := m.vm.Run(x.program, m.env)
	if err != nil {
		return nil, &problem{BadValue, "the expression fails" + place(err) + ": " + runtimeMessage(err)}
	}
	return result, nil
}

// value is what the expression of a field yields; NULL if it fails, which the
// scratch then says.
func (x *expression) value(row []Value, s *Scratch, field string) Value {
	result, p := x.run(row, s)
	v, ok := valueOf(result)
	if p == nil && !ok {
		p = &problem{BadValue, fmt.Sprintf("the expression yields %s, which no field takes", kindOf(result))}
	}
	if p == nil {
		return v
	}
	if s.failed == nil {
		s.failed = &problem{p.reason, field + ": " + p.detail}
	}
	return Value{}
}

// isTrue is what the expression of a where yields. NULL is not true.
func (x *expression) isTrue(row []Value, s *Scratch) (bool, *problem) {
	result, p := x.run(row, s)
	is, ok := result.(bool)
	if p == nil && !ok && result != nil {
		p = &problem{BadValue, fmt.Sprintf("the expression yields %s, not true or false", kindOf(result))}
	}
	if p != nil {
		p.detail = "where: " + p.detail
	}
	return is, p
}

// place says where in an expression an error is.
func place(err error) string {
	var at *file.Error
	if errors.As(err, &at) && at.Line > 0 {
		return fmt.Sprintf(" at %d:%d", at.Line, at.Column+1)
	}
	return ""
}

// exprMessage is what is wrong with an expression, without place and excerpt.
func exprMessage(err error) string {
	var at *file.Error
	if errors.As(err, &at) {
		return at.Message
	}
	return err.Error()
}

// What the messages of expr's machine say of types may be shown; what they say
// of values may not.
const typeName = `(<nil>|nil|map\[string\]interface \{\}|\[\]interface \{\}|[a-z0-9]+|time\.\w+)`

var (
	fetchMessage     = regexp.MustCompile(`^cannot (?:fetch|get) (?s:.*) from ` + typeName + `$`)
	operationMessage = regexp.MustCompile(`^invalid operation: ` + typeName + ` ([-+*/%<>=^]+) ` + typeName + `$`)
	castMessage      = regexp.MustCompile(`^interface conversion: (?:interface \{\}|any) is ` + typeName + `, not ` + typeName + `$`)
)

var typesForPeople = map[string]string{
	"<nil>": "NULL", "nil": "NULL", "map[string]interface {}": "a struct", "[]interface {}": "a list",
	"time.Time": "a time", "float64": "a number", "string": "a text", "bool": "a boolean", "int": "an integer",
}

func typeForPeople(name string) string {
	if called, ok := typesForPeople[name]; ok {
		return called
	}
	return "a " + name
}

const (
	budgetMessage   = "memory budget exceeded"
	divisionMessage = "runtime error: integer divide by zero"
)

// runtimeMessage is why an expression cannot be evaluated over a row, without
// any of the row's content.
func runtimeMessage(err error) string {
	message := exprMessage(err)
	if m := fetchMessage.FindStringSubmatch(message); m != nil {
		return "there is nothing to take from " + typeForPeople(m[1])
	}
	if m := operationMessage.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("invalid operation: %s %s %s", typeForPeople(m[1]), m[2], typeForPeople(m[3]))
	}
	if m := castMessage.FindStringSubmatch(message); m != nil {
		return typeForPeople(m[1]) + " is not " + typeForPeople(m[2])
	}
	var condition *conditionError
	switch {
	case message == budgetMessage:
		return "it makes lists or texts that are too large"
	case message == divisionMessage:
		return "division by zero"
	case errors.As(err, &condition):
		return condition.Error()
	}
	return "it cannot be evaluated over this row's values"
}

// conditionError is a condition that is no boolean.
type conditionError struct{ found any }

func (e *conditionError) Error() string {
	return "a condition is " + kindOf(e.found) + ", not true or false"
}

// exprTypes are the types that expressions are checked against.
var exprTypes = map[Type]types.Type{
	TypeNull:     types.Any,
	TypeBool:     types.Bool,
	TypeInt:      types.Int,
	TypeUint:     types.Int,
	TypeFloat:    types.Float64,
	TypeDecimal:  types.Any, // an integer or not, as the value has it
	TypeText:     types.String,
	TypeBinary:   types.String,
	TypeUUID:     types.String,
	TypeInstant:  types.TypeOf(timeZero),
	TypeWallTime: types.TypeOf(timeZero),
	TypeDate:     types.TypeOf(timeZero),
	TypeOther:    types.Any,
	TypeAny:      types.Any,
}

func (col *Column) exprType() types.Type {
	if col.shape != nil {
		return col.shape.exprType()
	}
	return exprTypes[col.Type]
}

// signature spells all that exprType depends on.
func (col *Column) signature() string {
	if col.shape != nil {
		return col.shape.signature()
	}
	return strconv.Itoa(int(col.Type))
}

// resultType is the type of an expression's values as fields see it; false for
// what no field takes.
func resultType(t reflect.Type) (Type, bool) {
	switch {
	case t == nil:
		return TypeNull, true
	case t == reflect.TypeOf(timeZero):
		return TypeInstant, true
	}
	switch t.Kind() {
	case reflect.Interface:
		return TypeAny, true
	case reflect.String:
		return TypeText, true
	case reflect.Bool:
		return TypeBool, true
	case reflect.Float32, reflect.Float64:
		return TypeFloat, true
	case reflect.Map, reflect.Slice:
		return TypeOther, true
	}
	if t.PkgPath() == "" && t.ConvertibleTo(reflect.TypeOf(0)) {
		return TypeInt, true
	}
	return TypeOther, false
}
