package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxReason is how much of a server's reason is quoted, in bytes.
const maxReason = 2 << 10

// Reason finds in an answer why the server refused a request. The answer may be a JSON document in any of the shapes that servers use, an
// HTML page or plain text. The result is one line, "" when the answer gives no reason.
func Reason(text []byte) string {
	text = bytes.TrimSpace(WithoutBOM(bytes.TrimSpace(text)))
	if len(text) == 0 {
		return ""
	}
	text = text[:min(len(text), maxListBytes)]
	var doc any
	if json.Unmarshal(text, &doc) == nil {
		return Clip(reasonIn(doc, 0))
	}
	if text[0] == '<' {
		return Clip(pageTitle(string(text)))
	}
	if !utf8.Valid(text) && bytes.IndexByte(text, 0) >= 0 { // binary data
		return ""
	}
	return Clip(string(text))
}

// reasonOrText gives the reason in an answer, or the answer itself where it has none.
func reasonOrText(text []byte) string { return cmp.Or(Reason(text), Clip(string(text))) }

// reasonKeys are the members that hold a reason, those that say most first.
//   - OpenAI and vLLM: error.message
//   - FastAPI, and vLLM for a wrong path: detail, a string or a list of {loc, msg}
//   - RFC 9457: detail and title
//   - OpenRouter: error.metadata.raw
//   - Ollama and llama-cpp-python: error
//   - AWS and others: message, Message
//   - Apigee: fault.faultstring
//   - Baidu: error_msg
//   - MiniMax: base_resp.status_msg
//   - FastChat: text
var reasonKeys = []string{
	"message", "msg", "error_message", "errorMessage", "error_msg", "status_msg", "error", "detail", "details", "errors", "description",
	"error_description", "reason", "title", "fault", "faultstring", "base_resp", "x_groq", "info", "raw", "text",
}

// furtherKeys are members that add to the reason: OAuth's error_description, a list of errors, Hugging Face's warnings.
var furtherKeys = []string{"error_description", "errors", "warnings"}

// reasonIn looks for a reason in a JSON value. depth limits how deep it looks.
func reasonIn(v any, depth int) string {
	if depth > 6 {
		return ""
	}
	switch v := v.(type) {
	case string:
		if inner := strings.TrimSpace(v); strings.HasPrefix(inner, "{") { // proxies put a document into a string
			var doc any
			if json.Unmarshal([]byte(inner), &doc) == nil {
				if s := reasonIn(doc, depth+1); s != "" {
					return s
				}
			}
		}
		return v
	case []any:
		var all []string
		for _, e := range v {
			if s := reasonIn(e, depth+1); s != "" && !slices.Contains(all, s) && len(all) < 8 {
				all = append(all, s)
			}
		}
		return strings.Join(all, "; ")
	case map[string]any:
		for _, k := range reasonKeys {
			inner, ok := v[k]
			if !ok {
				inner, ok = v[strings.ToUpper(k[:1])+k[1:]]
			}
			if !ok {
				continue
			}
			s := reasonIn(inner, depth+1)
			if s == "" {
				continue
			}
			if where := locOf(v); where != "" {
				s = where + ": " + s
			}
			more := []string{rawOf(v)} // what a gateway says about the server behind it
			for _, further := range furtherKeys {
				if further != k {
					more = append(more, everyText(v[further], depth+1))
				}
			}
			for _, m := range more {
				if m != "" && !strings.Contains(s, m) {
					s += ": " + m
				}
			}
			return s
		}
	}
	return ""
}

// everyText gives the reasons in a value. For an object that has none of the known members, it gives all texts with their names.
func everyText(v any, depth int) string {
	m, ok := v.(map[string]any)
	if s := reasonIn(v, depth); s != "" || !ok || depth > 6 {
		return s
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if s := reasonIn(m[k], depth+1); s != "" && len(all) < 8 {
			all = append(all, k+": "+s)
		}
	}
	return strings.Join(all, "; ")
}

// locOf gives the field of the request that a reason is about (FastAPI's loc).
func locOf(v map[string]any) string {
	var path []string
	loc, _ := v["loc"].([]any)
	for _, l := range loc {
		path = append(path, fmt.Sprint(l))
	}
	return strings.Join(path, ".")
}

// rawOf gives what a gateway says about the server behind it (OpenRouter's error.metadata.raw).
func rawOf(v map[string]any) string {
	meta, _ := v["metadata"].(map[string]any)
	return everyText(meta["raw"], 2)
}

var (
	titles  = regexp.MustCompile(`(?is)<(?:title|h1)[^>]*>(.*?)</(?:title|h1)>`)
	tags    = regexp.MustCompile(`(?s)<[^>]*>`)
	scripts = regexp.MustCompile(`(?is)<(script|style)\b.*?</(script|style)>`)
)

// pageTitle gives the title and the heading of an HTML page, else its text.
func pageTitle(page string) string {
	var all []string
	for _, m := range titles.FindAllStringSubmatch(page, 2) {
		s := strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(m[1], " ")))
		if s != "" && !strings.Contains(strings.Join(all, ": "), s) {
			all = append(all, s)
		}
	}
	if all != nil {
		return strings.Join(all, ": ")
	}
	return html.UnescapeString(tags.ReplaceAllString(scripts.ReplaceAllString(page, " "), " "))
}

// Clip makes one line of a text and shortens it to maxReason bytes.
func Clip(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	if len(s) <= maxReason {
		return s
	}
	cut := maxReason
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// compressed says how an answer is compressed. It is "" when the answer is not compressed: some servers send words such as "none" in the
// header. wb does not ask for compression, because a compressed stream hides when its tokens came.
func compressed(resp *http.Response) string {
	e := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding")))
	for _, how := range []string{"gzip", "deflate", "br", "zstd", "compress"} {
		if strings.Contains(","+e+",", how+",") {
			return e
		}
	}
	return ""
}
