package extract

import (
	"slices"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
)

// A where is often a conjunction of comparisons of columns with constants. What
// reads a source can judge those without evaluating the expression: Postgres in
// SQL, a Parquet file by the statistics of its row groups.

// predicate is what a where says in simple form: a row for which one of the
// terms is not true is left out. No term can fail, nor can anything that is
// evaluated before it.
type predicate struct {
	terms []term
	whole bool // the terms are all there is: a row for which all are true is kept
}

// term compares a column with constants. A column that the table does not have
// is NULL, with slotNone.
type term struct {
	variable
	column   Column
	operator operator
	values   []Value // of the column's kind, or NULL: see compares
}

// operator is how a term compares. NULL equals NULL only, and it is neither
// less nor more than anything, nor is NaN.
type operator string

const (
	opIn    operator = "in"     // the column is one of the values
	opNotIn operator = "not in" // it is none of them
	// The others have one value, which is not NULL.
	opLess        operator = "<"
	opLessOrEqual operator = "<="
	opMore        operator = ">"
	opMoreOrEqual operator = ">="
)

// mirrored are the operators with their sides exchanged.
var mirrored = map[operator]operator{
	opLess: opMore, opLessOrEqual: opMoreOrEqual, opMore: opLess, opMoreOrEqual: opLessOrEqual,
}

// simpleTerms takes the terms that a where begins with. Its paths are single
// names; the terms' columns are still to be found.
func (x *source) simpleTerms(root ast.Node) {
	conditions := conjunction(root)
	for _, node := range conditions {
		t, ok := termOf(node)
		if !ok || x.locals[t.name] {
			return
		}
		x.simple.terms = append(x.simple.terms, t)
	}
	x.simple.whole = true
}

// conjunction are the conditions of an expression in the order in which they
// are evaluated.
func conjunction(node ast.Node) []ast.Node {
	if n, ok := node.(*ast.BinaryNode); ok && (n.Operator == "and" || n.Operator == "&&") {
		return append(conjunction(n.Left), conjunction(n.Right)...)
	}
	return []ast.Node{node}
}

func termOf(node ast.Node) (term, bool) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return term{variable: variable{name: n.Value}, operator: opIn, values: []Value{boolValue(true)}}, true
	case *ast.UnaryNode:
		t, ok := termOf(n.Node)
		switch {
		case !ok || n.Operator != "not" && n.Operator != "!":
			return term{}, false
		case t.operator == opIn:
			t.operator = opNotIn
		case t.operator == opNotIn:
			t.operator = opIn
		default: // of NULL the opposite is not true either
			return term{}, false
		}
		return t, true
	case *ast.BinaryNode:
		return comparisonOf(n)
	}
	return term{}, false
}

func comparisonOf(n *ast.BinaryNode) (term, bool) {
	if n.Operator == "in" {
		list, ok := n.Right.(*ast.ArrayNode)
		if !ok {
			return term{}, false
		}
		return newTerm(n.Left, opIn, list.Nodes...)
	}
	left, right, op := n.Left, n.Right, operator(n.Operator)
	_, ordered := mirrored[op]
	if _, ok := right.(*ast.IdentifierNode); ok {
		left, right = right, left
		if ordered {
			op = mirrored[op]
		}
	}
	switch {
	case ordered:
		t, ok := newTerm(left, op, right)
		return t, ok && t.values[0].Type != TypeNull
	case n.Operator == "==":
		return newTerm(left, opIn, right)
	case n.Operator == "!=":
		return newTerm(left, opNotIn, right)
	}
	return term{}, false
}

func newTerm(column ast.Node, op operator, constants ...ast.Node) (term, bool) {
	name, ok := column.(*ast.IdentifierNode)
	if !ok {
		return term{}, false
	}
	t := term{variable: variable{name: name.Value}, operator: op}
	for _, node := range constants {
		v, ok := constantOf(node)
		if !ok {
			return term{}, false
		}
		t.values = append(t.values, v)
	}
	return t, true
}

// constantOf is the value of a literal, or of date with literals.
func constantOf(node ast.Node) (Value, bool) {
	switch n := node.(type) {
	case *ast.NilNode:
		return Value{}, true
	case *ast.BoolNode:
		return boolValue(n.Value), true
	case *ast.IntegerNode:
		return Value{Type: TypeInt, Int: int64(n.Value)}, true
	case *ast.FloatNode:
		return floatValue(n.Value), true
	case *ast.StringNode:
		return textValue(n.Value), true
	case *ast.UnaryNode:
		v, ok := constantOf(n.Node)
		switch {
		case n.Operator != "-" || !ok:
		case v.Type == TypeInt:
			return Value{Type: TypeInt, Int: -v.Int}, true
		case v.Type == TypeFloat:
			return floatValue(-v.float()), true
		}
	case *ast.BuiltinNode:
		isText := func(arg ast.Node) bool { _, ok := arg.(*ast.StringNode); return ok }
		if n.Name == "date" && !slices.ContainsFunc(n.Arguments, func(arg ast.Node) bool { return !isText(arg) }) {
			return dateOf(n)
		}
	}
	return Value{}, false
}

// dateOf is the point in time that date stands for; false if it is none that
// values can have.
func dateOf(n *ast.BuiltinNode) (Value, bool) {
	result, err := expr.Eval(n.String(), nil)
	at, ok := result.(time.Time)
	if err != nil || !ok || !TimeOf(at).Time().Equal(at) {
		return Value{}, false
	}
	return Value{Type: TypeInstant, Int: int64(TimeOf(at))}, true
}

// bind finds the terms' columns in a table. It ends at the first term whose
// column is no plain one of the values' kind: comparing it may fail.
func (p predicate) bind(t *boundTable, variables []variable) predicate {
	var out predicate
	for _, term := range p.terms {
		i := slices.IndexFunc(variables, func(v variable) bool { return v.name == term.name })
		term.variable = variables[i]
		term.column, _ = t.resolve(term.name)
		if !term.isPlain() {
			return out
		}
		out.terms = append(out.terms, term)
	}
	out.whole = p.whole
	return out
}

func (t *term) isPlain() bool {
	differs := func(v Value) bool { return v.Type != TypeNull && !compares(t.column.Type, v.Type) }
	return t.column.base == nil && t.column.shape == nil && t.column.Type != TypeOther && !slices.ContainsFunc(t.values, differs)
}

// compares reports whether values of a column's type are compared with a
// constant as what both are: numbers, texts, times or booleans.
func compares(column, constant Type) bool {
	switch column {
	case TypeNull:
		return true
	case TypeBool:
		return constant == TypeBool
	case TypeInt, TypeFloat:
		return constant == TypeInt || constant == TypeFloat
	case TypeText, TypeUUID:
		return constant == TypeText
	}
	return isTime(column) && constant == TypeInstant
}
