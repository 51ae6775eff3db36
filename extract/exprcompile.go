package extract

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// An expression is compiled twice. Once against the types of the table's
// columns, which finds mistakes; that program is thrown away, for it takes
// every value to be of its column's type, and any may be NULL. What runs is
// compiled without types, with NULL taken care of (see nullSafe).

// source is the text of an expression, parsed.
type source struct {
	field    string // that it is for, or where
	text     string
	optional bool // columns that no table has are NULL
	names    []columnName
	locals   map[string]bool
	simple   predicate // of a where
	program  *vm.Program
	checked  map[string]reflect.Type // results by the types of the columns; nil: it does not compile
}

// columnName is a column, or a path from one, in an expression.
type columnName struct {
	path string
	from int // its place in the text, in characters
}

// parseExpression returns nil if there are mistakes, which are reported.
func (c *compiler) parseExpression(field, text string, optional bool) *source {
	x := &source{field: field, text: text, optional: optional, locals: map[string]bool{}, checked: map[string]reflect.Type{}}
	if len(text) > maxExpression {
		c.fail(field, "", fmt.Sprintf("the expression is longer than %d bytes", maxExpression), "map values with values, or prepare the column in the source")
		return nil
	}
	tree, err := parser.Parse(text)
	if err != nil {
		c.expressionFault(x, "", err)
		return nil
	}
	before := len(c.errs)
	ast.Walk(&tree.Node, visitor(x.findLocals))
	c.findLookups(x, &tree.Node)
	ast.Walk(&tree.Node, x.paths())
	c.findNames(x, &tree.Node)
	if len(c.errs) > before {
		return nil
	}
	if field == whereName {
		x.simpleTerms(tree.Node)
	}
	if x.program, err = expr.Compile(text, c.exprOptions(x, false)...); err != nil {
		c.expressionFault(x, "", err)
		return nil
	}
	return x
}

// visitor makes a function walk over the nodes of an expression, inner ones
// before outer ones.
type visitor func(node *ast.Node)

func (v visitor) Visit(node *ast.Node) { v(node) }

func (x *source) findLocals(node *ast.Node) {
	if n, ok := (*node).(*ast.VariableDeclaratorNode); ok {
		x.locals[n.Name] = true
	}
}

// paths replaces the paths of columns, a.b[0].c, by single names: they are
// resolved like those of fields, and only what they lead to is read.
func (x *source) paths() ast.Visitor {
	return visitor(func(node *ast.Node) {
		switch n := (*node).(type) {
		case *ast.ChainNode:
			if _, ok := n.Node.(*ast.IdentifierNode); ok {
				*node = n.Node
			}
		case *ast.MemberNode:
			if path, ok := x.path(n); ok {
				name := &ast.IdentifierNode{Value: path}
				name.SetLocation(n.Node.Location())
				*node = name
			}
		}
	})
}

func (x *source) path(n *ast.MemberNode) (string, bool) {
	base := n.Node
	if chain, ok := base.(*ast.ChainNode); ok {
		base = chain.Node
	}
	root, ok := base.(*ast.IdentifierNode)
	if !ok || n.Method || x.locals[root.Value] {
		return "", false
	}
	switch p := n.Property.(type) {
	case *ast.StringNode:
		name := pathText([]jsonStep{{key: p.Value}})
		if root.Value == "$env" { // the way to columns whose names are no identifiers
			return name, true
		}
		return root.Value + "." + name, true
	case *ast.IntegerNode:
		return root.Value + pathText([]jsonStep{{index: p.Value, list: true}}), root.Value != "$env"
	}
	return "", false
}

// findNames collects the columns that are left as names, and reports what the
// language has but expressions here must not use.
func (c *compiler) findNames(x *source, root *ast.Node) {
	functions := map[ast.Node]bool{}
	ast.Walk(root, visitor(func(node *ast.Node) {
		switch n := (*node).(type) {
		case *ast.MemberNode:
			if p, ok := n.Property.(*ast.StringNode); ok && n.Method && p.Value == "Local" {
				c.failAt(x, n, "Local depends on the machine", "use timezone: in the field, or In(timezone(…))")
			}
		case *ast.CallNode:
			functions[n.Callee] = true
		case *ast.BuiltinNode:
			if slices.Contains(unsteady, n.Name) {
				c.failAt(x, n, "the function "+n.Name+" is not available: what it yields depends on chance or on the clock", "name the columns or keys that are wanted")
			}
		}
	}))
	ast.Walk(root, visitor(func(node *ast.Node) {
		n, ok := (*node).(*ast.IdentifierNode)
		switch {
		case !ok || x.locals[n.Value]:
		case functions[n]:
			if n.Value != lookupFunction {
				c.failAt(x, n, "there is no function "+n.Value, "the functions are those of github.com/expr-lang/expr and lookup")
			}
		case n.Value == "$env":
			c.failAt(x, n, "$env can only be used to name a column, as in $env[\"a b\"]", "name the columns")
		case c.list != "" && n.Value == rowName:
			c.failAt(x, n, "row cannot be used as a whole", "name its columns, as in row.id")
		case !slices.ContainsFunc(x.names, func(name columnName) bool { return name.path == n.Value }):
			x.names = append(x.names, columnName{n.Value, n.Location().From})
		}
	}))
}

