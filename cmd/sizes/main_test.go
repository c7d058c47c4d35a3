package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// fields gives n fields of a struct, one per line.
func fields(n int) (text string) {
	for i := range n {
		text += fmt.Sprintf("\tf%d int\n", i)
	}
	return text
}

func TestGo(t *testing.T) {
	const head, reason = "package a\n\n", "// wide: a row of a table\n"
	statements := func(n int) string { return strings.Repeat("\t_ = 0\n", n) }
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"500 lines", strings.Repeat("\n", 499) + "package a\n", nil},
		{"500 lines and one without an end", "package a\n" + strings.Repeat("\n", 499) + "// x", []string{"files 1"}},
		{"501 lines", "package a\n" + strings.Repeat("\n", 500), []string{"files 1"}},
		{"a function of 80 lines", head + "// f has a comment\n// of two lines.\nfunc f() {\n" + statements(78) + "}\n", nil},
		{"a function of 81 lines", head + "// f has a comment.\nfunc f() {\n" + statements(79) + "}\n", []string{"functions 4"}},
		{"a method", head + "type t int\n\nfunc (t) f() {\n" + statements(79) + "}\n", []string{"functions 5"}},
		{"a literal", head + "var f = func() {\n" + statements(79) + "}\n", []string{"functions 3"}},
		{"a literal in a function counts once", head + "func f() {\n\tvar g = func() {\n" + statements(79) + "\t}\n}\n",
			[]string{"functions 3"}},
		{"a literal in a literal counts once", head + "var f = func() {\n\t_ = func() {\n" + statements(79) + "\t}\n}\n",
			[]string{"functions 3"}},
		{"a line directive changes no count", head + "func f() {\n//line x.go:1\n" + statements(78) + "}\n", []string{"functions 3"}},
		{"15 fields", head + "type s struct {\n" + fields(15) + "}\n", nil},
		{"16 fields", head + "type s struct {\n" + fields(16) + "}\n", []string{"structs 3"}},
		{"several names a line", head + "type s struct {\n\tA, B int\n" + fields(14) + "}\n", []string{"structs 3"}},
		{"embedded fields", head + "type e struct{}\ntype s struct {\n\te\n" + fields(15) + "}\n", []string{"structs 4"}},
		{"a reason", head + "// s is large.\n" + reason + "type s struct {\n" + fields(16) + "}\n", nil},
		{"a reason in a group", head + "type (\n" + reason + "\ts struct {\n" + fields(16) + "\t}\n\tu struct {\n" + fields(16) + "\t}\n)\n",
			[]string{"structs 23"}},
		{"an empty reason", head + "// wide: \ntype s struct {\n" + fields(16) + "}\n", []string{"structs 4"}},
		{"a reason elsewhere", head + reason + "\ntype s struct {\n" + fields(16) + "}\n", []string{"structs 5"}},
		{"a reason in the middle of a line", head + "// not wide: a row\ntype s struct {\n" + fields(16) + "}\n", []string{"structs 4"}},
		{"a type of a function", head + "func f() {\n" + reason + "\ttype s struct {\n" + fields(16) + "\t}\n" +
			"\ttype u struct {\n" + fields(16) + "\t}\n}\n", []string{"structs 23"}},
		{"a variable", head + reason + "var s = []struct {\n" + fields(16) + "}{}\nvar u struct {\n" + fields(16) + "}\n",
			[]string{"structs 22"}},
		{"a struct in a struct", head + reason + "type s struct {\n" + fields(16) + "\tin struct {\n" + fields(16) + "\t}\n}\n",
			[]string{"structs 21"}},
		{"a field's reason", head + "type s struct {\n" + reason + "\tin struct {\n" + fields(16) + "\t}\n}\n", nil},
		{"a build tag that is not set", "//go:build never\n\n" + head + "type s struct {\n" + fields(16) + "}\n", []string{"structs 5"}},
	} {
		found, err := check(fstest.MapFS{"x/a.go": {Data: []byte(c.text)}})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []string
		for _, v := range found {
			if v.file != "x/a.go" {
				t.Errorf("%s: file %s", c.name, v.file)
			}
			got = append(got, fmt.Sprint(v.kind, " ", v.line))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCommandFolder(t *testing.T) {
	half := "package main\n" + strings.Repeat("\n", 312) // 313 lines: eight of them are 2,504
	module := fstest.MapFS{}
	for i := range 7 {
		module[fmt.Sprintf("cmd/wb/%d.go", i)] = &fstest.MapFile{Data: []byte(half)}
	}
	for _, elsewhere := range []string{"cmd/wb/a_test.go", "cmd/wb/testdata/a.go", "cmd/other/a.go"} {
		module[elsewhere] = &fstest.MapFile{Data: []byte(half)}
	}
	if found, err := check(module); err != nil || len(found) > 0 {
		t.Errorf("2,191 lines: %v, %v", found, err)
	}
	module["cmd/wb/8.go"] = &fstest.MapFile{Data: []byte(half)}
	found, err := check(module)
	if err != nil || len(found) != 1 || found[0].kind != largeCommand || !strings.Contains(found[0].message, "2504 lines") {
		t.Errorf("2,504 lines: %v, %v", found, err)
	}
}

func TestLines(t *testing.T) {
	fits, over := strings.Repeat("é", 140), strings.Repeat("é", 141)
	module := fstest.MapFS{
		"a.go":    {Data: []byte("package a\n\n// " + over + "\n")},
		"a/b.sql": {Data: []byte(fits + "\r\n" + over)},
		"a/b.md":  {Data: []byte(over + "\n")},
		// these are not checked
		"a/b.txt": {Data: []byte(over)}, "a/testdata/b.md": {Data: []byte(over)}, ".x/b.md": {Data: []byte(over)},
	}
	found, err := check(module)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, v := range found {
		got += fmt.Sprintf("%s:%d ", v.file, v.line)
	}
	if got != "a.go:3 a/b.md:1 a/b.sql:2 " {
		t.Errorf("found %s", got)
	}
}

func TestRun(t *testing.T) {
	folder := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "a.go"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const nothing = "files over 500 lines: 0\nfunctions over 80 lines: 0\nstructs over 15 fields: 0\n" +
		"command folders over 2500 lines: 0\n"
	const large = "a.go:1: the file has 501 lines, more than 500\nfiles over 500 lines: 1\n"
	for _, c := range []struct {
		name, text string
		args       []string
		code       int
		want       string // of both outputs
	}{
		{"no file", "", nil, 2, "found no Go file"},
		{"small", "package a\n", nil, 0, nothing},
		{"large", "package a\n" + strings.Repeat("\n", 500), nil, 1, large},
		{"long", "package a\n\n// " + strings.Repeat("x", 138) + "\n", nil, 1,
			"a.go:3: the line has 141 characters, more than 140\n"},
		{"broken", "package\n", nil, 2, "a.go:"},
		{"a wrong flag", "package a\n", []string{"-x"}, 2, "flag provided but not defined"},
		{"an argument", "package a\n", []string{"x"}, 2, ""},
	} {
		if c.text != "" {
			write(c.text)
		}
		var out bytes.Buffer
		code := run(append([]string{"-folder", folder}, c.args...), &out, &out)
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit %d\n%s", c.name, code, &out)
		}
	}
}
