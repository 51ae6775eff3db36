package extract

import (
	"slices"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// NULL in expressions: it equals only nil, no comparison of size with it is
// true, and as a condition it is false. Left to themselves the last two would
// be errors.

// The functions that expressions are given for it have names that nobody can
// write.
const truthFunction = "<truth>"

var comparisons = map[string]func(a, b any) bool{
	"<": runtime.Less, "<=": runtime.LessOrEqual, ">": runtime.More, ">=": runtime.MoreOrEqual,
}

func nullSafeOptions() []expr.Option {
	options := []expr.Option{
		expr.Patch(visitor(nullSafe)),
		expr.Function(truthFunction, truth, new(func(any) bool)),
	}
	for operator, compare := range comparisons {
		f := func(params ...any) (any, error) {
			if runtime.IsNil(params[0]) || runtime.IsNil(params[1]) {
				return false, nil
			}
			return compare(size(params[0]), size(params[1])), nil
		}
		options = append(options, expr.Function(operator, f, new(func(any, any) bool)))
	}
	return options
}

// size is what a value is compared by. The runtime would take a whole number that
// is too large for an int for a negative one.
func size(x any) any {
	if n, ok := x.(uint64); ok {
		return float64(n)
	}
	return x
}

func truth(params ...any) (any, error) {
	switch x := params[0].(type) {
	case nil:
		return false, nil
	case bool:
		return x, nil
	}
	return nil, &conditionError{params[0]}
}

// conditional are the functions whose second argument is a condition.
var conditional = []string{"all", "none", "any", "one", "filter", "count", "find", "findIndex", "findLast", "findLastIndex"}

func nullSafe(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&", "or", "||":
			condition(&n.Left)
			condition(&n.Right)
		case "in":
			hoist(&n.Right)
		case "<", "<=", ">", ">=":
			ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: n.Operator}, Arguments: []ast.Node{n.Left, n.Right}})
		}
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			condition(&n.Node)
		}
	case *ast.ConditionalNode:
		condition(&n.Cond)
	case *ast.BuiltinNode:
		if slices.Contains(conditional, n.Name) && len(n.Arguments) > 1 {
			if p, ok := n.Arguments[1].(*ast.PredicateNode); ok {
				condition(&p.Node)
			}
		}
	}
}

// condition makes NULL false, unless the node is never NULL.
func condition(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BoolNode, *ast.UnaryNode:
		return
	case *ast.BinaryNode:
		if n.Operator != "??" {
			return
		}
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); ok && comparisons[name.Value] != nil {
			return
		}
	}
	ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: truthFunction}, Arguments: []ast.Node{*node}})
}

// hoist makes a list of constants one constant.
func hoist(node *ast.Node) {
	array, ok := (*node).(*ast.ArrayNode)
	if !ok {
		return
	}
	list := make([]any, len(array.Nodes))
	for i, item := range array.Nodes {
		switch item := item.(type) {
		case *ast.StringNode:
			list[i] = item.Value
		case *ast.IntegerNode:
			list[i] = item.Value
		case *ast.FloatNode:
			list[i] = item.Value
		case *ast.BoolNode:
			list[i] = item.Value
		case *ast.NilNode:
		default:
			return
		}
	}
	ast.Patch(node, &ast.ConstantNode{Value: list})
}