// unsteady are the functions that do not always yield the same.
var unsteady = []string{"now", "keys", "values", "toPairs"}

// exprOptions are how an expression is compiled: for checking with the types
// of env, else for running.
func (c *compiler) exprOptions(x *source, check bool) []expr.Option {
	options := []expr.Option{expr.Patch(x.paths()), expr.MaxNodes(2000)}
	for _, name := range unsteady {
		options = append(options, expr.DisableBuiltin(name))
	}
	options = append(options, expr.Function(lookupFunction, c.lookups.find, new(func(string, any) map[string]any)))
	if check {
		return options
	}
	env := types.Map{}
	for _, name := range x.names {
		env[name.path] = types.Any
	}
	return append(options, append(nullSafeOptions(), expr.Env(env), expr.Optimize(false))...)
}

// expression binds an expression to a table's columns. It returns nil if that
// cannot be done, and the type of what the expression yields.
func (c *compiler) expression(x *source, t *boundTable, m *Mapping) (*expression, reflect.Type) {
	env := types.Map{}
	var signature strings.Builder
	out := &expression{program: x.program}
	for _, name := range x.names {
		v := variable{name: name.path, slot: slotNone}
		typ, spelled := types.Type(types.Any), ""
		if col, ok := t.resolve(name.path); ok {
			typ, spelled = col.exprType(), col.signature()
			v.slot, v.constant = m.bind(col)
			if v.slot >= 0 && col.shape != nil {
				m.whole[v.slot] = true
			}
		}
		out.variables = append(out.variables, v)
		env[name.path] = typ
		signature.WriteString(spelled + ";")
	}
	result, known := x.checked[signature.String()]
	if !known {
		result = c.checkExpression(x, t.name, env)
		x.checked[signature.String()] = result
	}
	if result == nil {
		return nil, nil
	}
	out.simple = x.simple.bind(t, out.variables)
	return out, result
}

// checkExpression returns the type of what an expression yields with columns of
// some types, and nil if there are mistakes, which are reported.
func (c *compiler) checkExpression(x *source, table string, env types.Map) reflect.Type {
	program, err := expr.Compile(x.text, append(c.exprOptions(x, true), expr.Env(env))...)
	if err != nil {
		c.expressionFault(x, table, err)
		return nil
	}
	result := program.Node().Type()
	if x.field == whereName && result.Kind() != reflect.Bool && result.Kind() != reflect.Interface {
		c.fail(x.field, table, fmt.Sprintf("the expression yields %s, not true or false", kindOfType(result)), "compare it with something")
		return nil
	}
	return result
}

// missingNames reports the columns of an expression that no table has.
func (c *compiler) missingNames(x *source) {
	for _, name := range x.names {
		has := func(t boundTable) bool { _, ok := t.resolve(name.path); return ok }
		if len(c.bound) == 0 || x.optional || slices.ContainsFunc(c.bound, has) {
			continue
		}
		at := &ast.IdentifierNode{}
		at.SetLocation(file.Location{From: name.from})
		c.failAt(x, at, fmt.Sprintf("there is no column %s in %s", name.path, c.where()), c.suggestColumn(name.path))
	}
}

// failAt reports a mistake at a node of an expression.
func (c *compiler) failAt(x *source, node ast.Node, problem, try string) {
	at := &file.Error{Location: node.Location(), Message: problem}
	c.fail(x.field, "", problem+placeOf(at.Bind(file.NewSource(x.text))), try)
}

// expressionFault reports what expr has found.
func (c *compiler) expressionFault(x *source, table string, err error) {
	var at *file.Error
	if !errors.As(err, &at) {
		c.fail(x.field, table, "the expression does not compile: "+err.Error(), "correct it")
		return
	}
	c.fail(x.field, table, at.Message+placeOf(at), "the expression is:"+strings.ReplaceAll(strings.TrimRight(at.Snippet, " \n"), "\n", "\n   "))
}

// placeOf says where in an expression a mistake is.
func placeOf(at *file.Error) string {
	return fmt.Sprintf(" (expression, at %d:%d)", max(at.Line, 1), at.Column+1)
}
