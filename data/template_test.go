package data

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func clock() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// What the real Jinja2 made of the same templates and messages; testdata/templates/render.py made the golden files.
func TestTemplatesAgainstJinja(t *testing.T) {
	b, err := os.ReadFile("testdata/templates/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string][]Message
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for dir, open := range map[string]func(string) (*Template, error){
		"templates": func(n string) (*Template, error) { return OpenTemplate(n, clock) },
		"own":       func(n string) (*Template, error) { return OpenTemplate("testdata/templates/own/"+n+".jinja", clock) },
	} {
		b, err := os.ReadFile("testdata/templates/" + dir + ".golden.json")
		if err != nil {
			t.Fatal(err)
		}
		var golden map[string]map[string]string
		if err := json.Unmarshal(b, &golden); err != nil {
			t.Fatal(err)
		}
		if dir == "templates" && len(golden) != len(TemplateNames()) {
			t.Errorf("%d golden templates of %d", len(golden), len(TemplateNames()))
		}
		for name, want := range golden {
			tp, err := open(name)
			if err != nil {
				t.Error(err)
				continue
			}
			for c, messages := range cases {
				got, err := tp.render(messages)
				if raised, ok := strings.CutPrefix(want[c], "raised: "); ok {
					if err == nil || !strings.Contains(err.Error(), raised) {
						t.Errorf("%s, %s: %q (%v), want the exception %q", name, c, got, err, raised)
					}
				} else if err != nil || got != want[c] {
					t.Errorf("%s, %s:\n%q (%v)\nwant\n%q", name, c, got, err, want[c])
				}
			}
		}
	}
}

func TestTemplatesRefused(t *testing.T) {
	dir := t.TempDir()
	for name, x := range map[string]struct{ text, want string }{
		"choice.jinja":    {"{% for m in messages %}{{ (m.content if true else '') }}{% endfor %}", "choice.jinja: it cannot be rendered here"},
		"drops.jinja":     {"{% for m in messages %}{% if m.role != 'assistant' %}{{ m.content }}{% endif %}{% endfor %}", "drops.jinja: it loses the text of message 3 (assistant)"},
		"broken.jinja":    {"{% for m in messages %}{{ m.content }}", "broken.jinja: it cannot be rendered here"},
		"file.jinja":      {"{% include '/etc/passwd' %}{% for m in messages %}{{ m.content }}{% endfor %}", "file.jinja"},
		"refuses.jinja":   {"{{ raise_exception('no') }}", "the template says: no"},
		"brackets.jinja":  {"{{ " + strings.Repeat("(", 100_000), "it has brackets more than 200 deep"},
		"itself.jinja":    {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "render template " + filepath.Join(dir, "itself.jinja") + ": its macros call one another more than 200 deep"},
		"extends.jinja":   {"{% extends '/template' %}", "extends.jinja: it cannot be rendered here"},
		"block.jinja":     {"{% block a %}{{ self.a() }}{% endblock %}", "block.jinja: it cannot be rendered here"},
		"recursive.jinja": {"{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}", "recursive loops are not supported"},
		"range.jinja":     {"{% for i in range(100001) %}{% endfor %}", "range gives more than 100000 numbers"},
		"output.jinja":    {"{% for i in range(1000) %}{{ '" + strings.Repeat("x", 100_000) + "' }}{% endfor %}", "it gives more than 64 MB"},
	} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(x.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenTemplate(p, clock); err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "root:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenTemplate("nope", clock); err == nil || !strings.Contains(err.Error(), "there are chatml, gemma, llama3, mistral, phi3") {
		t.Errorf("%v", err)
	}
	// what a model said may be marked, for training
	marked := filepath.Join(dir, "marked.jinja")
	if err := os.WriteFile(marked, []byte("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTemplate(marked, clock); err != nil {
		t.Error(err)
	}
	// a template that takes no system prompt is no reason to refuse it
	p := filepath.Join(dir, "nosystem.jinja")
	if err := os.WriteFile(p, []byte("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{{ m.content }}{% endfor %}"), 0o644); err != nil {
		t.Fatal(err)
	}
	tp, err := OpenTemplate(p, clock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tp.Render([]Message{{"system", "x"}, {"user", "y"}}); err == nil || !strings.Contains(err.Error(), "System role not supported") {
		t.Errorf("%v", err)
	}
	// the tokens come from the configuration beside it
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(`{"bos_token": {"content": "<B>"}, "eos_token": "<E>"}`), 0o644); err != nil {
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
