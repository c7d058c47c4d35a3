package data

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wb/data/yamlfile"
)

//go:embed templates/*.jinja
var templateFiles embed.FS

// templateTokens are the tokens for the beginning and the end of a sequence, as the tokeniser configuration of the model has them.
var templateTokens = map[string][2]string{
	"phi3": {"<s>", "<|endoftext|>"}, "chatml": {"<|im_start|>", "<|im_end|>"}, "llama3": {"<|begin_of_text|>", "<|eot_id|>"},
	"mistral": {"<s>", "</s>"}, "gemma": {"<bos>", "<eos>"},
}

// Template renders messages as a model's chat template does. It is Jinja with the settings of Hugging Face (transformers,
// chat_template_utils.py): trim_blocks and lstrip_blocks on, loop controls, tojson in order, raise_exception, strftime_now.
type Template struct {
	Name     string // built-in name, or path
	t        *jinja
	bos, eos string
	now      func() time.Time
}

// maxTemplateBytes is ten times the longest known template of a model. The limit keeps the parser's stack small.
const maxTemplateBytes = 256 << 10

// TemplateNames lists the built-in templates.
func TemplateNames() []string {
	names, err := fs.Glob(templateFiles, "templates/*.jinja")
	if err != nil {
		return nil
	}
	for i, n := range names {
		names[i] = strings.TrimSuffix(path.Base(n), ".jinja")
	}
	return names
}

// OpenTemplate returns a built-in template by its name, or reads a .jinja file. It fails when the template cannot be parsed or loses
// the text of a message. For a file, the bos and eos tokens come from a tokenizer_config.json in the same folder, if there is one.
// now is the clock of strftime_now.
func OpenTemplate(name string, now func() time.Time) (*Template, error) {
	t := &Template{Name: name, now: now}
	var text []byte
	var err error
	if slices.Contains(TemplateNames(), name) {
		if text, err = fs.ReadFile(templateFiles, "templates/"+name+".jinja"); err != nil {
			return nil, fmt.Errorf("read template %s: %w", name, err)
		}
		text = []byte(strings.TrimSuffix(string(text), "\n"))
		t.bos, t.eos = templateTokens[name][0], templateTokens[name][1]
	} else {
		if !strings.ContainsAny(name, "./") {
			return nil, fmt.Errorf("open template %q: no template has this name; name a .jinja file or one of %s", name,
				strings.Join(TemplateNames(), ", "))
		}
		if text, err = yamlfile.Read(name, maxTemplateBytes); err != nil {
			return nil, fmt.Errorf("open template %w", err)
		}
		t.bos, t.eos = specialTokens(filepath.Join(filepath.Dir(name), "tokenizer_config.json"))
	}
	if t.t, err = parseJinja(string(text)); err != nil {
		return nil, fmt.Errorf("open template %s: wb cannot render it: %s", name, oneLine(err))
	}
	return t, t.prove()
}

func specialTokens(file string) (bos, eos string) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", ""
	}
	var c struct{ BosToken, EosToken json.RawMessage }
	var raw map[string]json.RawMessage
	if json.Unmarshal(b, &raw) != nil {
		return "", ""
	}
	c.BosToken, c.EosToken = raw["bos_token"], raw["eos_token"]
	text := func(r json.RawMessage) string { // a token is a string, or an object with the string as its content
		var s string
		var o struct {
			Content string `json:"content"`
		}
		if json.Unmarshal(r, &s) != nil && json.Unmarshal(r, &o) == nil {
			s = o.Content
		}
		return s
	}
	return text(c.BosToken), text(c.EosToken)
}

// Render returns the prompt that asks for the next answer. It fails when the template raises an exception, and when the result lacks
// the text of a message.
func (t *Template) Render(messages []Message) (string, error) {
	text, err := t.render(messages)
	if err != nil {
		return "", fmt.Errorf("render template %s: %s", t.Name, oneLine(err))
	}
	for i, m := range messages {
		want := strings.TrimSpace(m.Content)
		if k := strings.LastIndex(want, "</think>"); m.Role == "assistant" && k >= 0 {
			want = strings.TrimSpace(want[k+len("</think>"):]) // templates of reasoning models drop the part before it
		}
		if !strings.Contains(text, want) {
			return "", fmt.Errorf("render template %s: it loses the text of message %d (%s)", t.Name, i+1, m.Role)
		}
	}
	return text, nil
}

// render returns what the template makes of the messages, even if the text of a message is lost.
func (t *Template) render(messages []Message) (string, error) {
	return t.t.render(messages, map[string]any{
		"add_generation_prompt": true, "bos_token": t.bos, "eos_token": t.eos, "tools": nil, "documents": nil,
		"strftime_now": func(format string) string { return strftime(t.now(), format) },
	})
}

// prove renders a dialogue whose texts cannot occur by chance.
func (t *Template) prove() error {
	talk := []Message{{"system", "sys-Q7f"}, {"user", "usr-K2d"}, {"assistant", "ast-W9x"}, {"user", "usr-M4b"}}
	_, err := t.Render(talk)
	if err != nil { // some templates accept no system prompt and say so
		if _, without := t.Render(talk[1:]); without == nil && strings.Contains(err.Error(), "the template says") {
			return nil
		}
	}
	return err
}

// strftime formats a time by Python's rules, as far as chat templates use them.
func strftime(t time.Time, format string) string {
	layouts := map[byte]string{
		'd': "02", 'b': "Jan", 'B': "January", 'Y': "2006", 'y': "06", 'm': "01", 'H': "15", 'I': "03", 'M': "04", 'S': "05",
		'p': "PM", 'A': "Monday", 'a': "Mon", 'j': "002", 'Z': "MST", 'z': "-0700",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch l, ok := layouts[format[i]]; {
		case ok:
			b.WriteString(t.Format(l))
		case format[i] == '%':
			b.WriteByte('%')
		default:
			b.WriteString(format[i-1 : i+1])
		}
	}
	return b.String()
}
