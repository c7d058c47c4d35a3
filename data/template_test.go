package data

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func clock() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// jinja2Made reads what the real Jinja2 made of each template and case. testdata/templates/render.py writes these files.
func jinja2Made(t *testing.T, file string) (golden map[string]map[string]string) {
	t.Helper()
	readJSON(t, file, &golden)
	return golden
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// asJinja2 compares what a template renders with what Jinja2 rendered.
func asJinja2(t *testing.T, tp *Template, want map[string]string) {
	t.Helper()
	var cases map[string][]Message
	readJSON(t, "testdata/templates/cases.json", &cases)
	for c, messages := range cases {
		got, err := tp.render(messages)
		if raised, ok := strings.CutPrefix(want[c], "raised: "); ok {
			if err == nil || !strings.Contains(err.Error(), raised) {
				t.Errorf("%s, %s: %q (%v), want the exception %q", tp.Name, c, got, err, raised)
			}
		} else if err != nil || got != want[c] {
			t.Errorf("%s, %s:\n%q (%v)\nwant\n%q", tp.Name, c, got, err, want[c])
		}
	}
}

// The real Jinja2 rendered the same templates and messages. The results must be equal.
func TestTemplatesAgainstJinja(t *testing.T) {
	for dir, open := range map[string]func(string) (*Template, error){
		"templates": func(n string) (*Template, error) { return OpenTemplate(n, clock) },
		"features": func(n string) (*Template, error) {
			return OpenTemplate("testdata/templates/features/"+n+".jinja", clock)
		},
	} {
		golden := jinja2Made(t, "testdata/templates/"+dir+".golden.json")
		if dir == "templates" && len(golden) != len(TemplateNames()) {
			t.Errorf("%d golden templates of %d", len(golden), len(TemplateNames()))
		}
		for name, want := range golden {
			tp, err := open(name)
			if err != nil {
				t.Error(err)
				continue
			}
			asJinja2(t, tp, want)
		}
	}
}

// WB_TEMPLATES names a folder of other templates, with what Jinja2 made of them in golden.json. A template may be refused. If it is
// not, the result must be equal.
func TestOtherTemplates(t *testing.T) {
	dir := os.Getenv("WB_TEMPLATES")
	if dir == "" {
		t.Skip("WB_TEMPLATES does not name a folder of templates (docs/design/decisions/templates.md)")
	}
	golden := jinja2Made(t, filepath.Join(dir, "golden.json"))
	refused := 0
	for name, want := range golden {
		tp, err := OpenTemplate(filepath.Join(dir, name+".jinja"), clock)
		if err != nil {
			refused++
			t.Logf("%s is refused: %.300v", name, err)
			continue
		}
		asJinja2(t, tp, want)
	}
	t.Logf("%d templates, %d of them refused", len(golden), refused)
}

// Several users render one template at the same time. No user sees the text of another.
func TestTemplateOfManyUsers(t *testing.T) {
	macro := filepath.Join(t.TempDir(), "macro.jinja")
	text := "{% macro said(m) %}{% set n = namespace(x=m.content) %}{{ n.x }}{% endmacro %}{% for m in messages %}{{ said(m) }};{% endfor %}"
	if err := os.WriteFile(macro, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	tp, err := OpenTemplate(macro, clock)
	if err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			name := fmt.Sprintf("user %d", i)
			for range 50 {
				if got, err := tp.Render([]Message{{"user", name}, {"assistant", "a"}}); err != nil || got != name+";a;" {
					t.Errorf("%q (%v)", got, err)
				}
			}
		})
	}
	users.Wait()
}

func TestTemplatesRefused(t *testing.T) {
	dir := t.TempDir()
	for name, x := range map[string]struct{ text, want string }{
		"choice.jinja": {"{% for m in messages %}{{ (m.content if true else '') }}{% endfor %}", "choice.jinja: wb cannot render it"},
		"drops.jinja": {"{% for m in messages %}{% if m.role != 'assistant' %}{{ m.content }}{% endif %}{% endfor %}",
			"drops.jinja: it loses the text of message 3 (assistant)"},
		"broken.jinja":   {"{% for m in messages %}{{ m.content }}", "broken.jinja: wb cannot render it"},
		"file.jinja":     {"{% include '/etc/passwd' %}{% for m in messages %}{{ m.content }}{% endfor %}", "file.jinja"},
		"refuses.jinja":  {"{{ raise_exception('no') }}", "the template says: no"},
		"brackets.jinja": {"{{ " + strings.Repeat("(", 100_000), "its brackets are nested more than 200 deep"},
		"itself.jinja": {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
			"render template " + filepath.Join(dir, "itself.jinja") + ": its macros call one another more than 200 deep"},
		"extends.jinja":   {"{% extends '/template' %}", "extends.jinja: wb cannot render it"},
		"block.jinja":     {"{% block a %}{{ self.a() }}{% endblock %}", "block.jinja: wb cannot render it"},
		"recursive.jinja": {"{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}", "recursive loops are not supported"},
		"range.jinja":     {"{% for i in range(100001) %}{% endfor %}", "range gives more than 100000 numbers"},
		"output.jinja":    {"{% for i in range(1000) %}{{ '" + strings.Repeat("x", 100_000) + "' }}{% endfor %}", "it gives more than 64 MB"},
	} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(x.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenTemplate(p, clock); err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "\n") ||
			strings.Contains(err.Error(), "root:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenTemplate("nope", clock); err == nil || !strings.Contains(err.Error(), "one of chatml, gemma, llama3, mistral, phi3") {
		t.Errorf("%v", err)
	}
	// a template may mark what a model said, for training
	marked := filepath.Join(dir, "marked.jinja")
	text := "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
	if err := os.WriteFile(marked, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTemplate(marked, clock); err != nil {
		t.Error(err)
	}
	// a template is not refused because it accepts no system prompt
	p := filepath.Join(dir, "nosystem.jinja")
	text = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
		"{{ m.content }}{% endfor %}"
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	tp, err := OpenTemplate(p, clock)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tp.Render([]Message{{"system", "x"}, {"user", "y"}})
	if err == nil || !strings.Contains(err.Error(), "System role not supported") {
		t.Errorf("%v", err)
	}
	// the tokens come from the tokeniser configuration in the same folder
	config := []byte(`{"bos_token": {"content": "<B>"}, "eos_token": "<E>"}`)
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), config, 0o644); err != nil {
		t.Fatal(err)
	}
	p = filepath.Join(dir, "tokens.jinja")
	if err := os.WriteFile(p, []byte("{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if tp, err = OpenTemplate(p, clock); err != nil {
		t.Fatal(err)
	}
	if s, err := tp.Render([]Message{{"user", "y"}}); err != nil || s != "<B>y<E>" {
		t.Errorf("%q (%v)", s, err)
	}
}
