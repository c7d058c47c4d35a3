package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	controls "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
)

// jinja is a template that gonja has parsed. Only this file imports gonja. docs/design/decisions/templates.md says why it is used and
// within which limits.
type jinja struct{ t *exec.Template }

// Limits of one template. The limit of range is that of Jinja's sandbox. Python, too, ends a macro that calls itself for ever.
const (
	jinjaTime   = 10 * time.Second // to parse, and to render
	jinjaOutput = 64 << 20         // bytes of the result
	jinjaDepth  = 200              // of nested brackets, and of macros that call macros
	jinjaRange  = 100_000          // numbers that range returns
)

// jinjaLimits checks one rendering against the limits. It is a variable of the template, under limitsName.
type jinjaLimits struct {
	until  time.Time
	depth  int
	broken error // the first limit that was passed
}

// limitsName has a space, so that templates cannot name it.
const limitsName = "wb limits"

var errJinjaTime = fmt.Errorf("it takes longer than %v", jinjaTime)

func limitsOf(r *exec.Renderer) *jinjaLimits {
	b, _ := r.Environment.Context.Get(limitsName)
	return b.(*jinjaLimits)
}

// check returns an error when a limit was passed. It keeps the first one, since gonja's error would name every macro on the way.
func (b *jinjaLimits) check() error {
	switch {
	case b.broken != nil:
	case time.Now().After(b.until):
		b.broken = errJinjaTime
	case b.depth > jinjaDepth:
		b.broken = fmt.Errorf("its macros call one another more than %d deep", jinjaDepth)
	}
	return b.broken
}

// parseJinja reads a template with the settings of Hugging Face.
func parseJinja(text string) (*jinja, error) {
	if deepestBrackets(text) > jinjaDepth { // the parser calls itself for each bracket
		return nil, fmt.Errorf("its brackets are nested more than %d deep", jinjaDepth)
	}
	return within(jinjaTime, func() (*jinja, error) {
		loader, err := loaders.NewMemoryLoader(map[string]string{"/template": text})
		if err != nil {
			return nil, err
		}
		c := config.New()
		c.TrimBlocks, c.LeftStripBlocks = true, true
		filters := exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters)
		if err := filters.Replace("tojson", toJSON); err != nil {
			return nil, err
		}
		globals := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
		globals.Set("range", jinjaNumbers)
		t, err := exec.NewTemplate("/template", c, loader, &exec.Environment{
			Filters: filters, ControlStructures: jinjaStatements(), Tests: builtins.Tests, Methods: builtins.Methods, Context: globals,
		})
		return &jinja{t}, err
	})
}

// render returns what the template makes of the messages and the other values.
func (j *jinja) render(messages []Message, values map[string]any) (string, error) {
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = map[string]any{"role": m.Role, "content": m.Content}
	}
	return within(jinjaTime, func() (string, error) {
		raised := ""
		b := &jinjaLimits{until: time.Now().Add(jinjaTime)}
		c := exec.NewContext(map[string]any{
			"messages": list,
			limitsName: b,
			"raise_exception": func(msg string) (string, error) {
				raised = msg
				return "", errors.New(msg)
			},
		}).Update(exec.NewContext(values))
		var out limitedText
		err := j.t.Execute(&out, c)
		switch {
		case raised != "":
			return "", fmt.Errorf("the template says: %s", raised)
		case b.broken != nil:
			return "", b.broken
		case err != nil:
			return "", err
		}
		return out.String(), nil
	})
}

// within returns the result of f, or an error when f takes longer than limit. A panic of f becomes an error: gonja has panicked on
// damaged templates. Nothing of f is used after a panic. An f that takes too long is left running, and the caller goes on.
func within[T any](limit time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("%v", p)
			}
			done <- r
		}()
		r.value, r.err = f()
	}()
	timer := time.NewTimer(limit + limit/10) // loops and macros check the time themselves
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		var none T
		return none, errJinjaTime
	}
}

// limitedText takes at most jinjaOutput bytes. A write beyond that is an error.
type limitedText struct{ strings.Builder }

func (b *limitedText) Write(p []byte) (int, error) { return b.WriteString(string(p)) }

func (b *limitedText) WriteString(s string) (int, error) {
	if b.Len()+len(s) > jinjaOutput {
		return 0, fmt.Errorf("it gives more than %d MB", jinjaOutput>>20)
	}
	return b.Builder.WriteString(s)
}

// deepestBrackets returns how deep brackets are nested. A closing bracket without an opening one is ignored.
func deepestBrackets(text string) (deepest int) {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}

// jinjaStatements returns the statements that chat templates use. It leaves out include and extends, which read other files, and
// blocks, which can call themselves for ever.
func jinjaStatements() *exec.ControlStructureSet {
	all := map[string]parser.ControlStructureParser{"generation": generationStatement}
	for _, name := range []string{"if", "for", "set", "macro", "call", "filter", "raw", "with", "do", "break", "continue"} {
		parse, known := builtins.ControlStructures.Get(name)
		if !known {
			continue
		}
		all[name] = func(p, args *parser.Parser) (nodes.ControlStructure, error) {
			s, err := parse(p, args)
			if err != nil {
				return nil, err
			}
			switch s := s.(type) {
			case *controls.ForControlStructure:
				if s.Recursive {
					return nil, errors.New("recursive loops are not supported")
				}
				return &limitedFor{s}, nil
			case *controls.MacroControlStructure:
				return &limitedMacro{s}, nil
			}
			return s, nil
		}
	}
	return exec.NewControlStructureSet(all)
}

// limitedFor checks the limits before it loops.
type limitedFor struct{ *controls.ForControlStructure }

func (f *limitedFor) Execute(r *exec.Renderer, tag *nodes.ControlStructureBlock) error {
	if err := limitsOf(r).check(); err != nil {
		return err
	}
	return f.ForControlStructure.Execute(r, tag)
}

// limitedMacro checks the limits whenever it is called.
type limitedMacro struct {
	*controls.MacroControlStructure
}

func (m *limitedMacro) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	call, err := exec.MacroNodeToFunc(m.Macro, r)
	if err != nil {
		return err
	}
	b := limitsOf(r)
	r.Environment.Context.Set(m.Name, exec.Macro(func(args *exec.VarArgs) *exec.Value {
		b.depth++
		defer func() { b.depth-- }()
		if err := b.check(); err != nil {
			return exec.AsValue(err)
		}
		return call(args)
	}))
	return nil
}

// generation marks what a model said, for training. Its text is rendered unchanged.
type generation struct{ *nodes.Wrapper }

func (g *generation) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	return r.ExecuteWrapper(g.Wrapper)
}

func generationStatement(p, _ *parser.Parser) (nodes.ControlStructure, error) {
	body, _, err := p.WrapUntil("endgeneration")
	return &generation{body}, err
}

// jinjaNumbers is Jinja's range: the numbers below stop, or from start to below stop in steps.
func jinjaNumbers(_ *exec.Evaluator, args *exec.VarArgs) ([]int, error) {
	var given []int
	for _, a := range args.Args {
		if !a.IsInteger() {
			return nil, errors.New("range wants whole numbers")
		}
		given = append(given, a.Integer())
	}
	var start, stop int
	step := 1
	switch len(given) {
	case 1:
		stop = given[0]
	case 2:
		start, stop = given[0], given[1]
	case 3:
		start, stop, step = given[0], given[1], given[2]
	default:
		return nil, errors.New("range wants one to three numbers")
	}
	if step == 0 {
		return nil, errors.New("the step of range is 0")
	}
	var numbers []int
	for n := start; step > 0 && n < stop || step < 0 && n > stop; n += step {
		if len(numbers) == jinjaRange {
			return nil, fmt.Errorf("range gives more than %d numbers", jinjaRange)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// oneLine writes an error in one line and leaves out the template, which gonja repeats in its errors.
func oneLine(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	if strings.HasPrefix(s, "failed to parse template") {
		s = s[strings.LastIndex(s, "': ")+1:]
		s = strings.TrimPrefix(s, ": ")
	}
	return s
}

// toJSON is json.dumps(…, ensure_ascii=False): Python's separators, and keys in order. The order for messages is role, content.
func toJSON(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	var b strings.Builder
	if err := pyJSON(&b, in.ToGoSimpleType(true)); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(b.String())
}

func pyJSON(b *strings.Builder, v any) error {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		rank := map[string]int{"role": -2, "content": -1}
		slices.SortFunc(keys, func(x, y string) int {
			if d := rank[x] - rank[y]; d != 0 {
				return d
			}
			return strings.Compare(x, y)
		})
		b.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := pyJSON(b, k); err != nil {
				return err
			}
			b.WriteString(": ")
			if err := pyJSON(b, v[k]); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := pyJSON(b, x); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case map[any]any:
		plain := make(map[string]any, len(v))
		for k, x := range v {
			plain[fmt.Sprint(k)] = x
		}
		return pyJSON(b, plain)
	case error:
		return v
	default:
		var s strings.Builder
		e := json.NewEncoder(&s)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return err
		}
		b.WriteString(strings.TrimSuffix(s.String(), "\n"))
	}
	return nil
}
